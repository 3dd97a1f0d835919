"""Standard streams whose reader is gone, and such as were never opened."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .shop import write

_SCRATCH = ("-c", "from scratchtasks.plugin.main import main; main()")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def unread(root: Path, *argv: str) -> tuple[int, bytes]:
    """The exit code and stderr of Python with *argv*, whose stdout nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        argv = (sys.executable, *argv)
        done = subprocess.run(argv, cwd=root, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        *("list", "why", "pins", "cache", "info image:api"),
        *("help", "help run", "help image:api", "--help", "--version"),
        *("schedule cron", "tabcompletion"),
    ],
)
def test_what_only_shows_ends_with_its_reader(command: str, root: Path) -> None:
    assert unread(root, "-m", "doit", *command.split()) == (-signal.SIGPIPE, b"")


def test_the_version_of_scratch_ends_with_its_reader(root: Path) -> None:
    assert unread(root, *_SCRATCH, "--version") == (-signal.SIGPIPE, b"")


def test_a_registry_that_hangs_up_is_no_reader_that_is_gone(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as registry:
        host = f"127.0.0.1:{registry.getsockname()[1]}"
        files = f'[image]\nfiles = [{{ from = "image:{host}/x:1", src = "/x", dest = "/x" }}]\n'
        write(root, {"services/api/service.toml": f'[binary]\nrule = "go_binary"\n{files}'})
        argv = (sys.executable, "-m", "doit", "pins")
        with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE) as pins:
            with registry.accept()[0] as connection:
                status = Path(f"/proc/{pins.pid}/status").read_text()
                connection.recv(9999)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            out, _ = pins.communicate(timeout=60)
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert ignored >> signal.SIGPIPE - 1 & 1
    assert b"\nupstream is not known: HEAD " in out


def test_what_changes_something_goes_on_without_its_reader(root: Path) -> None:
    doit(root)
    assert unread(root, "-m", "doit", "clean") == (0, b"")
    assert not (root / "dist").exists()
    doit(root)
    assert unread(root, "-m", "doit", "ignore", "image:api") == (0, b"")
    assert unread(root, "-m", "doit", "forget") == (0, b"")
    assert "status     : run" in doit(root, "info", "image:web")


def doit(root: Path, *words: str, redirections: str = "") -> str:
    """What doit prints, started by a shell with *redirections*."""
    shell = f'exec "$@" {redirections}'
    argv = ("sh", "-c", shell, "sh", sys.executable, "-m", "doit", *words)
    return subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=60).stdout


def test_streams_that_are_closed(root: Path) -> None:
    assert doit(root, redirections=">&- 2>&- <&-") == ""
    assert doit(root, "why") == "2 images up to date\n"
    assert doit(root, redirections="2>&-").startswith("2 images up to date")


def test_no_file_takes_the_place_of_a_closed_stream(root: Path) -> None:
    dodo = (
        "import os\n"
        "from scratchtasks import Workspace\n"
        "def task_where():\n"
        "    where = lambda: print(*(os.readlink(f'/proc/self/fd/{n}') for n in (0, 2)))\n"
        "    return {'actions': [where], 'verbosity': 2}\n"
        "images = Workspace(services=['services/*'])\n"
    )
    write(root, {"dodo.py": dodo})
    assert "\n/dev/null /dev/null\n" in doit(root, "where", redirections="2>&- <&-")


def test_letters_that_the_output_does_not_know(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = 'name = "cafe"\n[binary]\nrule = "prebuilt"\npath = "cafe"\n'
    write(root, {"services/caf\u00e9/service.toml": toml})
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "//services/caf\\xe9:image: " in doit(root, "why", "cafe")
    assert "  //services/caf\\xe9:image: " in doit(root, "list", "--all")
    assert "becomes `repository@sha256:\\u2026`" in doit(root, "help", "resolve").replace(
        "\n    ", " "
    )


def test_a_file_for_the_output_that_cannot_be_written(root: Path) -> None:
    argv = (sys.executable, "-m", "doit", "-o", "nowhere/said.txt")
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        "",
        "ERROR: --output-file: nowhere/said.txt cannot be written: No such file or directory\n",
    )
    assert not (root / "dist").exists()


def test_a_full_disk_below_the_log_ends_no_build(root: Path) -> None:
    argv = (sys.executable, "-m", "doit", "rule")
    with open("/dev/full", "w") as full:
        done = subprocess.run(argv, cwd=root, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (
        0,
        "scratchtasks: <stdout>: cannot be written: no space left on device\n"
        "    hint: free some space; `doit cache --collect` shrinks .scratch to its limit\n",
    )
    assert doit(root, "rule").startswith("1 task up to date, ")
