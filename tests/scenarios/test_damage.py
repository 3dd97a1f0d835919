"""Damaged state: a flipped bit, a cut file, garbage.  Never a wrong image, never a traceback."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from workspaces import Site, shop


def flip_a_bit(path: Path) -> None:
    """Change one bit and set the time back, as a bad disk does; not ctime: nobody can."""
    info = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(info.st_mode)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check_mended(site: Site, images: dict[str, str]) -> None:
    """The next run ends well and gives *images*, whole; the one after has nothing to do."""
    ran = site.doit()
    assert "Traceback" not in ran.err
    assert site.images() == images
    for name in images:
        for blob in files_below(site.root / "dist" / name / "blobs" / "sha256"):
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert site.doit().summary == "2 images up to date"


@pytest.mark.parametrize("kind", ["binary", "files", "etc"])
@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink])
def test_a_damaged_layer_is_made_again(kind: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    damage(site.layers("web")[kind])
    check_mended(site, images)


def test_every_damaged_blob_is_made_again(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    for path in files_below(site.root / ".scratch" / "blobs"):
        flip_a_bit(path)
    check_mended(site, images)


@pytest.mark.parametrize("folder", ["actions", "stamps"])
@pytest.mark.parametrize("size", [0, 1, 100])
def test_truncated_entries_and_stamps_are_misses(folder: str, size: int, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    for path in files_below(site.root / ".scratch" / folder):
        os.truncate(path, size)
    check_mended(site, images)


@pytest.mark.parametrize("name", ["files.db", "doit.db"])
@pytest.mark.parametrize("data", [b"", b"garbage" * 99, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_database_is_begun_anew(name: str, data: bytes, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    (site.root / ".scratch" / name).write_bytes(data)
    check_mended(site, images)


@pytest.mark.parametrize("text", ["[]", '{"key": 1}', '{"key": "x", "base": "", "result": null}'])
def test_garbage_stamps_are_misses(text: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    for path in files_below(site.root / ".scratch" / "stamps"):
        path.write_text(text)
    check_mended(site, images)


def test_stamps_of_another_action_are_not_believed(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    stamps = site.root / ".scratch/stamps/services"
    shutil.copy(stamps / "api/image.json", stamps / "web/image.json")
    check_mended(site, images)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": [{"name": "api"}, 3]}'])
def test_a_damaged_summary_is_written_anew(text: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    (site.root / "dist/images.json").write_text(text)
    check_mended(site, images)
