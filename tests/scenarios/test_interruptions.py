"""Killed, interrupted, two at once, no room on the disk: the next run is right."""

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .workspaces import LOADER, SERVICE, TWO_SERVICES, Site, shop, site_of

DODO = """from scratchtasks import Workspace, genrule

slow = genrule(
    name="slow",
    folder="gen",
    srcs=["slow.sh"],
    outs=["out.txt"],
    cmd=["sh", "slow.sh", "{out}/out.txt"],
)
task_images = Workspace(services=["services/*"], rules=[slow])
"""
LOSING = """import signal
import weakref
from pathlib import Path

from scratchtasks import Workspace

task_images = Workspace(services=["services/*"])


class Thing:
    pass


def in_a_callback() -> None:
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    del thing, kept


def in_a_class() -> None:
    class Name:
        def __set_name__(self, owner: object, name: str) -> None:
            signal.raise_signal(signal.SIGTERM)

    try:
        type("Owner", (), {"name": Name()})
    except RuntimeError:
        pass


def task_lose():
    for how in (in_a_callback, in_a_class):
        yield {"name": how.__name__, "actions": [how]}


def task_after():
    return {"actions": [(Path("after").touch,)]}
"""
HASTY = """import signal
import sys

from scratchtasks import Workspace

task_images = Workspace(services=["services/*"])


class Interrupting:
    def find_spec(self, name: str, *_: object) -> None:
        if name == "scratchtasks.plugin.session":  # made before the run has its own handler
            signal.raise_signal(signal.SIGINT)


sys.meta_path.insert(0, Interrupting())
"""
SLOW = 'echo $$ > pid; sleep 60 & echo $! > child; wait; echo done > "$1"\n'


def edit(site: Site, number: int) -> None:
    """Change everything that two services are made of."""
    site.write(
        {
            "lib/lib.go": f'package lib\n\nconst Word = "{number}"\n',
            "services/web/main.go": TWO_SERVICES["services/web/main.go"] + f"// {number}\n",
            "services/web/static/index.html": f"{number}\n",
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_the_next_run_is_right(seed: int, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    moments = random.Random(seed)
    began = time.monotonic()
    edit(site, 1000 + seed)
    site.doit()
    whole = time.monotonic() - began
    for number in range(3):
        edit(site, 10 * seed + number)
        process = site.start(start_new_session=True)
        time.sleep(moments.uniform(0.2, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    ran = site.doit()
    assert "Traceback" not in ran.err
    assert site.images() == site.clean_build(tmp_path / "clean")
    assert site.doit().summary == "2 images up to date"
    left = [path.name for path in (site.root / "dist").rglob("*") if path.name.startswith(".")]
    assert left == []


def test_what_a_killed_run_has_left_goes_a_day_later(tmp_path: Path) -> None:
    site = shop(tmp_path)
    now = time.time()
    for place in ("tmp/go-", "blobs/tmp/.tmp-", "blobs/trees/.tmp-"):
        for name, hours in (("old", 25), ("new", 23)):
            path = site.root / ".scratch" / f"{place}{name}"
            (path / "files").mkdir(parents=True)
            os.utime(path, (now, now - hours * 3600))
    site.doit("layer")
    left = {path.name for path in (site.root / ".scratch").rglob("*-old*")}
    left |= {path.name for path in (site.root / ".scratch").rglob("*-new*")}
    assert left == {"go-new", ".tmp-new"}


def test_killed_between_an_image_and_the_summary(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    summary = site.root / "dist" / "images.json"
    old = summary.read_bytes()
    edit(site, 1)
    site.doit()
    new = summary.read_bytes()
    assert new != old
    summary.write_bytes(old)  # as if the run had not come to its end
    ran = site.doit()
    assert ran.actions == []
    assert summary.read_bytes() == new


def test_two_at_once_are_both_right(tmp_path: Path) -> None:
    site = shop(tmp_path)
    clean = site.clean_build(tmp_path / "clean")
    runs = [site.start() for _ in range(3)]
    told = [process.communicate(timeout=60) for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0], str(told)
    assert site.images() == clean
    output = b"".join(out for out, _ in told)
    assert output.count(b"//services/api:binary  GoCompile") == 1
    for _, err in told:
        lines = err.decode().splitlines()
        assert all(line.startswith("another doit is at work here") for line in lines), err


def test_edits_while_another_run_is_waited_for_are_seen(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO, "gen/slow.sh": SLOW})
    first = site.start("rule:gen/slow")
    wait_for(site.root / "gen/child")
    second = site.start()
    assert second.stderr is not None
    waiting = second.stderr.readline().decode()
    assert waiting == f"another doit is at work here (process {first.pid}); waiting for it\n"
    edit(site, 5)
    os.kill(int((site.root / "gen/child").read_text()), signal.SIGTERM)
    first.communicate(timeout=30)
    assert first.returncode == 0
    _, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, b"")
    assert site.images() == site.clean_build(tmp_path / "clean", "image")


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
@pytest.mark.parametrize("name", ["scratch.lock", "services/api/service.toml"])
def test_what_declares_a_run_that_waits_may_change(name: str, loader: str, tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO, "gen/slow.sh": SLOW})
    first = site.start("rule:gen/slow")
    wait_for(site.root / "gen/child")
    site.write({"pyproject.toml": loader})
    second = site.start("image:api")
    assert second.stderr is not None
    while b"another doit" not in second.stderr.readline():
        assert second.poll() is None
    text = SERVICE + 'ldflags = ["-X main.version=2"]\n'
    site.write({name: "version = 1\n" if name == "scratch.lock" else text})
    os.kill(int((site.root / "gen/child").read_text()), signal.SIGTERM)
    first.communicate(timeout=30)
    err = second.communicate(timeout=60)[1].decode()
    if name == "scratch.lock":  # the other run may have completed it: then that is what counts
        assert (second.returncode, err) == (0, "")
    else:
        assert second.returncode in (1, 3)
        assert err.partition(": ")[2] == (
            f"{name}: was changed while another run was at work\n    hint: run doit again\n"
        )
        site.doit("image:api")
    assert site.images() == site.clean_build(tmp_path / "clean", "image:api")


def test_what_another_run_is_at_work_on_is_not_cleaned(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO, "gen/slow.sh": SLOW})
    site.doit("image:api")
    first = site.start("rule:gen/slow")
    wait_for(site.root / "gen/child")
    second = site.start("clean", "image:api")
    assert second.stderr is not None
    assert second.stderr.readline().startswith(b"another doit is at work here")
    assert list(site.images()) == ["api"]
    os.kill(int((site.root / "gen/child").read_text()), signal.SIGTERM)
    for process in (first, second):
        assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)
    assert not site.images()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_no_process_behind(number: int, code: int, tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO, "gen/slow.sh": SLOW})
    process = site.start("rule:gen/slow")
    wait_for(site.root / "gen/child")
    children = [int((site.root / "gen" / name).read_text()) for name in ("pid", "child")]
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err.decode()) == (code, "interrupted; finished work is kept\n")
    assert [pid for pid in children if is_running(pid)] == []
    (site.root / "gen/slow.sh").write_text('echo quick > "$1"\n')
    assert site.doit("rule:gen/slow").actions == ["//gen:slow Genrule"]


@pytest.mark.parametrize("how", ["in_a_callback", "in_a_class"])
def test_a_signal_counts_where_python_loses_what_its_handler_raises(
    how: str, tmp_path: Path
) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": LOSING})
    ran = site.run(f"lose:{how}", "after")
    assert (ran.code, ran.err) == (143, "interrupted; finished work is kept\n")
    assert not (site.root / "after").exists()


@pytest.mark.parametrize("command", ["run", "list"])
def test_ctrl_c_while_dodo_is_imported_shows_no_traceback(command: str, tmp_path: Path) -> None:
    raised = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": raised + DODO})
    ran = site.run(command)
    assert (ran.code, ran.out, ran.err) == (130, "", "interrupted; finished work is kept\n")


@pytest.mark.parametrize("command", ["run", "list"])
def test_ctrl_c_while_files_are_still_read_shows_no_traceback(command: str, tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": HASTY})
    ran = site.run(command)
    assert (ran.code, ran.out, ran.err) == (130, "", "interrupted; finished work is kept\n")


def test_an_interrupted_compilation_is_made_up_for(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    edit(site, 7)
    process = site.start()
    time.sleep(0.35)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode in (0, 143, -15)  # the last: before it could ask for signals
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    site.write({"services/web/static/big.bin": "".join(map(str, range(300_000)))})
    ran = site.run(preexec_fn=limit_files(300_000))
    assert ran.code in (1, 2), str(ran)
    assert "Traceback" not in ran.out + ran.err
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert line == f"error: {site.root}/.scratch/blobs: cannot be written: file too large"
    assert site.images() == images
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "clean")
    assert site.doit().summary == "2 images up to date"


def test_a_disk_that_was_full_from_the_start(tmp_path: Path) -> None:
    site = shop(tmp_path)
    ran = site.run(preexec_fn=limit_files(0))
    assert ran.code != 0
    assert "Traceback" not in ran.out + ran.err, str(ran)
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "clean")


def limit_files(size: int) -> Callable[[], None]:
    """What keeps a child from writing files larger than *size* bytes: a full disk of its own.

    A disk that is really full needs root to make one.
    """

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def wait_for(path: Path) -> None:
    """Until the file *path* has a line."""
    end = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether *pid* is a process, and not just waiting for init to notice its end."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return bool(told.stdout.strip()) and not told.stdout.strip().startswith(b"Z")


def test_a_killed_run_leaves_no_entry_of_an_image_that_is_no_more(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    summary = site.root / "dist" / "images.json"
    old = summary.read_bytes()
    edit(site, 1)
    site.doit("image:api")
    summary.write_bytes(old)  # as if that run had been killed before its end
    site.doit("image:web")
    assert list(site.images()) == ["web"]  # which compares entries and layouts
    site.doit()
    assert list(site.images()) == ["api", "web"]


def test_a_summary_that_cannot_be_written_fails_the_run(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    edit(site, 1)
    summary = site.root / "dist" / "images.json"
    summary.unlink()
    summary.mkdir()
    ran = site.run("image:web")
    assert ran.summary == "1 image, 1 rebuilt"
    assert ran.code == 3, str(ran)
    assert ran.err == (
        f"ERROR: {summary}: cannot be written: is a directory\n    hint: move it elsewhere\n"
    )
    summary.rmdir()
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_a_reader_that_goes_away_ends_no_build(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write(TWO_SERVICES)
    process = site.start()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        said = process.stderr.read()
    assert (process.wait(), said) == (0, b"")
    assert site.doit().summary == "2 images up to date"


BUSY = """import ssl
import threading
import time

from scratchtasks import Workspace

task_images = Workspace(services=["services/*"])


def read_certificates() -> None:
    while True:
        ssl.create_default_context()


def task_busy():
    def work() -> None:
        for _ in range(4):
            threading.Thread(target=read_certificates, daemon=True).start()
        open("busy", "w").write("\\n")
        time.sleep(60)

    return {"actions": [work]}
"""


def test_threads_in_a_library_that_tidies_up_do_not_crash_the_end(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"dodo.py": BUSY})
    for _ in range(5):
        (site.root / "busy").unlink(missing_ok=True)
        process = site.start("busy", "image")
        wait_for(site.root / "busy")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err.decode()) == (130, "interrupted; finished work is kept\n")
