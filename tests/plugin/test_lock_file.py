"""scratch.lock, and what is in its place."""

from pathlib import Path

from scratchtasks.plugin.lock_file import LockFile


def test_a_link_stays_one(tmp_path: Path) -> None:
    root, place = tmp_path / "ws", tmp_path / "place"
    root.mkdir()
    place.mkdir()
    (root / "scratch.lock").symlink_to("../place/lock")
    (place / "lock").write_text("version = 1\n")
    lock = LockFile(str(root))
    lock.write(lock.with_pins({}))
    assert (root / "scratch.lock").readlink() == Path("../place/lock")
    assert LockFile(str(root)).text == (place / "lock").read_text() == lock.with_pins({})
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["lock", "scratch.lock"]
