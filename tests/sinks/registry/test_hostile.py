"""Registries that mean harm: what they say is bounded, and secrets go nowhere else."""

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.raw import saying
from tests.registry.servers import PASSWORD, Authority, config_json, digest_in, serving

from .bench import QUICK, Bench

LIMITS = replace(QUICK, attempts=2, idle=0.5, answer=1)
BASIC = {"Www-Authenticate": 'Basic realm="x"'}


@pytest.fixture
def stranger(registry_host: str) -> Iterator[Proxy]:
    """Another host, as far as a client can tell."""
    server = Proxy(registry_host)
    with serving(server):
        yield server


def _without_login(seen: Seen) -> bool:
    return "Authorization" not in seen.headers


def _push_fails(bench: Bench, proxy: Proxy, env: dict[str, str] | None = None) -> str:
    image = bench.image(f"{proxy.host}/team/hostile", b"x")
    with pytest.raises(SinkError) as error:
        bench.push(image, env=env, limits=LIMITS)
    return str(error.value).splitlines()[0]


def test_an_upload_location_on_another_host_gets_no_secret(
    proxy: Proxy, stranger: Proxy, bench: Bench, tmp_path: Path, team: str
) -> None:
    def elsewhere(headers: dict[str, str]) -> dict[str, str]:
        place = headers["location"].replace(proxy.host, stranger.host)
        return {**headers, "location": place}

    ask = Fault(lambda s: not s.headers.get("Authorization"), 99, status=401, headers=BASIC)
    proxy.faults += [ask, Fault(lambda s: s.method == "POST", times=99, change=elsewhere)]
    image = bench.image(f"{proxy.host}/{team}/api", b"x", bytes(3 << 20))
    bench.push(image, env={"DOCKER_CONFIG": config_json(tmp_path, proxy.host)})
    assert {seen.method for seen in stranger.seen} == {"PATCH", "PUT"}
    assert all(_without_login(seen) for seen in stranger.seen)
    assert sum(not _without_login(seen) for seen in proxy.seen) > 5
    assert digest_in(stranger.host, f"{team}/api", "latest") == image.top.digest


def test_a_redirected_head_is_followed_without_secrets(
    proxy: Proxy, stranger: Proxy, bench: Bench, tmp_path: Path, team: str
) -> None:
    place = {"Location": f"http://{stranger.host}/v2/elsewhere/blobs/{digest_of(b'')}"}
    proxy.faults += [
        Fault(lambda s: not s.headers.get("Authorization"), 99, status=401, headers=BASIC),
        Fault(lambda s: s.method == "HEAD" and "/blobs/" in s.path, 99, 307, place),
    ]
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    bench.push(image, env={"DOCKER_CONFIG": config_json(tmp_path, proxy.host)})
    assert len(stranger.seen) == 2
    assert all(_without_login(seen) for seen in stranger.seen)


def test_a_redirected_upload_is_refused(proxy: Proxy, stranger: Proxy, bench: Bench) -> None:
    place = {"Location": f"http://{stranger.host}/evil"}
    proxy.faults.append(Fault(lambda s: s.method == "PUT", 99, 307, place))
    assert _push_fails(bench, proxy).endswith(
        f": answered 307, a redirect to {stranger.host}: not followed with what is being sent"
    )
    assert not stranger.seen


def test_redirects_that_never_end(proxy: Proxy, bench: Bench) -> None:
    proxy.faults.append(Fault(lambda s: True, 99, 302, {"Location": "/v2/again"}))
    assert _push_fails(bench, proxy) == f"HEAD {proxy.host}/v2/again: more than 5 redirects"
    assert len(proxy.seen) == 6


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "answered 202 without a Location"),
        ("http://[", "answered 202 with a Location that is no URL"),
        ("file:///etc/passwd", "answered 202 with a Location that is no URL"),
        ("http://example.com/up", "sends us to example.com over plain HTTP, not followed"),
        ("https://a:b@example.com/up", "sends us to example.com with a password of its own"),
        ("/" + "x" * 20_000, "answered 202 with a Location that is no URL"),
    ],
)
def test_locations(proxy: Proxy, bench: Bench, place: str, said: str) -> None:
    headers = {"Location": place} if place else {}
    proxy.faults.append(Fault(lambda s: s.method == "POST", 99, 202, headers))
    assert _push_fails(bench, proxy) == (
        f"POST {proxy.host}/v2/team/hostile/blobs/uploads/: {said}"
    )


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://example.com/t", "names the token server example.com over plain HTTP, "
         "which is not asked"),
        ("file:///etc/passwd", "names a token server that is not a URL"),
        ("https://a@example.com/", "names a token server that is not a URL"),
        ("http://[", "names a token server that is not a URL"),
    ],
)  # fmt: skip
def test_token_realms(proxy: Proxy, bench: Bench, tmp_path: Path, realm: str, said: str) -> None:
    challenge = {"Www-Authenticate": f'Bearer realm="{realm}",service="s"'}
    proxy.faults.append(Fault(lambda s: True, 99, 401, challenge))
    env = {"DOCKER_CONFIG": config_json(tmp_path, proxy.host)}
    where = f"{proxy.host}/v2/team/hostile/manifests/latest"
    # The request is named as a HEAD or the GET that asks for a token: either is the registry's.
    assert _push_fails(bench, proxy, env).partition(" ")[2] == f"{where}: {said}"


def test_a_tls_registry_may_not_send_its_token_requests_over_plain_http(
    registry_host: str, stranger: Proxy, bench: Bench, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    proxy = Proxy(registry_host, authority.server_context())
    challenge = {"Www-Authenticate": f'Bearer realm="http://{stranger.host}/token"'}
    proxy.faults.append(Fault(lambda s: True, 99, 401, challenge))
    env = {
        "DOCKER_CONFIG": config_json(tmp_path, proxy.host),
        "SSL_CERT_FILE": str(tmp_path / "ca" / "ca.crt"),
    }
    with serving(proxy):
        assert _push_fails(bench, proxy, env).endswith(
            f"names the token server {stranger.host} over plain HTTP, which is not asked"
        )
    assert not stranger.seen


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"token": 1}', b'{"token": "a\\r\\nX: y"}',
     b'{"token": "' + b"x" * (2 << 20) + b'"}'],
)  # fmt: skip
def test_junk_instead_of_a_token(
    proxy: Proxy, stranger: Proxy, bench: Bench, tmp_path: Path, body: bytes
) -> None:
    challenge = {"Www-Authenticate": f'Bearer realm="http://{stranger.host}/token"'}
    proxy.faults.append(Fault(lambda s: True, 99, 401, challenge))
    stranger.faults.append(Fault(lambda s: True, 99, 200, body=body))
    said = _push_fails(bench, proxy, {"DOCKER_CONFIG": config_json(tmp_path, proxy.host)})
    assert said.startswith(f"GET {stranger.host}/token: wanted a ")
    assert len(stranger.seen) == 1


def test_a_token_that_was_created(proxy: Proxy, stranger: Proxy, bench: Bench, team: str) -> None:
    challenge = {"Www-Authenticate": f'Bearer realm="http://{stranger.host}/token"'}
    proxy.faults.append(
        Fault(lambda s: s.headers.get("Authorization") != "Bearer good", 99, 401, challenge)
    )
    stranger.faults.append(Fault(lambda s: True, 99, 201, body=b'{"token": "good"}'))
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    bench.push(image)
    assert digest_in(proxy.upstream, f"{team}/api", "latest") == image.top.digest


def test_a_secret_that_is_thrown_back_is_not_shown(
    proxy: Proxy, bench: Bench, tmp_path: Path
) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"not {PASSWORD}\x1b[2J"}]})
    proxy.faults += [
        Fault(lambda s: not s.headers.get("Authorization"), 99, status=401, headers=BASIC),
        Fault(lambda s: s.method == "POST", 99, 403, body=body.encode()),
    ]
    said = _push_fails(bench, proxy, {"DOCKER_CONFIG": config_json(tmp_path, proxy.host)})
    assert said.endswith("/blobs/uploads/: 403 DENIED: not ***[2J")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>gateway</html>", "400 BAD REQUEST"),
        (b"no room left\nsecond line", "400 BAD REQUEST: no room left"),
        (b'{"errors": "x"}', "400 BAD REQUEST"),
        (b'{"errors": [1, {"code": "DENIED", "message": null}]}', "400 DENIED"),
        (b"x" * 500, "400 BAD REQUEST: " + "x" * 300 + "…"),
        (b"\xff" * (4 << 20), "400 BAD REQUEST: " + "\ufffd" * 300 + "…"),
        (b"[" * 200_000, "400 BAD REQUEST"),
    ],
)
def test_words_of_a_refusal(proxy: Proxy, bench: Bench, body: bytes, said: str) -> None:
    proxy.faults.append(Fault(lambda s: s.method == "POST", 99, 400, body=body))
    assert _push_fails(bench, proxy) == (
        f"POST {proxy.host}/v2/team/hostile/blobs/uploads/: {said}"
    )


def test_a_registry_that_takes_back_what_it_had(proxy: Proxy, bench: Bench) -> None:
    def nothing_new(headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "range": "0-99"}

    proxy.faults.append(Fault(lambda s: s.method == "PATCH", 99, change=nothing_new))
    image = bench.image(f"{proxy.host}/team/hostile", bytes(3 << 20))
    with pytest.raises(SinkError) as error:
        bench.push(image, limits=LIMITS)
    assert "which cannot be\n" in str(error.value) or "has 100 bytes" in str(error.value)
    assert proxy.count("PATCH") < 10


def test_drips_that_never_end(bench: Bench) -> None:
    with saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, 0.05) as host:
        start = time.monotonic()
        image = bench.image(f"{host}/team/hostile", b"x")
        with pytest.raises(SinkError, match="no whole answer within 1 s"):
            bench.push(image, limits=LIMITS)
        assert time.monotonic() - start < 6


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n"]
)
def test_something_that_is_no_registry(bench: Bench, answer: bytes) -> None:
    with saying(answer) as host:
        image = bench.image(f"{host}/team/hostile", b"x")
        with pytest.raises(SinkError, match=r"HEAD 127\.0\.0\.1:\d+/v2/"):
            bench.push(image, limits=LIMITS)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(b'{"errors": [{"code": "DENIED", "message": "no"}]}'), "400 DENIED: no"),
        (gzip.compress(b" " * (64 << 20)), "400 BAD REQUEST"),
        (b"no", "its answer is not compressed as it says"),
    ],
    ids=["an error", "a bomb", "none"],
)
def test_an_answer_that_is_compressed_unasked(
    proxy: Proxy, bench: Bench, body: bytes, said: str
) -> None:
    headers = {"Content-Encoding": "gzip"}
    proxy.faults.append(Fault(lambda s: s.method == "POST", 99, 400, headers, body))
    assert _push_fails(bench, proxy) == (
        f"POST {proxy.host}/v2/team/hostile/blobs/uploads/: {said}"
    )
