"""Dropped connections, busy registries, lost answers: the right image, or a clear error."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import urllib3.util.connection

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at
from scratchtasks.registry.reference import parse_repository
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.raw import black_hole, silent
from tests.registry.servers import digest_in, free_port, serving
from tests.registry.small import SmallRegistry

from .bench import QUICK, Bench

BIG = bytes(range(256)) * 4 * 1024 * 5  # 5 MiB: five chunks


def _is_blob_put(seen: Seen) -> bool:
    return seen.method == "PUT" and "/blobs/" in seen.path


def _is_patch(seen: Seen) -> bool:
    return seen.method == "PATCH"


def test_a_large_blob_goes_in_chunks(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    chunks = [seen for seen in proxy.seen if seen.method == "PATCH"]
    assert [seen.headers["Content-Range"] for seen in chunks] == [
        f"{n << 20}-{(n + 1 << 20) - 1}" for n in range(5)
    ]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def _starts_at(offset: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.headers.get("Content-Range", "").startswith(f"{offset}-")


@pytest.mark.parametrize("fault", [Fault(bool, status=502), Fault(bool, after=0)])
def test_a_chunk_that_did_not_arrive_is_sent_again_alone(
    proxy: Proxy, bench: Bench, team: str, fault: Fault
) -> None:
    proxy.faults.append(replace(fault, when=_starts_at(2 << 20)))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    starts = [int(s.headers["Content-Range"].partition("-")[0]) for s in _patches(proxy)]
    assert [start >> 20 for start in starts] == [0, 1, 2, 2, 3, 4]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_first_chunk_that_did_not_arrive(proxy: Proxy, bench: Bench, team: str) -> None:
    proxy.faults.append(Fault(_starts_at(0), status=502))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    # "Range: 0-0" is said of one byte and of none.
    starts = [int(s.headers["Content-Range"].partition("-")[0]) for s in _patches(proxy)]
    assert [start / (1 << 20) for start in starts] == [0, 0, 1, 2, 3, 4]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_manifest_before_its_blobs_have_settled(proxy: Proxy, bench: Bench, team: str) -> None:
    body = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}'
    fault = Fault(lambda s: s.method == "PUT" and "/manifests/" in s.path, 2, 400, body=body)
    proxy.faults.append(fault)
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    bench.push(image)
    assert not fault.times
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize("fault", [Fault(bool, after=300_000), Fault(bool, deaf=True)])
def test_this_registry_forgets_a_session_that_was_cut_in_a_chunk(
    proxy: Proxy, bench: Bench, team: str, fault: Fault
) -> None:
    proxy.faults.append(replace(fault, when=_starts_at(2 << 20)))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    starts = [int(s.headers["Content-Range"].partition("-")[0]) for s in _patches(proxy)]
    assert [start >> 20 for start in starts] == [0, 1, 2, 0, 1, 2, 3, 4]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize("fault", [Fault(bool, after=300_000), Fault(bool, deaf=True)])
def test_a_registry_that_keeps_what_it_got_is_sent_the_rest(bench: Bench, fault: Fault) -> None:
    registry = SmallRegistry()
    proxy = Proxy(registry.host)
    with serving(registry), serving(proxy):
        proxy.faults.append(replace(fault, when=_starts_at(2 << 20)))
        image = bench.image(f"{proxy.host}/team/api", BIG)
        bench.push(image)
        starts = [int(s.headers["Content-Range"].partition("-")[0]) for s in _patches(proxy)]
        # What was on its way when the connection was cut is not sent twice.
        again = (2 << 20) + fault.after if fault.after else 3 << 20
        assert starts[:4] == [0, 1 << 20, 2 << 20, again]
        assert registry.blobs[digest_of(BIG)] == BIG
        assert digest_in(proxy.host, "team/api", "latest") == image.top.digest


def _patches(proxy: Proxy) -> list[Seen]:
    return [seen for seen in proxy.seen if seen.method == "PATCH"]


def test_chunks_that_are_not_supported(proxy: Proxy, bench: Bench, team: str) -> None:
    proxy.faults.append(Fault(_is_patch, times=99, status=405))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    assert len(BIG) in [seen.size for seen in proxy.seen if seen.method == "PUT"]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize("status", [400, 404, 405, 416])
def test_a_second_chunk_that_is_not_supported(
    proxy: Proxy, bench: Bench, team: str, status: int
) -> None:
    def is_later(seen: Seen) -> bool:
        return _is_patch(seen) and not seen.headers["Content-Range"].startswith("0-")

    proxy.faults.append(Fault(is_later, times=99, status=status))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    assert len(BIG) in [seen.size for seen in proxy.seen if seen.method == "PUT"]
    assert len(_patches(proxy)) <= 3
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_session_that_is_gone_is_asked_for_before_all_is_sent_at_once(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    proxy.faults.append(Fault(_starts_at(2 << 20), status=404))
    image = bench.image(f"{proxy.host}/{team}/api", BIG)
    bench.push(image)
    starts = [int(s.headers["Content-Range"].partition("-")[0]) for s in _patches(proxy)]
    assert [start >> 20 for start in starts] == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("status", [403, 405, 500])
def test_a_mount_that_is_not_possible(proxy: Proxy, bench: Bench, team: str, status: int) -> None:
    images = [bench.image(f"{proxy.host}/{team}/{name}", b"shared" * 99) for name in "ab"]
    proxy.faults.append(Fault(lambda seen: "mount=" in seen.path, times=99, status=status))
    bench.push(*images)
    assert digest_in(proxy.host, f"{team}/b", "latest") == images[1].top.digest


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    "fault", [Fault(bool, status=408), Fault(bool, status=503), Fault(bool, deaf=True)]
)
def test_one_failure_of_each_kind(
    proxy: Proxy, bench: Bench, team: str, method: str, fault: Fault
) -> None:
    mine = replace(fault, when=lambda seen: seen.method == method)
    proxy.faults.append(mine)
    image = bench.image(f"{proxy.host}/{team}/api", b"a", b"b")
    bench.push(image)
    assert not mine.times
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_an_upload_that_is_cut(proxy: Proxy, bench: Bench, team: str) -> None:
    proxy.faults.append(Fault(_is_blob_put, after=10))
    image = bench.image(f"{proxy.host}/{team}/api", b"x" * 100_000)
    bench.push(image)
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_retry_after_is_honoured(proxy: Proxy, bench: Bench, team: str) -> None:
    proxy.faults.append(
        Fault(_is_blob_put, status=429, headers={"Retry-After": "1"}, body=b"slow down")
    )
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    start = time.monotonic()
    bench.push(image)
    assert time.monotonic() - start >= 1
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_wait_that_is_too_long_is_an_error(proxy: Proxy, bench: Bench, team: str) -> None:
    body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}'
    proxy.faults.append(
        Fault(_is_blob_put, times=9, status=429, headers={"Retry-After": "3600"}, body=body)
    )
    with pytest.raises(SinkError) as error:
        bench.push(bench.image(f"{proxy.host}/{team}/api", b"x"))
    assert "429 TOOMANYREQUESTS: pull rate limit; it asks to wait 3600 s\n" in str(error.value)
    assert str(error.value).endswith("\n    hint: try again later")


def test_a_registry_that_stays_ill(proxy: Proxy, bench: Bench, team: str) -> None:
    proxy.faults.append(Fault(lambda seen: seen.method == "POST", times=99, status=500))
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    with pytest.raises(SinkError, match="500 INTERNAL SERVER ERROR") as error:
        bench.push(image)
    assert str(error.value).splitlines()[1] == "    every tag is where it was"
    assert digest_in(proxy.host, f"{team}/api", "latest") == ""
    proxy.faults.clear()
    bench.push(image)  # running again continues
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


@pytest.mark.parametrize("part", ["/blobs/", "/manifests/"])
def test_a_wrong_digest_is_an_error(proxy: Proxy, bench: Bench, team: str, part: str) -> None:
    wrong = digest_of(b"something else")

    def lie(headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "docker-content-digest": wrong}

    proxy.faults.append(
        Fault(lambda seen: seen.method == "PUT" and part in seen.path, times=99, change=lie)
    )
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    with pytest.raises(SinkError) as error:
        bench.push(image)
    assert f"the registry says it stored '{wrong}' (wanted sha256:" in str(error.value)
    assert digest_in(proxy.host, f"{team}/api", "latest") == ""


def test_a_registry_that_does_not_tell_digests(proxy: Proxy, bench: Bench, team: str) -> None:
    def silent(headers: dict[str, str]) -> dict[str, str]:
        return {k: v for k, v in headers.items() if k != "docker-content-digest"}

    proxy.faults.append(Fault(lambda _: True, times=999, change=silent))
    image = bench.image(f"{proxy.host}/{team}/api", b"x")
    bench.push(image)
    proxy.seen.clear()
    bench.push(image)
    assert [seen.method for seen in proxy.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [405, 501])
def test_a_registry_that_refuses_to_be_asked_by_head(
    proxy: Proxy, bench: Bench, team: str, status: int
) -> None:
    proxy.faults.append(Fault(lambda seen: seen.method == "HEAD", times=999, status=status))
    image = bench.image(f"{proxy.host}/{team}/api", bytes(3 << 20))
    bench.push(image)
    assert digest_in(proxy.upstream, f"{team}/api", "latest") == image.top.digest
    bench.push(bench.image(f"{proxy.host}/{team}/api", bytes(3 << 20), b"new", tags=("2",)))
    assert proxy.count("POST") == 2 + 2  # configs and layers: what is there is not sent again
    proxy.seen.clear()
    bench.push(image)
    assert [seen.method for seen in proxy.seen] == ["HEAD", "GET"]


def test_a_registry_that_is_not_there(bench: Bench, proxy: Proxy, team: str) -> None:
    image = bench.image(f"127.0.0.1:1/{team}/api", b"x")
    with pytest.raises(SinkError) as error:
        bench.push(image, limits=replace(QUICK, attempts=2))
    assert str(error.value) == (
        f"HEAD 127.0.0.1:1/v2/{team}/api/manifests/latest: no connection: Connection refused"
    )


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each time a connection was tried, also where nobody is there to count."""
    tried: list[object] = []
    create = urllib3.util.connection.create_connection

    def count(*args: Any, **options: Any) -> Any:
        tried.append(args[0])
        return create(*args, **options)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", count)
    return tried


def _push_many(bench: Bench, host: str, number: int) -> str:
    images = [bench.image(f"{host}/team/s{n}", str(n).encode()) for n in range(number)]
    with pytest.raises(SinkError) as error:
        bench.push(*images, limits=replace(QUICK, attempts=3, connect=0.1, idle=0.2))
    assert str(error.value).startswith(f"HEAD {host}/v2/team/s")
    return str(error.value).partition(": ")[2]


def test_a_silent_registry_is_waited_for_once_and_not_by_each_image(bench: Bench) -> None:
    with silent() as (host, heard):
        assert _push_many(bench, host, 20) == "no answer within 0.2 s"
    # Loopback is asked by HTTP and by TLS; who was silent, once more.
    assert [said[:5] for said in heard] == [b"HEAD ", heard[1][:5]] * 2


def test_a_registry_that_refuses_is_tried_as_often_as_for_one_image(
    bench: Bench, connects: list[object]
) -> None:
    assert _push_many(bench, f"127.0.0.1:{free_port()}", 20) == "no connection: Connection refused"
    assert len(connects) == 3 * 2


def test_a_black_hole_is_tried_as_often_as_for_one_image(
    bench: Bench, connects: list[object]
) -> None:
    with black_hole() as host:
        assert _push_many(bench, host, 20) == "no connection within 0.1 s"
    assert len(connects) == 2 * 2


def test_a_silent_token_server_is_asked_as_often_as_for_one_image(
    proxy: Proxy, bench: Bench
) -> None:
    with silent() as (host, heard):
        challenge = {"Www-Authenticate": f'Bearer realm="http://{host}/token"'}
        proxy.faults.append(Fault(lambda s: True, 99, 401, challenge))
        images = [bench.image(f"{proxy.host}/team/s{n}", b"x") for n in range(20)]
        with pytest.raises(SinkError, match=f"GET {host}/token: no answer within 0.2 s"):
            bench.push(*images, limits=replace(QUICK, attempts=3, idle=0.2))
    assert len(heard) == 2 * 2  # each try of the request tries the token server twice


def test_a_registry_that_was_silent_is_asked_again_by_the_next_push(
    bench: Bench, registry_host: str, team: str
) -> None:
    front = Proxy(registry_host)
    front.faults.append(Fault(lambda _: True, times=2, after=0))
    image = bench.image(f"{front.host}/{team}/api", b"x")
    with serving(front):
        with pytest.raises(SinkError, match="the connection was dropped"):
            bench.push(image, limits=replace(QUICK, attempts=1))
        bench.push(image)
    assert digest_in(registry_host, f"{team}/api", "latest") == image.top.digest


def test_a_registry_that_was_busy_at_first_is_asked_by_the_others_too(
    proxy: Proxy, team: str
) -> None:
    # It answered: what it says to one request is not what it says to all.
    proxy.faults.append(Fault(lambda s: "/busy/" in s.path, times=99, status=503))
    busy, api = (parse_repository(f"{proxy.host}/{team}/{name}") for name in ("busy", "api"))
    with Registry({}, limits=replace(QUICK, attempts=1)) as client:
        with pytest.raises(SinkError, match="503 SERVICE UNAVAILABLE"):
            digest_at(client, busy, "latest")
        assert digest_at(client, api, "latest") is None
    assert len(proxy.seen) == 2
