"""Without a daemon: nothing stays behind, other architectures, and machines that do not let us."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from scratchtasks.config.structure import parse_structure
from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import Platform, host_platform
from scratchtasks.core.target import Smoke, User
from scratchtasks.execute.process import Cancelled
from scratchtasks.sinks.smoke.enter import KERNEL_S_OWN
from scratchtasks.sinks.smoke.namespace import bubblewrap, unshare
from scratchtasks.sinks.smoke.private import private_folder
from scratchtasks.sinks.smoke.trial import trial_of
from scratchtasks.sinks.smoke.verdict import WAYS, Way

from .images import APP, PROGRAM, Bench, compile_program
from .test_structure import tried
from .test_tree import LARGE
from .test_ways import WHERE, processes_with

NAMESPACES: tuple[Way, ...] = ("bubblewrap", "unshare")
OTHER = Platform("linux", "arm64" if host_platform().architecture == "amd64" else "amd64")


@pytest.fixture(scope="session")
def foreign_program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`program.go` for an architecture that is not this machine's."""
    return compile_program(tmp_path_factory.mktemp("foreign") / "api", OTHER)


@pytest.mark.parametrize("way", NAMESPACES)
def test_no_file_stays_behind_and_the_store_is_untouched(bench: Bench, way: Way) -> None:
    image = bench.image()
    before = {path: path.stat() for path in Path(bench.folder).parent.rglob("sha256/*/*")}
    with nothing_unpacked(bench):
        bench.smoke(image, way, "write", "/home/app/new", "write", PROGRAM)
        with pytest.raises(SinkError):
            bench.smoke(image, way, "exit", "1")
    after = {path: path.stat() for path in Path(bench.folder).parent.rglob("sha256/*/*")}
    assert {path: (s.st_mtime_ns, s.st_mode, s.st_nlink) for path, s in after.items()} == {
        path: (s.st_mtime_ns, s.st_mode, s.st_nlink) for path, s in before.items()
    }


@contextmanager
def nothing_unpacked(bench: Bench) -> Iterator[None]:
    """Holds that nothing is put, not even for a while, where private copies are made."""
    os.makedirs(bench.folder, exist_ok=True)
    os.utime(bench.folder, (0, 0))
    yield
    assert (os.listdir(bench.folder), os.stat(bench.folder).st_mtime) == ([], 0)


@contextmanager
def all_unpacked(bench: Bench) -> Iterator[None]:
    """Holds that there was a private copy, and is none any more."""
    os.makedirs(bench.folder, exist_ok=True)
    os.utime(bench.folder, (0, 0))
    yield
    assert os.listdir(bench.folder) == []
    assert os.stat(bench.folder).st_mtime != 0


@pytest.mark.parametrize("count", [0, 2000])
@pytest.mark.parametrize("way", NAMESPACES)
def test_more_files_than_bubblewrap_takes_are_in_memory_too(
    bench: Bench, way: Way, count: int
) -> None:
    large = bench.file("srv/large", LARGE)
    small = [bench.file(f"srv/{number}", b"x%d" % number) for number in range(count + 1)]
    refused = "read-only file system|permission denied"
    with nothing_unpacked(bench):
        bench.smoke(
            bench.image([large, *small]), way, "mode", "/srv/large", "write", "/srv/large",
            "write", "/srv/0", "write", "/tmp/new", "cat", f"/srv/{count}", "mode", "/etc/secret",
            stdout=rf"^mode /srv/large: 444\nwrite /srv/large: ({refused})\n"
            r"write /srv/0: permission denied\nwrite /tmp/new: fine\n"
            rf'/srv/{count}: "x{count}" fine\n'
            r"mode /etc/secret: 0\n$",
        )  # fmt: skip
        bench.smoke(
            bench.image([large, *small], volumes=("/data",)), way, "write", "/tmp/new",
            "write", "/data/new", read_only=True,
            stdout=r"^write /tmp/new: read-only file system\nwrite /data/new: ",
        )  # fmt: skip
    assert Path(bench.store.path(digest_of(LARGE))).read_bytes() == LARGE


@pytest.mark.parametrize("way", NAMESPACES)
def test_what_one_command_leaves_for_the_next_is_in_memory(bench: Bench, way: Way) -> None:
    setup = [[PROGRAM, "write", "/tmp/left"], [PROGRAM, "exit", "3"]]
    command = {
        "name": "the second",
        "setup": setup,
        "command": PROGRAM,
        "args": ["cat", "/tmp/left"],
        "expectedOutput": ['/tmp/left: "new" fine'],
    }
    text = json.dumps({"schemaVersion": "2.0.0", "commandTests": [command]})
    with nothing_unpacked(bench):
        assert tried(bench, bench.image(), way, parse_structure(text, "cst.yaml")) == ""


@pytest.mark.parametrize("way", NAMESPACES)
def test_what_memory_cannot_hold_is_unpacked(
    bench: Bench, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scratchtasks.sinks.smoke.namespace._MOST_BYTES", 1)
    with all_unpacked(bench):
        bench.smoke(bench.image(), way, "cat", "/etc/app.toml", stdout='"mine" fine')


@pytest.mark.parametrize(("way", "own"), [("bubblewrap", 2), ("unshare", 1)])
def test_where_the_sandbox_alone_may_have_namespaces_there_is_a_copy(
    bench: Bench, program: bytes, way: Way, own: int
) -> None:
    """Here it has the number that it needs, and the guard wants another."""
    limit = f'echo {own} >/proc/sys/user/max_user_namespaces && exec "$0" "$@"'
    files = ",".join(map(str, range(2000)))
    script = f"bench.smoke(bench.image([bench.file(f'srv/{{n}}', b'x') for n in ({files})]), way)"
    with all_unpacked(bench):
        child = in_child(bench, program, way, script, "unshare", "-Ur", "sh", "-c", limit)
        assert child.wait() == 0


def in_child(
    bench: Bench, program: bytes, way: Way, script: str, *prefix: str
) -> "subprocess.Popen[bytes]":
    """A process that runs *script* with a `bench` like *bench*, and *way*; behind *prefix*."""
    root = Path(bench.folder).parent
    (root / "binary").write_bytes(program)
    code = (
        f"import sys; from pathlib import Path; from {Bench.__module__} import Bench\n"
        "root, binary, way = sys.argv[1:]\n"
        f"bench = Bench(Path(root), Path(binary).read_bytes())\n{script}\n"
    )
    here = Path(__file__)
    paths = [str(here.parents[Bench.__module__.count(".")]), str(here.parents[3])]
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, str(root), str(root / "binary"), way],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


@pytest.mark.parametrize("way", NAMESPACES)
def test_the_image_s_own_hosts_file_is_seen_and_no_other_network(bench: Bench, way: Way) -> None:
    bench.smoke(
        bench.image(), way, "cat", "/etc/hosts", "names", "example.com", "names", "db.internal",
        stdout=r'(?s)^/etc/hosts: "127\.0\.0\.1\\tlocalhost\\n.*\\tdb\.internal\\n.*" fine\n'
        r"example\.com is \[\] .*\ndb\.internal is \[10\.0\.0\.7\] <nil>\n$",
    )  # fmt: skip


@pytest.mark.parametrize("count", [0, 2000])
@pytest.mark.parametrize("way", NAMESPACES)
@pytest.mark.parametrize("user", [APP, User("root", 0, 0)])
def test_the_machine_s_settings_cannot_be_written(
    bench: Bench, way: Way, user: User, count: int
) -> None:
    """Of root, too, whose user outside may: no container lets its program do that.  However the
    root file system is made, with *count* files."""
    files = [bench.file(f"srv/{number}", b"x") for number in range(count)]
    args = [arg for name in KERNEL_S_OWN for arg in ("writable", f"/proc/{name}")]
    said = r"^mount: operation not permitted\n<nil>\n$"
    bench.smoke(bench.image(files, user=user), way, *args, "remount", "/tmp", stdout=said)


@pytest.mark.parametrize("way", NAMESPACES)
def test_another_architecture_runs_in_qemu(
    tmp_path: Path, foreign_program: bytes, way: Way
) -> None:
    bench = Bench(tmp_path, foreign_program, OTHER)
    image = bench.image(cmd=("serve", ":8080,200"))
    args = ["who", "", "write", "/tmp/new", "write", "/etc/new", "exit", "3"]
    said = r"^pid 1 uid 1001 gid 1001 in /\nwrite /tmp/new: fine\nwrite /etc/new: permission denied"
    assert bench.smoke(image, way, *args, exit_code=3, stdout=said).how == way
    assert bench.smoke(image, way, http_path="/", http_port=8080, read_only=True).passed


def test_a_failure_is_never_remembered(bench: Bench) -> None:
    image = bench.image()
    for _ in range(2):
        with pytest.raises(SinkError) as caught:
            bench.smoke(image, "unshare", command=(PROGRAM, "exit", "139"))
        assert str(caught.value) == f"{WHERE}: exit code: wanted 0, got 139 (SIGSEGV)"


@pytest.mark.parametrize("way", NAMESPACES)
def test_a_probe_that_nobody_answers(bench: Bench, way: Way) -> None:
    probe = {"http_path": "/", "http_port": 8080, "timeout_seconds": 2}
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), way, "sleep", "9s", **probe)
    assert caught.value.what == "GET :8080/: wanted status 200 within 2 s, got connection refused"


@pytest.mark.parametrize("way", NAMESPACES)
def test_the_last_try_is_told_however_late_it_is(bench: Bench, way: Way) -> None:
    """Who probes is stopped while it waits for an answer, as on a machine that is busy."""
    definition = {"http_path": "/", "http_port": 8080, "timeout_seconds": 4}
    with ThreadPoolExecutor() as pool:
        start = time.monotonic()
        trial = pool.submit(
            bench.smoke, bench.image(), way, "listen", ":8080", "sleep", "60s", **definition
        )
        _eventually(lambda: trial.done() or any(map(_is_connected, _neighbours())))
        (neighbour,) = _neighbours()
        os.kill(neighbour, signal.SIGSTOP)
        time.sleep(max(0.0, start + 4.5 - time.monotonic()))
        os.kill(neighbour, signal.SIGCONT)
        fault = trial.exception()
    assert str(fault) == f"{WHERE}: GET :8080/: wanted status 200 within 4 s, got timed out"


def _neighbours() -> list[int]:
    """The processes that our guards forked."""
    parents = dict(_parents())
    guards = [pid for pid, parent in parents.items() if parent == os.getpid()]
    found = [pid for pid, parent in parents.items() if parent in guards]
    return [pid for pid in found if b"smoke.guard" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _parents() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2]
        except OSError:
            continue
        yield int(stat.parent.name), int(after_name.split()[1])


def _is_connected(pid: int) -> bool:
    """Whether a connection to port 8080 stands in *pid*'s network.  Source: proc(5).

    By IPv6, if who listens began between the tries of one and the other address.
    """
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    lines = [line for table in tables for line in table.splitlines()[1:]]
    return any(line.split()[2].endswith(":1F90") and line.split()[3] == "01" for line in lines)


def test_the_first_way_that_works_decides(bench: Bench) -> None:
    image = bench.image()
    bench.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    empty = Path(bench.folder).parent / "empty"
    empty.mkdir()
    bench.env["PATH"] = str(empty)
    assert bench.smoke(image, WAYS[1:], "exit", "0").how == "unshare"


def test_where_nothing_works_every_reason_is_given(tmp_path: Path, foreign_program: bytes) -> None:
    bench = Bench(tmp_path, foreign_program, OTHER)
    bench.env["PATH"] = ""
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), NAMESPACES)
    name = {"arm64": "aarch64", "amd64": "x86_64"}[OTHER.architecture]
    ours = host_platform().architecture
    reason = f"a {OTHER} image on {ours} needs a static qemu-{name}, which is not on PATH"
    assert str(caught.value) == (
        f"{WHERE}: cannot be tried here: bubblewrap: {reason}; unshare: {reason}\n"
        "    hint: start Docker, install bubblewrap, or allow user namespaces; for other "
        "architectures install qemu-user-static"
    )


def test_a_sandbox_that_may_not_be_made_is_no_verdict(bench: Bench, tmp_path: Path) -> None:
    """bubblewrap says so when namespaces are forbidden; the next way is tried."""
    stub = tmp_path / "bin" / "bwrap"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    stub.chmod(0o755)
    bench.env["PATH"] = str(stub.parent)
    image = bench.image()
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, "bubblewrap", "exit", "0")
    assert caught.value.what == (
        "cannot be tried here: bubblewrap: bwrap: No permissions to create new namespace"
    )
    assert bench.smoke(image, NAMESPACES, "exit", "0").how == "unshare"


def test_a_damaged_layer_is_no_verdict(bench: Bench) -> None:
    image = bench.image()
    digest = image.layers[1].blob.digest
    path = Path(bench.store.path(digest))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, "bubblewrap", "exit", "0")
    assert caught.value.what.startswith(f"blob {digest} is damaged: its ")


def test_variables_show_in_no_argv(bench: Bench, tmp_path: Path) -> None:
    definition = Smoke(env={"TOKEN": "s3cret"})
    trial = trial_of(bench.image(), definition, bench.store, WHERE)
    for make in (bubblewrap, unshare):
        program, args = make(trial, str(tmp_path), "", bench.env)
        assert "s3cret" not in " ".join(program)
        assert "s3cret" in args


@pytest.mark.parametrize("is_copied", [False, True])
@pytest.mark.parametrize("way", NAMESPACES)
def test_killed_ourselves_we_leave_no_process(
    bench: Bench, program: bytes, way: Way, is_copied: bool
) -> None:
    token = f"{os.getpid()}{NAMESPACES.index(way)}{is_copied:d}7s"
    script = (
        f"bench.smoke(bench.image(), way, *{('fork', token, 'sleep', token)}, timeout_seconds=60)"
    )
    if is_copied:
        module = "scratchtasks.sinks.smoke.namespace"
        script = f"import {module} as module; module._MOST_BYTES = 1; {script}"
    child = in_child(bench, program, way, script)
    inside = f"say child here sleep {token}"
    try:
        _eventually(lambda: any(inside in line for line in processes_with(token)))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    _eventually(lambda: processes_with(token) == [])
    if not is_copied:
        assert left_in(bench) == []
        return
    [left] = Path(bench.folder).iterdir()
    with private_folder(bench.folder):
        assert left.exists()  # young: it may be somebody's who is about to lock it
    os.utime(left, (0, 0))
    with private_folder(bench.folder):
        assert not left.exists()


def left_in(bench: Bench) -> list[str]:
    """What is left where private copies are made."""
    return os.listdir(bench.folder) if os.path.exists(bench.folder) else []


@pytest.mark.parametrize("way", NAMESPACES)
def test_a_cancelled_run_ends_the_trial(bench: Bench, way: Way) -> None:
    token = f"{os.getpid()}{NAMESPACES.index(way)}88s"
    timer = threading.Timer(0.5, bench.processes.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        bench.smoke(bench.image(), way, "fork", token, "sleep", token, timeout_seconds=60)
    timer.join()
    _eventually(lambda: processes_with(token) == [])
    assert left_in(bench) == []


def _eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
