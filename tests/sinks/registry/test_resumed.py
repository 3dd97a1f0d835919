"""Killed in the middle of an upload and run again: what the registry has is not sent twice."""

import json
import signal
import stat
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.registry.plan import PushImage
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.servers import digest_in, serving
from tests.registry.small import SmallRegistry

from .bench import LARGE, QUICK, Bench

MIB = 1 << 20
OCTETS = {"Content-Type": "application/octet-stream"}


def _starts_at(offset: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.headers.get("Content-Range", "").startswith(f"{offset}-")


def _kill_at_third_chunk(proxy: Proxy, bench: Bench, repository: str, arrives: int) -> Path:
    """Kill a push when the registry has two chunks, and *arrives* bytes of the third.

    Returns: the file that it left.
    """
    process: list[subprocess.Popen[bytes]] = []
    kill = Fault(_starts_at(2 * MIB), after=arrives, act=lambda: process[0].send_signal(9))
    proxy.faults.append(kill)
    process.append(bench.push_apart(repository))
    assert process[0].wait(30) == -signal.SIGKILL
    (left,) = (bench.root / "uploads").iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    return left


def _starts(proxy: Proxy) -> list[int]:
    ranges = [seen.headers["Content-Range"] for seen in proxy.seen if seen.method == "PATCH"]
    return [int(text.partition("-")[0]) for text in ranges]


def _sent(proxy: Proxy) -> int:
    return sum(seen.size for seen in proxy.seen if seen.method == "PATCH")


@pytest.fixture
def small() -> Iterator[Proxy]:
    """Before a registry that keeps each byte that it got."""
    registry = SmallRegistry()
    proxy = Proxy(registry.host)
    with serving(registry), serving(proxy):
        yield proxy


def test_killed_between_two_chunks_and_run_again(proxy: Proxy, bench: Bench, team: str) -> None:
    repository = f"{proxy.host}/{team}/api"
    (old,) = bench.push(bench.image(repository, b"old"))
    left = _kill_at_third_chunk(proxy, bench, repository, 0)
    assert digest_in(proxy.host, f"{team}/api", "latest") == old.digest
    proxy.seen.clear()
    image = bench.large(repository)
    bench.push(image)
    assert _starts(proxy) == [2 * MIB, 3 * MIB, 4 * MIB]
    assert _sent(proxy) == len(LARGE) - 2 * MIB
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest
    assert not left.exists()


def test_killed_in_a_chunk_that_this_registry_then_has_by_halves(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    # docker-registry takes back no session whose last chunk was cut.
    left = _kill_at_third_chunk(proxy, bench, f"{proxy.host}/{team}/api", 1000)
    proxy.seen.clear()
    image = bench.large(f"{proxy.host}/{team}/api")
    bench.push(image)
    assert _starts(proxy) == [n * MIB for n in range(5)]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest
    assert not left.exists()


def test_killed_in_a_chunk_whose_part_a_registry_keeps(small: Proxy, bench: Bench) -> None:
    _kill_at_third_chunk(small, bench, f"{small.host}/team/api", 1000)
    small.seen.clear()
    image = bench.large(f"{small.host}/team/api")
    bench.push(image)
    assert _starts(small) == [n * MIB + 1000 for n in (2, 3, 4)]
    assert _sent(small) == len(LARGE) - 2 * MIB - 1000
    assert digest_in(small.host, "team/api", "latest") == image.top.digest


def test_all_was_sent_but_not_closed(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.large(f"{proxy.host}/{team}/api")
    _fail(bench, proxy, image, Fault(lambda s: s.method == "PUT" and "/blobs/" in s.path))
    bench.push(image)
    assert _starts(proxy) == []
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def test_a_session_that_the_registry_no_longer_knows(proxy: Proxy, bench: Bench, team: str) -> None:
    image = bench.large(f"{proxy.host}/{team}/api")
    left = _fail(bench, proxy, image, Fault(_starts_at(3 * MIB)))
    proxy.faults.append(Fault(lambda s: s.method == "GET", status=404))
    bench.push(image)
    assert _starts(proxy) == [n * MIB for n in range(5)]
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest
    assert not left.exists()


@pytest.mark.parametrize("which", ["proxy", "small"])
def test_a_session_with_other_bytes_is_begun_anew(
    which: str, request: pytest.FixtureRequest, bench: Bench, team: str
) -> None:
    front: Proxy = request.getfixturevalue(which)
    path = team if which == "proxy" else "team/api"
    image = bench.large(f"{front.host}/{path}")
    left = _fail(bench, front, image, Fault(_starts_at(3 * MIB)))
    left.write_text(json.dumps({"location": _another_session(front.host, path), "chunk": 1}))
    front.seen.clear()
    bench.push(image)
    assert _starts(front) == [n * MIB for n in (4, 0, 1, 2, 3, 4)]
    assert digest_in(front.host, path, "latest") == image.top.digest


@pytest.mark.parametrize(
    ("junk", "text"),
    [
        ("empty", ""),
        ("cut", "{"),
        ("list", "[]"),
        ("deep", "[" * 100_000),
        ("number", '{"location": 1, "chunk": 1}'),
        ("half", '{"location": "x"}'),
        ("elsewhere", '{"location": "http://127.0.0.1:1/elsewhere", "chunk": 1048576}'),
        ("no-url", '{"location": "http://[", "chunk": 1048576}'),
        ("negative", '{"location": "x", "chunk": -1}'),
    ],
)
def test_junk_instead_of_a_session(
    proxy: Proxy, bench: Bench, team: str, junk: str, text: str
) -> None:
    image = bench.large(f"{proxy.host}/{team}/api")
    left = _fail(bench, proxy, image, Fault(_starts_at(3 * MIB)))
    left.write_text(text)
    bench.push(image)
    assert _starts(proxy) == [n * MIB for n in range(5)]
    assert proxy.count("GET") == 0
    assert not left.exists()


def test_a_registry_that_is_not_there_loses_no_session(
    proxy: Proxy, bench: Bench, team: str
) -> None:
    image = bench.large(f"{proxy.host}/{team}/api")
    left = _fail(bench, proxy, image, Fault(_starts_at(3 * MIB)))
    _fail(bench, proxy, image, Fault(lambda s: s.method == "GET", after=0))
    assert left.exists()
    bench.push(image)
    assert _starts(proxy) == [3 * MIB, 4 * MIB]


def test_where_nothing_can_be_kept_all_is_sent(proxy: Proxy, bench: Bench, team: str) -> None:
    (bench.root / "uploads").write_text("no folder")
    image = bench.large(f"{proxy.host}/{team}/api")
    bench.push(image)
    assert digest_in(proxy.host, f"{team}/api", "latest") == image.top.digest


def _fail(bench: Bench, proxy: Proxy, image: PushImage, fault: Fault) -> Path:
    """Push *image* while *fault* goes on (else 403); the file that is left, kept out of errors."""
    fault.times = 99
    if fault.after is None:
        fault.status = 403
    proxy.faults.append(fault)
    with pytest.raises(SinkError) as error:
        bench.push(image, limits=QUICK)
    proxy.faults.clear()
    proxy.seen.clear()
    (left,) = (bench.root / "uploads").iterdir()
    location = json.loads(left.read_text())["location"]
    assert location.startswith(f"http://{proxy.host}/v2/")
    assert location not in str(error.value)
    assert "_state" not in str(error.value)
    return left


def _another_session(host: str, path: str) -> str:
    """The location of an upload that has four MiB of something else."""
    location = f"http://{host}/v2/{path}/blobs/uploads/"
    for method, body, headers in (
        ("POST", b"", {}),
        ("PATCH", bytes(4 * MIB), {"Content-Range": f"0-{4 * MIB - 1}", **OCTETS}),
    ):
        asked = urllib.request.Request(location, body, headers, method=method)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            location = urljoin(location, answer.headers["Location"])
    return location
