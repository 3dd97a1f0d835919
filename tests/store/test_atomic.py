"""Files appear whole or not at all."""

import errno
import os
import resource
import socket
import subprocess
import sys
import tempfile
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest

from scratchtasks.core.errors import StoreError
from scratchtasks.store import atomic
from scratchtasks.store.atomic import (
    make_folder,
    read_regular,
    remove_tree,
    storage_error,
    write_atomic,
)
from scratchtasks.store.lock import WorkspaceLock


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(str(path), b"one")
    write_atomic(str(path), b"two", sync=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_mode_is_exact_under_any_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_atomic(str(tmp_path / "plain"), b"")
        write_atomic(str(tmp_path / "tool"), b"", mode=0o755)
    finally:
        os.umask(old)
    assert (tmp_path / "plain").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "tool").stat().st_mode & 0o7777 == 0o755


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(victim)
    write_atomic(str(tmp_path / "link"), b"new")
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()


def test_sync_waits_for_the_bytes_and_then_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(fd: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")
        fsync(fd)

    def watched_replace(old: str, new: str) -> None:
        calls.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_atomic(str(tmp_path / "file"), b"x", sync=True)
    write_atomic(str(tmp_path / "file"), b"y")
    assert calls == ["file", "rename", "folder", "rename"]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(str(path), b"old")
    # The kernel's own device that is always full: a real ENOSPC without any rights.
    monkeypatch.setattr(atomic, "create", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(StoreError) as caught:
        write_atomic(str(path), b"new")
    assert str(caught.value) == (
        f"{path}: cannot be written: no space left on device\n"
        "    hint: free some space; `doit cache --collect` shrinks .scratch to its limit"
    )
    assert path.read_bytes() == b"old"


def test_a_write_that_breaks_off_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = (
        "import sys\n"
        "from scratchtasks.core.errors import StoreError\n"
        "from scratchtasks.store.atomic import write_atomic\n"
        "try: write_atomic(sys.argv[1], bytes(100_000))\n"
        "except StoreError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.stdout == f"{path}: cannot be written: file too large\n"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_destination_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(StoreError) as caught:
        write_atomic(str(tmp_path / "file"), b"")
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot be written: is a directory\n    hint: move it elsewhere"
    )
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_in_the_place_of_a_folder_is_named(tmp_path: Path, is_link: bool) -> None:
    scratch = tmp_path / ".scratch"
    if is_link:
        scratch.symlink_to("nowhere")
    else:
        scratch.touch()
    hint = f"    hint: {scratch} is no folder"
    for call in (partial(write_atomic, data=b""), make_folder):
        with pytest.raises(StoreError) as caught:
            call(str(scratch / "a/b"))
        place, _, hinted = str(caught.value).partition("\n")
        assert place.startswith(f"{scratch}/a/b: cannot be written: ")
        assert hinted == hint
    with pytest.raises(StoreError) as caught:
        WorkspaceLock(str(scratch / "lock")).acquire(lambda _: None)
    assert str(caught.value) == f"{scratch}/lock: cannot be written: file exists\n{hint}"


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener, chdir(tmp_path):
        listener.bind("socket")
        found = {name: read_regular(name) for name in os.listdir()}
        assert found == {
            "file": b"data",
            "link": b"data",
            "folder": None,
            "fifo": None,
            "socket": None,
        }
    assert read_regular(f"{tmp_path}/file", 2) == b"da"
    assert read_regular(f"{tmp_path}/file/x") is None
    assert read_regular(f"{tmp_path}/missing") is None


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreError) as caught:
        read_regular(f"{tmp_path}/loop")
    assert str(caught.value) == (
        f"{tmp_path}/loop: cannot be read: too many levels of symbolic links"
    )


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(fd: int, mode: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fchmod", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(str(tmp_path / "file"), b"")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_is_another_users_is_told(number: int) -> None:
    assert str(storage_error("/x", OSError(number, "said otherwise"))) == (
        f"/x: cannot be written: {os.strerror(number).lower()}\n"
        "    hint: is it another user's, of a run under sudo? `chown` gives it back to you"
    )


def test_a_tree_that_may_not_be_written_to_is_removed() -> None:
    """As an image's folders are that a killed trial has left; not below tmp_path, where only its
    owner may go."""
    folder = tempfile.mkdtemp()
    inner = Path(folder, "read-only", "inner")
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner / "link").symlink_to("/")
    inner.chmod(0o555)
    inner.parent.chmod(0o500)
    me = os.geteuid()
    if me == 0:  # who may write to everything
        for path in (folder, inner.parent, inner, inner / "file"):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        remove_tree(str(inner.parent))
    finally:
        os.seteuid(me)
    assert os.listdir(folder) == []
    os.rmdir(folder)
