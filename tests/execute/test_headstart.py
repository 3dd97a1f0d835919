"""What was begun ahead counts only while all that it has read rests, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scratchtasks.core.digest import ActionKey
from scratchtasks.core.errors import ToolchainMissing
from scratchtasks.execute.changes import file_clock
from scratchtasks.execute.golang.headstart import foretell
from scratchtasks.execute.headstart import HeadStart
from scratchtasks.execute.process import Cancelled, Processes

KEY, OTHER = ActionKey("1" * 64), ActionKey("2" * 64)
DONE = "echo made > $0/out"
LONG = "echo made > $0/out; sleep 30"


class Bench:
    """A workspace at *root* with the source `lib/a.go`, and its head starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes = Processes(lambda _: None)
        self.made: list[HeadStart] = []
        (root / ".scratch/tmp").mkdir(parents=True)
        (root / "lib").mkdir()
        (root / "lib/a.go").write_text("package lib\n")
        time.sleep(0.03)

    def begin(self, script: str, clock: int = 0) -> HeadStart:
        folder = str(self.root / f".scratch/tmp/{len(self.made)}")
        os.makedirs(folder)
        start = HeadStart(
            op="go_build",
            key=KEY,
            command=self.command(folder, script),
            folder=folder,
            clock=clock or file_clock(str(self.root / ".scratch")),
            root=str(self.root),
            reads=[("file", "lib/a.go"), ("file", "go.work"), ("names", "lib"), ("env", "X")],
            begin=self.processes.begin,
        )
        self.made.append(start)
        return start

    def command(self, folder: str, script: str) -> tuple[tuple[str, ...], str, dict[str, str]]:
        return ("sh", "-c", script, folder), str(self.root), {"PATH": os.defpath}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for start in bench.made:
        start.close()
    assert not list((tmp_path / ".scratch/tmp").iterdir())


def test_what_nobody_has_agreed_to_has_no_result(bench: Bench) -> None:
    start = bench.begin(DONE)
    assert start.finish(bench.command(start.folder, DONE)) is None


def test_what_was_agreed_to_gives_its_result(bench: Bench) -> None:
    start = bench.begin(DONE)
    command = bench.command(start.folder, DONE)
    assert start.agree([KEY])
    done = start.finish(command)
    assert done is not None
    assert done.code == 0
    assert Path(start.folder, "out").read_text() == "made\n"
    assert not start.agree([KEY])
    assert start.finish(command) is None


@pytest.mark.parametrize("keys", [[OTHER], [KEY, OTHER], []], ids=["other", "several", "none"])
def test_it_is_for_one_key_alone(bench: Bench, keys: Sequence[ActionKey]) -> None:
    start = bench.begin(LONG)
    assert not start.agree(keys)
    with pytest.raises(Cancelled):
        start._begun.end()  # type: ignore[union-attr]


def test_it_is_for_one_command_alone(bench: Bench) -> None:
    start = bench.begin(LONG)
    assert start.agree([KEY])
    argv, cwd, env = bench.command(start.folder, LONG)
    assert start.finish((argv, cwd, {**env, "GOPROXY": "off"})) is None


def test_what_was_written_as_the_clock_was_looked_at_may_not_have_been_read(bench: Bench) -> None:
    written = (bench.root / "lib/a.go").stat().st_ctime_ns
    assert not bench.begin(DONE, clock=written).agree([KEY])
    assert bench.begin(DONE, clock=written + 1).agree([KEY])


def _touch(bench: Bench) -> None:
    os.utime(bench.root / "lib/a.go", ns=(1, 1))


def _link(bench: Bench) -> None:
    (bench.root / "aside").mkdir()
    (bench.root / "lib/a.go").rename(bench.root / "aside/a.go")
    (bench.root / "lib/a.go").symlink_to("../aside/a.go")


def _new(bench: Bench) -> None:
    (bench.root / "lib/b.go").touch()


def _sought(bench: Bench) -> None:
    (bench.root / "go.work").touch()


def _gone(bench: Bench) -> None:
    (bench.root / "lib/a.go").unlink()


@pytest.mark.parametrize("change", [_touch, _link, _new, _sought, _gone])
def test_what_does_not_rest_is_not_agreed_to(bench: Bench, change: object) -> None:
    start = bench.begin(DONE)
    time.sleep(0.02)
    assert callable(change)
    change(bench)
    assert not start.agree([KEY])


def test_a_forked_process_leaves_it_alone(bench: Bench) -> None:
    start = bench.begin("sleep 0.2")
    pid = os.fork()
    if not pid:
        is_left = not start.agree([KEY]) and start.finish(bench.command(start.folder, "")) is None
        start.close()
        os._exit(0 if is_left else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert start.agree([KEY])
    assert start.finish(bench.command(start.folder, "sleep 0.2")) is not None


def test_what_cannot_be_started_says_so(bench: Bench) -> None:
    begun = bench.processes.begin(["/missing/go"], cwd=str(bench.root), env={})
    with pytest.raises(ToolchainMissing):
        begun.end()


def test_a_cancelled_run_ends_it(bench: Bench) -> None:
    start = bench.begin(LONG)
    assert start.agree([KEY])
    bench.processes.cancel()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        start.finish(bench.command(start.folder, LONG))
    assert time.monotonic() - began < 5


def test_an_exit_waits_for_nothing(tmp_path: Path) -> None:
    """The interpreter waits for threads before it comes to what is registered for its end."""
    program = (
        "import atexit, os, sys\n"
        "from scratchtasks.execute.process import Processes\n"
        "begun = Processes(print).begin(['sleep', '30'], cwd='/', env={'PATH': os.defpath})\n"
        "atexit.register(lambda: (begun.stop(), begun.wait()))\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("damage", ["", "no json\n[", "sum\n{}", "sum\n[1]"])
def test_from_damaged_stamps_nothing_is_foretold(tmp_path: Path, damage: str) -> None:
    stamps = tmp_path / ".scratch/stamps/api"
    stamps.mkdir(parents=True)
    for name in ("binary@linux-amd64.json", "binary#list@linux-amd64.json"):
        (stamps / name).write_text(damage)
    assert foretell(str(tmp_path), "api", "api", {"api/main.go": "sha256:1"}, {}) is None
