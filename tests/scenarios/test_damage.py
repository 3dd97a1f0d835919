"""Damaged state: a flipped bit, a cut file, garbage.  Never a wrong image, never a traceback."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from .workspaces import LOADER, TWO_SERVICES, Site, shop, site_of


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """TWO_SERVICES, built.  Every test damages it, and ends with proof that it is whole again."""
    site = shop(tmp_path_factory.mktemp("damaged"))
    site.doit()
    return site


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


def files_to_read(site: Site, folder: str) -> list[Path]:
    """All files in *folder* of `.scratch`, and nothing that spares the next run to read them."""
    shutil.rmtree(site.root / ".scratch" / "memo")
    return files_below(site.root / ".scratch" / folder)


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
def test_a_damaged_layer_is_made_again(
    kind: str, damage: Callable[[Path], None], built: Site
) -> None:
    images = built.images()
    damage(built.layers("web")[kind])
    check_mended(built, images)


def test_every_damaged_blob_is_made_again(built: Site) -> None:
    images = built.images()
    for path in files_below(built.root / ".scratch" / "blobs"):
        flip_a_bit(path)
    check_mended(built, images)


@pytest.mark.parametrize("folder", ["actions", "stamps"])
@pytest.mark.parametrize("size", [0, 100])
def test_truncated_entries_and_stamps_are_misses(folder: str, size: int, built: Site) -> None:
    images = built.images()
    for path in files_to_read(built, folder):
        os.truncate(path, size)
    check_mended(built, images)


@pytest.mark.parametrize("name", ["files.db", "doit.db"])
@pytest.mark.parametrize("data", [b"garbage" * 99, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_database_is_begun_anew(name: str, data: bytes, built: Site) -> None:
    images = built.images()
    (path,) = [path for path in files_to_read(built, "") if path.name == name]
    path.write_bytes(data)
    check_mended(built, images)


@pytest.mark.parametrize("name", ["tmp", "stamps"])
def test_a_file_in_the_place_of_a_folder_is_told(name: str, tmp_path: Path) -> None:
    service = '[binary]\nrule = "c_binary"\nsrcs = ["*.c"]\ncc = "gcc"\n'
    sources = {"services/c/service.toml": service, "services/c/c.c": "int main(void) { return 0; }"}
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, **sources})
    path = site.root / ".scratch" / name
    path.parent.mkdir()
    path.touch()
    ran = site.run("binary:c")
    wanted = f"{path}: cannot be written: file exists"
    if name == "stamps":
        wanted = f"{path}/services/c/binary#@linux-amd64.json: cannot be written: not a directory"
    assert (ran.code, re.sub("#[0-9a-f]+", "#", ran.err)) == (
        1,
        f"error: {wanted}\n    hint: {path} is no folder\n",
    )
    path.unlink()
    site.doit("binary:c")


def test_a_fifo_in_the_place_of_the_lock_is_told(built: Site) -> None:
    path = built.root / ".scratch/lock"
    path.unlink()
    os.mkfifo(path)
    message = f"{path}: wanted a file, got a FIFO or a device\n    hint: move it elsewhere\n"
    assert built.doit().summary == "2 images up to date"
    ran = built.run("-a")
    assert (ran.code, ran.out, ran.err) == (3, "", f"ERROR: {message}")
    assert f"error: {message}" in built.run("clean").err
    path.unlink()
    assert built.doit().actions == []


@pytest.mark.parametrize("text", ["[]", '{"key": 1}', '{"key": "x", "base": "", "result": null}'])
def test_garbage_stamps_are_misses(text: str, built: Site) -> None:
    images = built.images()
    for path in files_to_read(built, "stamps"):
        path.write_text(text)
    check_mended(built, images)


def _other_digit(match: re.Match[bytes]) -> bytes:
    return match[0][:-1] + (b"8" if match[0].endswith(b"9") else b"9")


@pytest.mark.parametrize("what", [b'"digest":"sha256:', b'"diffID":"sha256:', b'"size":'])
def test_a_digit_that_changed_in_a_stamp_is_noticed(what: bytes, built: Site) -> None:
    """Each is still JSON of the right form, and would be believed."""
    images = built.images()
    for path in files_to_read(built, "stamps"):
        data = path.read_bytes()
        facts, results = data.partition(b'"facts":')[::2]
        changed = re.sub(what + b"[0-9a-f]", _other_digit, results)
        path.write_bytes(facts + b'"facts":' + changed)
    check_mended(built, images)


@pytest.mark.parametrize("seed", range(4))
def test_any_bit_that_changed_in_a_stamp_is_noticed(seed: int, built: Site) -> None:
    images, random = built.images(), Random(seed)
    for path in files_to_read(built, "stamps"):
        data = bytearray(path.read_bytes())
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(data)
    check_mended(built, images)


def test_stamps_of_another_action_are_not_believed(built: Site) -> None:
    images = built.images()
    stamps = built.root / ".scratch/stamps/services"
    shutil.copy(stamps / "api/image.json", stamps / "web/image.json")
    check_mended(built, images)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": [{"name": "api"}, 3]}'])
def test_a_damaged_summary_is_written_anew(text: str, built: Site) -> None:
    images = built.images()
    (built.root / "dist/images.json").write_text(text)
    check_mended(built, images)


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
def test_a_layout_that_cannot_be_read_fails_its_own_image(loader: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"pyproject.toml": loader})
    site.doit("image")
    dist = site.root / "dist"
    shutil.rmtree(dist)
    dist.symlink_to(dist.name)
    ran = site.run("--continue", "image")
    assert (ran.code, ran.summary) == (2, "2 images, 2 failed")
    assert [line for line in ran.err.splitlines() if not line.startswith("scratchtasks: ")] == [
        f"error: {dist}/{name}: cannot be read: too many levels of symbolic links"
        for name in ("api", "web")
    ]
    dist.unlink()
    site.doit("image")
    assert list(site.images()) == ["api", "web"]
