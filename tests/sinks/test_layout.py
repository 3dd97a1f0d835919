"""Export to an OCI layout: real tools read it, and no crash leaves a broken one."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest

from scratchtasks.core.descriptor import Descriptor, descriptor_from_json
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Image, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, index_bytes, manifest_bytes
from scratchtasks.oci.layout import index_json
from scratchtasks.oci.validate import validate
from scratchtasks.sinks import layout
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
from tests.packing import pack_layer

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

Act = Callable[[], object]


@dataclass(frozen=True)
class Made:
    """An image in the store, ready for export."""

    top: Descriptor
    blobs: list[Descriptor]

    @property
    def index(self) -> bytes:
        return index_json("api", self.top)


class Bench:
    """A store and a folder to export to."""

    def __init__(self, root: Path) -> None:
        self.files = FileStates(str(root), str(root / "files"))
        self.store = ContentStore(str(root / "blobs"), self.files)
        self.folder = str(root / "dist" / "api")

    def image(self, content: bytes, *platforms: Platform) -> Made:
        blobs, tops = [], []
        program = self.store.put_bytes(content, "application/octet-stream")
        entries = [
            FileEntry(path="usr/bin/api", mode=0o755, digest=program.digest, size=program.size),
            FileEntry(path="usr/bin/" + "ä" * 70, kind="hardlink", link="usr/bin/api"),
            FileEntry(path="home/app", kind="dir", mode=0o700, uid=1001, gid=1001),
            FileEntry(path="tmp", kind="dir", mode=0o1777),
            FileEntry(path="etc/localtime", kind="symlink", link="/usr/share/zoneinfo/UTC"),
        ]
        image = Image(platforms=platforms, user=User("app", 1001, 1001), entrypoint=("/a",))
        with self.store.writer(media.LAYER_GZIP) as out:
            layer = pack_layer(entries, self.store.open, out)
            assert out.commit() == layer.blob
        for platform in platforms or (AMD64,):
            config = self.store.put_bytes(config_bytes(image, platform, [layer]), media.CONFIG)
            data = manifest_bytes(config, [layer.blob])
            tops.append((self.store.put_bytes(data, media.MANIFEST), platform))
            blobs += [tops[-1][0], config, layer.blob]
        top = tops[0][0]
        if len(tops) > 1:
            top = self.store.put_bytes(index_bytes(tops), media.INDEX)
            blobs.append(top)
        return Made(top, blobs)

    def export(self, made: Made) -> None:
        layout.export("api", made.top, made.blobs, made.index, self.store, self.folder)

    def fault(self, made: Made) -> str:
        return layout.fault(made.top, made.blobs, made.index, self.store, self.files, self.folder)

    def blob_path(self, blob: Descriptor) -> str:
        return f"{self.folder}/blobs/sha256/{blob.digest[7:]}"

    def _open(self, digest: Digest) -> BinaryIO:
        return open(f"{self.folder}/blobs/sha256/{digest[7:]}", "rb")

    def validate(self) -> Descriptor:
        """What the layout holds now, proven whole from its own bytes alone."""
        found = json.loads(Path(self.folder, "index.json").read_bytes())["manifests"]
        assert len(found) == 1
        top = descriptor_from_json(found[0])
        assert validate(top, self._open) == []
        return top


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(*argv: str) -> bytes:
    return subprocess.run(argv, stdout=-1, check=True, env={"PATH": os.environ["PATH"]}).stdout


def test_skopeo_reads_it_with_and_without_the_tag(bench: Bench) -> None:
    made = bench.image(b"one", AMD64)
    bench.export(made)
    for name in (f"oci:{bench.folder}", f"oci:{bench.folder}:latest"):
        shown = json.loads(run("skopeo", "inspect", name))
        assert shown["Digest"] == made.top.digest
        assert shown["Architecture"] == "amd64"
        assert shown["Created"] == "1970-01-01T00:00:00Z"


def test_skopeo_picks_the_platform(bench: Bench) -> None:
    made = bench.image(b"one", AMD64, ARM64)
    bench.export(made)
    assert bench.fault(made) == ""
    assert bench.validate() == made.top
    name = f"oci:{bench.folder}:latest"
    for platform in (AMD64, ARM64):
        shown = run("skopeo", f"--override-arch={platform.architecture}", "inspect", name)
        assert json.loads(shown)["Architecture"] == platform.architecture
    assert json.loads(run("skopeo", "inspect", "--raw", name))["mediaType"] == media.INDEX


def test_skopeo_copies_every_byte(bench: Bench, tmp_path: Path) -> None:
    made = bench.image(b"x" * 3_000_000, AMD64, ARM64)
    bench.export(made)
    copy = f"{tmp_path}/copy"
    run("skopeo", "copy", "--all", "--quiet", f"oci:{bench.folder}:latest", f"oci:{copy}:x")
    assert sorted(os.listdir(f"{copy}/blobs/sha256")) == sorted(
        os.listdir(f"{bench.folder}/blobs/sha256")
    )


def test_umoci_unpacks_it(bench: Bench, tmp_path: Path) -> None:
    content = os.urandom(700_000) * 3  # more than one gzip member
    made = bench.image(content, AMD64)
    bench.export(made)
    bundle = tmp_path / "bundle"
    run("umoci", "--log=warn", "unpack", f"--image={bench.folder}:latest", str(bundle))
    root = bundle / "rootfs"
    program = root / "usr/bin/api"
    assert program.read_bytes() == content
    assert os.path.samefile(program, root / "usr/bin" / ("ä" * 70))
    assert os.readlink(root / "etc/localtime") == "/usr/share/zoneinfo/UTC"
    rights = {
        path: (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        for path in ("usr/bin/api", "home", "home/app", "tmp")
        for info in [os.lstat(root / path)]
    }
    assert rights == {
        "usr/bin/api": (0o755, 0, 0),
        "home": (0o755, 0, 0),
        "home/app": (0o700, 1001, 1001),
        "tmp": (0o1777, 0, 0),
    }
    assert os.lstat(program).st_mtime == 0


def test_export_replaces_and_forgets_the_old_image(bench: Bench) -> None:
    old, new = bench.image(b"old", AMD64), bench.image(b"new", AMD64)
    bench.export(old)
    Path(bench.folder, "blobs", "sha256", ".tmp-1-dead").write_bytes(b"")
    Path(bench.folder, ".tmp-1-dead").write_bytes(b"")
    bench.export(new)
    assert bench.validate() == new.top
    assert sorted(os.listdir(bench.folder)) == ["blobs", "index.json", "oci-layout"]
    found = set(os.listdir(f"{bench.folder}/blobs/sha256"))
    assert found == {blob.digest[7:] for blob in new.blobs}
    for blob in new.blobs:
        assert os.path.samefile(bench.blob_path(blob), bench.store.path(blob.digest))


def test_faults_in_plain_words(bench: Bench) -> None:
    made, other = bench.image(b"one", AMD64), bench.image(b"two", AMD64)
    folder, layer = bench.folder, made.blobs[2]
    path = bench.blob_path(layer)
    assert bench.fault(made) == f"{folder}/oci-layout is missing"
    bench.export(made)
    assert bench.fault(made) == ""
    assert bench.fault(other) == f"{folder}/index.json is of another image than {other.top.digest}"

    os.unlink(path)
    assert bench.fault(made) == f"{path} is missing"
    bench.export(made)
    os.unlink(path)
    os.symlink(bench.store.path(layer.digest), path)
    assert bench.fault(made) == f"{path} is no regular file"
    bench.export(made)
    os.unlink(path)
    Path(path).write_bytes(b"junk")
    assert bench.fault(made).startswith(f"{path} is damaged: its bytes have sha256:")
    bench.export(made)
    Path(folder, "blobs", "sha256", "stray").write_bytes(b"")
    assert bench.fault(made) == f"{folder}/blobs/sha256/stray is no part of the image"
    bench.export(made)
    os.unlink(f"{folder}/index.json")
    assert bench.fault(made) == f"{folder}/index.json is missing"
    bench.export(made)
    assert bench.fault(made) == ""


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_what_is_no_file_is_replaced_unless_it_is_a_folder(bench: Bench, name: str) -> None:
    made = bench.image(b"one", AMD64)
    bench.export(made)
    path = Path(bench.folder, name)
    path.unlink()
    os.mkfifo(path)
    assert bench.fault(made) == f"{path} is no regular file"
    bench.export(made)
    assert bench.fault(made) == ""
    path.unlink()
    path.mkdir()
    assert bench.fault(made) == f"{path} is no regular file"
    with pytest.raises(StoreError) as error:
        bench.export(made)
    assert str(error.value) == (
        f"{path}: cannot be written: is a directory\n    hint: move it elsewhere"
    )
    path.rmdir()
    path.touch()
    bench.export(made)
    assert bench.fault(made) == ""


def test_a_write_through_the_hard_link_is_noticed(bench: Bench) -> None:
    made = bench.image(b"one", AMD64)
    bench.export(made)
    assert bench.fault(made) == ""
    path = bench.blob_path(made.blobs[2])
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"XX")
    assert bench.fault(made).startswith(f"{path} is damaged: its bytes have sha256:")
    with pytest.raises(StoreError) as error:
        bench.export(made)
    assert f"blob {made.blobs[2].digest} is damaged" in str(error.value)


def test_folders_of_the_user_are_left_alone(bench: Bench, tmp_path: Path) -> None:
    made = bench.image(b"one", AMD64)
    acts: tuple[Act, ...] = (lambda: bench.export(made), lambda: layout.remove(bench.folder))
    os.makedirs(bench.folder)
    Path(bench.folder, "thesis.tex").write_bytes(b"")
    message = (
        f"{bench.folder}: is not empty and not an OCI layout, so it is left alone\n"
        "    hint: move its files elsewhere: the image is written there"
    )
    for act in acts:
        with pytest.raises(SinkError) as error:
            act()
        assert str(error.value) == message
    assert os.listdir(bench.folder) == ["thesis.tex"]

    os.unlink(f"{bench.folder}/thesis.tex")
    bench.export(made)
    elsewhere = tmp_path / "elsewhere"
    os.rename(f"{bench.folder}/blobs", elsewhere)
    os.symlink(elsewhere, f"{bench.folder}/blobs")
    for act in acts:
        with pytest.raises(SinkError) as error:
            act()
        assert str(error.value) == (
            f"{bench.folder}/blobs: wanted a folder of an OCI layout, got a symbolic link\n"
            "    hint: move it elsewhere"
        )
    assert len(os.listdir(elsewhere / "sha256")) == 3
    assert bench.fault(made) == f"{bench.folder}/blobs is a symbolic link"
    os.rename(bench.folder, tmp_path / "moved")
    os.symlink(tmp_path / "moved", bench.folder)
    assert bench.fault(made) == f"{bench.folder} is a symbolic link"
    os.unlink(bench.folder)
    Path(bench.folder).touch()
    assert bench.fault(made) == f"{bench.folder} is a file"


def test_a_file_where_all_layouts_are_to_stand_is_named(bench: Bench) -> None:
    made, dist = bench.image(b"one", AMD64), Path(os.path.dirname(bench.folder))
    dist.write_text("the user's own\n")
    assert bench.fault(made) == f"{dist} is a file"
    with pytest.raises(SinkError) as error:
        bench.export(made)
    assert str(error.value) == (
        f"{dist}: wanted a folder of OCI layouts, got a file\n    hint: move it elsewhere"
    )
    assert dist.read_text() == "the user's own\n"


def test_an_image_that_does_not_hold_its_top_is_refused(bench: Bench) -> None:
    made, other = bench.image(b"one", AMD64), bench.image(b"two", AMD64)
    with pytest.raises(SinkError) as error:
        bench.export(Made(other.top, made.blobs))
    assert str(error.value) == (f"image api: {other.top.digest} is not among the blobs to export")
    assert not os.path.exists(bench.folder)


def test_remove(bench: Bench) -> None:
    layout.remove(bench.folder)
    made = bench.image(b"one", AMD64)
    bench.export(made)
    Path(bench.folder, "notes.txt").write_bytes(b"mine")
    with pytest.raises(SinkError) as error:
        layout.remove(bench.folder)
    assert str(error.value) == (
        f"{bench.folder}: holds 'notes.txt', which is no part of the image\n"
        "    hint: move it elsewhere, or delete the folder yourself"
    )
    assert bench.fault(made) == ""
    os.unlink(f"{bench.folder}/notes.txt")
    layout.remove(bench.folder)
    assert not os.path.exists(bench.folder)
    assert bench.store.fault(made.top) == ""


_STEPS = frozenset({"open", "os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir"})


def killed_after(steps: int, act: Act) -> bool:
    """Run *act* in a child that dies before its file-system call number *steps*; did it die?"""
    child = os.fork()
    if not child:
        _die_after(steps, act)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def _die_after(steps: int, act: Act) -> NoReturn:
    left = steps

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in _STEPS:
            left -= 1
            if left < 0:
                os._exit(9)

    sys.addaudithook(count)
    try:
        act()
    except BaseException:
        os._exit(1)
    os._exit(0)


def test_a_kill_at_any_step_leaves_the_old_image_or_the_new(bench: Bench) -> None:
    old, new = bench.image(b"old", AMD64), bench.image(b"new", AMD64, ARM64)
    seen = []
    steps = 0
    while True:
        bench.export(old)
        died = killed_after(steps, lambda: bench.export(new))
        seen.append(bench.validate())
        bench.export(new)
        assert bench.fault(new) == ""
        if not died:
            break
        steps += 1
    assert steps > 20
    turn = seen.index(new.top)
    assert seen == [old.top] * turn + [new.top] * (len(seen) - turn)
    assert turn > 5
    assert len(seen) - turn > 3


def test_a_kill_in_the_first_export_or_in_remove_does_not_stick(bench: Bench) -> None:
    made = bench.image(b"one", AMD64)
    acts: tuple[Act, ...] = (lambda: bench.export(made), lambda: layout.remove(bench.folder))
    for act, prepare in (acts, acts[::-1]):
        steps = 0
        while True:
            prepare()
            died = killed_after(steps, act)
            if os.path.exists(f"{bench.folder}/index.json"):
                assert bench.validate() == made.top
            bench.export(made)
            assert bench.fault(made) == ""
            if not died:
                break
            steps += 1
        assert steps >= 8


def test_a_folder_that_nobody_may_list_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench.image(b"one")
    bench.export(made)
    inside, listdir = f"{bench.folder}/blobs/sha256", os.listdir

    def refuse(path: str) -> list[str]:
        if path == inside:
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for act in (lambda: bench.export(made), lambda: bench.fault(made)):
        with pytest.raises(StoreError) as caught:
            act()
        assert str(caught.value) == f"{inside}: cannot be read: permission denied"
