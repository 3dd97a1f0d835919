"""Single requests: where they go, how long they may take, what of their answers is believed."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.oci import media
from scratchtasks.registry.client import Registry
from scratchtasks.registry.connection import Deadline
from scratchtasks.registry.errors import RegistryError
from scratchtasks.registry.manifests import (
    Manifest,
    delete_manifest,
    digest_at,
    fetch_manifest,
    put_manifest,
)
from scratchtasks.registry.reference import parse_repository
from scratchtasks.registry.transport import Answer, Body, Limits

from .proxy import Fault, Proxy
from .raw import black_hole, saying
from .servers import PASSWORD, Authority, TokenServer, config_json, registry, serving
from .small import SmallRegistry

QUICK = Limits(attempts=2, backoff=0.01, wait=2, idle=5, answer=0.5, connect=5)
API = "registry.example.com/team/api"


@pytest.mark.parametrize("length", [b"Content-Length: 9999\r\n", b""])
def test_a_slow_answer_ends_though_its_connection_ends_with_it(length: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n"
    with saying(head + b"x" * 200, 0.02, len(head)) as host:
        start = time.monotonic()
        api = parse_repository(f"{host}/team/api")
        limits = replace(QUICK, attempts=1)
        with Registry({}, limits=limits) as client, pytest.raises(SinkError) as error:
            fetch_manifest(client, api, "latest")
        assert str(error.value) == (
            f"GET {host}/v2/team/api/manifests/latest: no whole answer within 0.5 s"
        )
        assert time.monotonic() - start < 3  # the whole answer would take four


@pytest.mark.parametrize(
    ("repository", "location", "wanted"),
    [
        (API, "/v2/up?a=b#c", "https://registry.example.com/v2/up?a=b"),
        (API, "up", "https://registry.example.com/v2/team/api/blobs/up"),
        (API, "https://registry.example.com:443/up", "https://registry.example.com/up"),
        (API, "http://registry.example.com/up", "https://registry.example.com/up"),
        (API, "http://registry.example.com:80/up", "https://registry.example.com/up"),
        (API, "https://REGISTRY.example.com/up", "https://registry.example.com/up"),
        (API, "https://registry.example.com:8443/up", "https://registry.example.com:8443/up"),
        ("r.example:443/api", "https://r.example/up", "https://r.example:443/up"),
        ("localhost:80/api", "http://localhost/up", "http://localhost:80/up"),
        ("[::1]:5000/api", "http://[::1]:5000/up", "http://[::1]:5000/up"),
    ],
)
def test_where_a_location_leads(repository: str, location: str, wanted: str) -> None:
    api = parse_repository(repository)
    scheme = "http" if api.host.startswith(("localhost", "[")) else "https"
    answer = Answer(202, {"location": location}, b"", f"{scheme}://{api.host}/v2/team/api/blobs/x")
    with Registry({}) as client:
        assert client.location(answer, "POST", api) == wanted


def test_secrets_go_to_the_registry_however_it_spells_its_port() -> None:
    with Registry({}) as client:
        site = client._site(parse_repository(API))
    for url in ("https://registry.example.com:443/", "http://registry.example.com/"):
        assert site.owns(urlsplit(url))
    for url in ("https://registry.example.com:444/", "https://registry.example.com.evil/"):
        assert not site.owns(urlsplit(url))


def test_a_secret_is_not_shown_where_words_are_cut_off(proxy: Proxy, tmp_path: Path) -> None:
    basic = {"Www-Authenticate": 'Basic realm="x"'}
    message = "x" * (300 - len(PASSWORD) // 2) + PASSWORD
    body = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
    proxy.faults += [
        Fault(lambda s: not s.headers.get("Authorization"), 99, status=401, headers=basic),
        Fault(lambda s: True, 99, 403, body=body),
    ]
    api = parse_repository(f"{proxy.host}/team/api")
    env = {"DOCKER_CONFIG": config_json(tmp_path, proxy.host)}
    with Registry(env, limits=QUICK) as client, pytest.raises(SinkError) as error:
        fetch_manifest(client, api, "latest")
    told = str(error.value).partition("\n")[0]
    assert told.endswith("403 DENIED: " + "x" * (300 - len(PASSWORD) // 2) + "***")


def test_a_manifest_by_digest_is_the_one_that_was_asked_for(proxy: Proxy, team: str) -> None:
    api = parse_repository(f"{proxy.host}/{team}/api")
    wanted = digest_of(b"what was asked for")
    proxy.faults.append(Fault(lambda s: s.method == "GET", 1, 200, body=b"something else"))
    with Registry({}, limits=QUICK) as client, pytest.raises(SinkError) as error:
        fetch_manifest(client, api, wanted)
    assert str(error.value) == (
        f"{proxy.host}/{team}/api@{wanted}: digest mismatch: the registry sent "
        f"{digest_of(b'something else')}"
    )


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    server = TokenServer(Authority(tmp_path_factory.mktemp("authority")))
    with serving(server):
        yield server


def test_taking_away_asks_for_that_right(tokens: TokenServer, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", auth=tokens.auth) as host:
        env = {"DOCKER_CONFIG": config_json(tmp_path / "docker", host)}
        with Registry(env, limits=QUICK) as client:
            # Debian's registry allows it, and then says that it cannot do it for tags.
            assert not delete_manifest(client, parse_repository(f"{host}/team/api"), "latest")
    assert tokens.asked == [("GET", ("repository:team/api:pull,push,delete",))]


@pytest.mark.parametrize("seconds", ["1" * 400, "1e999", "-5", "true", '"60"', "NaN"])
def test_how_long_a_token_lives_may_be_any_number(seconds: str, tmp_path: Path) -> None:
    small = SmallRegistry()
    front, token_server = Proxy(small.host), Proxy(small.host)
    body = f'{{"token": "abc", "expires_in": {seconds}}}'.encode()
    token_server.faults.append(Fault(lambda s: True, 99, 200, body=body))
    with serving(small), serving(front), serving(token_server):
        challenge = {"Www-Authenticate": f'Bearer realm="http://{token_server.host}/token"'}
        front.faults.append(Fault(lambda s: not s.headers.get("Authorization"), 99, 401, challenge))
        with Registry({}, limits=QUICK) as client:
            api = parse_repository(f"{front.host}/team/api")
            for _ in range(2):
                assert digest_at(client, api, "latest") is None
    assert len(token_server.seen) == 1


def test_what_is_put_is_what_is_fetched(proxy: Proxy, team: str) -> None:
    api = parse_repository(f"{proxy.host}/{team}/api")
    manifest = Manifest(media.INDEX, b'{"schemaVersion": 2, "manifests": []}')
    with Registry({}, limits=QUICK) as client:
        put_manifest(client, api, manifest, "latest")
        charset = {"content-type": f"{media.INDEX}; charset=utf-8"}
        proxy.faults.append(Fault(lambda s: True, 1, change=lambda headers: headers | charset))
        assert fetch_manifest(client, api, "latest") == manifest
        assert fetch_manifest(client, api, digest_of(manifest.data)) == manifest
        assert fetch_manifest(client, api, "absent") is None


def test_a_request_is_made_where_no_thread_can_be_had(
    proxy: Proxy, team: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: Deadline) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(Deadline, "start", refuse)
    with Registry({}, limits=QUICK) as client:
        assert digest_at(client, parse_repository(f"{proxy.host}/{team}/api"), "latest") is None


def test_a_page_instead_of_an_answer_is_no_yes(proxy: Proxy, team: str) -> None:
    api = parse_repository(f"{proxy.host}/{team}/api")
    manifest = Manifest(media.INDEX, b'{"schemaVersion": 2, "manifests": []}')
    page = b"<html>please log in</html>"
    with Registry({}, limits=QUICK) as client:
        proxy.faults.append(Fault(lambda s: s.method == "PUT", 1, 200, body=page))
        with pytest.raises(RegistryError) as error:
            put_manifest(client, api, manifest, "latest")
        assert str(error.value) == (
            f"PUT {proxy.host}/v2/{team}/api/manifests/latest: answered 200, but did not store it "
            f"(wanted {digest_of(manifest.data)}, got none)\n"
            "    hint: something before the registry may have answered in its place"
        )
        put_manifest(client, api, manifest, "latest")
        proxy.faults.append(Fault(lambda s: s.method == "PUT", 1, 202))
        put_manifest(client, api, manifest, "latest")  # it is there


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (b"<html>please log in</html>", "text/html"),
        (b'{"error": "please log in"}', "application/json"),
        (b'"schemaVersion"', "text/json"),
        (b"[" * 100_000, ""),
    ],
)
def test_a_page_instead_of_a_manifest_is_no_digest(proxy: Proxy, page: bytes, kind: str) -> None:
    api = parse_repository(f"{proxy.host}/team/api")
    proxy.faults.append(Fault(lambda s: True, 2, 200, {"Content-Type": kind}, page))
    with Registry({}, limits=QUICK) as client:
        with pytest.raises(RegistryError) as error:
            digest_at(client, api, "latest")
        assert str(error.value) == (
            f"GET {proxy.host}/v2/team/api/manifests/latest: answered 200, but with no manifest "
            f"(got {kind!r})\n"
            "    hint: something before the registry may have answered in its place"
        )
        assert digest_at(client, api, "latest") is None  # the portal lets us through now


def test_two_challenges_in_two_headers(proxy: Proxy) -> None:
    head = (
        b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n"
        b'WWW-Authenticate: Bearer realm="http://%s/token"\r\n'
        b"WWW-Authenticate: Negotiate\r\n\r\n" % proxy.host.encode()
    )
    refused = pytest.raises(SinkError, match=f"GET {proxy.host}/token: 404 NOT FOUND")
    with saying(head) as host, Registry({}, limits=QUICK) as client, refused:
        digest_at(client, parse_repository(f"{host}/team/api"), "latest")
    assert [str(seen) for seen in proxy.seen] == ["GET /token"]


def test_a_host_that_takes_no_connection_is_not_asked_for_minutes() -> None:
    with black_hole() as host:
        api = parse_repository(f"{host}/team/api")
        limits = replace(QUICK, attempts=9, connect=0.2)
        with Registry({}, limits=limits) as client, pytest.raises(RegistryError) as error:
            digest_at(client, api, "latest")
    assert str(error.value) == (
        f"HEAD {host}/v2/team/api/manifests/latest: no connection within 0.2 s"
    )
    assert error.value.is_timeout  # so it was tried twice


@pytest.mark.parametrize("is_first", [True, False])
def test_a_registry_that_reads_nothing_has_the_time_of_an_answer(is_first: bool) -> None:
    # Longer than a connection may take: a busy disk is not a broken network.
    limits = replace(QUICK, attempts=1, connect=0.1, idle=0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        api = parse_repository(f"{host}/team/api")
        accepted: list[socket.socket] = []

        def answer_once() -> None:
            accepted.append(listener.accept()[0])
            if not is_first:
                accepted[0].recv(4096)
                accepted[0].sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        server = threading.Thread(target=answer_once)
        server.start()
        size = 64 << 20
        body = Body(size, lambda: (bytes(1 << 20) for _ in range(size >> 20)))
        try:
            with Registry({}, limits=limits) as client:
                if not is_first:
                    digest_at(client, api, "latest")
                start = time.monotonic()
                with pytest.raises(RegistryError) as error:
                    client.request(api, "PUT", "manifests/x", wanted=(201,), body=body, tries=1)
        finally:
            server.join()
            accepted[0].close()
    what = "takes nothing of what is sent for 0.5 s"
    assert str(error.value) == f"PUT {host}/v2/team/api/manifests/x: {what}"
    assert time.monotonic() - start > 0.5


def test_a_helper_that_fails_is_asked_once(proxy: Proxy, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-bad"
    helper.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\nexit 1\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "bad"}')
    env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    proxy.faults.append(Fault(lambda s: True, 99, 401, {"Www-Authenticate": 'Basic realm="x"'}))
    with Registry(env, limits=QUICK) as client:
        for name in ("api", "web"):
            with pytest.raises(SinkError) as error:
                digest_at(client, parse_repository(f"{proxy.host}/team/{name}"), "latest")
            assert str(error.value) == (
                f"docker-credential-bad get: failed for {proxy.host} with exit status 1"
            )
    assert (tmp_path / "log").read_text() == "asked\n"
