"""What compilers keep to themselves is whole after a power loss, or gone."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.store import proven
from scratchtasks.store.proven import ProvenFolder


def cut(path: Path) -> None:
    os.truncate(path, 1)


def add(path: Path) -> None:
    path.with_name("new").write_bytes(b"")


def lead_elsewhere(path: Path) -> None:
    path.with_name("link").unlink()
    path.with_name("link").symlink_to("b")


def damage_record(path: Path) -> None:
    os.truncate(path.parent.parent / "proven.json", 100)


_listeners: list[list[str]] = []


def _tell(event: str, args: tuple[object, ...]) -> None:
    if event == "open":
        for opened in _listeners:
            opened.append(str(args[0]))


sys.addaudithook(_tell)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in a folder that was recorded with it."""
    path = tmp_path / "folder" / "deps" / "a"
    folder = ProvenFolder(str(tmp_path / "folder"))
    folder.check()
    path.parent.mkdir()
    path.write_bytes(b"whole")
    path.with_name("link").symlink_to("a")
    folder.record()
    return path


@pytest.mark.parametrize("boot", ["another", ""])
@pytest.mark.parametrize("damage", [cut, Path.unlink, add, lead_elsewhere, damage_record])
def test_what_changed_is_thrown_away_after_a_boot(
    damage: Callable[[Path], None], boot: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ProvenFolder(str(path.parent.parent))
    monkeypatch.setattr(proven, "boot_id", lambda: boot)
    folder.check()
    assert path.read_bytes() == b"whole"
    damage(path)
    monkeypatch.setattr(proven, "boot_id", lambda: boot and "a third")
    folder.check()
    assert os.listdir(path.parent.parent) == ["proven.json"]


def test_what_a_killed_run_has_left_is_kept_in_the_same_boot(path: Path) -> None:
    path.with_name("b").write_bytes(b"not recorded")
    ProvenFolder(str(path.parent.parent)).check()
    assert path.with_name("b").exists()


def test_only_what_was_written_is_read(path: Path) -> None:
    folder, opened = ProvenFolder(str(path.parent.parent)), list[str]()
    path.with_name("b").write_bytes(b"new")
    _listeners.append(opened)
    folder.record()
    folder.record()
    _listeners.clear()
    assert [name for name in opened if "/deps/" in name] == [str(path.with_name("b"))]
