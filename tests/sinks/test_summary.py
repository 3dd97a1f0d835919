"""dist/images.json: merged, sorted, and written only when it changes."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.sinks.summary import ImageSummary, Summary

_BLOB = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest_of(b"blob"), 4)


def image(name: str, content: bytes = b"") -> ImageSummary:
    return ImageSummary(
        name=name,
        label=f"//services/{name}:image",
        digest=digest_of(content),
        image_id=digest_of(b"config"),
        platforms=("linux/amd64", "linux/arm64"),
        size=4,
        layers=(Layer(_BLOB, DiffID(digest_of(b"raw")), "binary"),),
        references=(f"{name}:latest",),
    )


def export(path: str, made: ImageSummary) -> None:
    """Leave the layout of *made* beside *path*, as far as a summary looks at it."""
    folder = Path(path).parent / made.name
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": made.digest}]}))


@pytest.fixture
def path(tmp_path: Path) -> str:
    for name in ("api", "web", "worker"):
        export(str(tmp_path / "images.json"), image(name))
    return str(tmp_path / "images.json")


KNOWN = {"api", "web", "worker"}


def names(path: str) -> list[str]:
    with open(path, "rb") as file:
        return [entry["name"] for entry in json.load(file)["images"]]


def references(path: str) -> dict[str, list[str]]:
    with open(path, "rb") as file:
        return {entry["name"]: entry["references"] for entry in json.load(file)["images"]}


def test_a_reference_is_the_image_s_that_got_it_last(path: str) -> None:
    Summary(path).write([image("api", b"1"), image("web"), image("worker")], KNOWN, KNOWN)
    web = replace(image("web"), references=("api:latest", "worker:latest"))
    Summary(path).write([web], KNOWN, KNOWN)
    both = ["api:latest", "web:latest", "worker:latest"]
    # The worker is the very same image.
    assert references(path) == {"api": [], "web": both, "worker": ["worker:latest"]}


def test_what_an_entry_holds(path: str) -> None:
    Summary(path).write([image("api")], KNOWN)
    with open(path, "rb") as file:
        assert json.load(file) == {
            "images": [
                {
                    "name": "api",
                    "label": "//services/api:image",
                    "digest": digest_of(b""),
                    "image_id": digest_of(b"config"),
                    "platforms": ["linux/amd64", "linux/arm64"],
                    "size": 4,
                    "layers": [
                        {
                            "digest": digest_of(b"blob"),
                            "diff_id": digest_of(b"raw"),
                            "size": 4,
                            "kind": "binary",
                        }
                    ],
                    "references": ["api:latest"],
                }
            ]
        }


def test_new_entries_replace_those_of_their_name(path: str) -> None:
    Summary(path).write([image("worker"), image("api")], KNOWN)
    Summary(path).write([image("web"), image("api", b"new")], KNOWN)
    assert names(path) == ["api", "web", "worker"]
    with open(path, "rb") as file:
        assert json.load(file)["images"][0]["digest"] == digest_of(b"new")


def test_order_and_history_do_not_show(path: str) -> None:
    Summary(path).write([image("api"), image("web")], KNOWN)
    together = Path(path).read_bytes()
    os.unlink(path)
    Summary(path).write([image("web")], KNOWN)
    Summary(path).write([image("api")], KNOWN)
    assert Path(path).read_bytes() == together


def test_unknown_and_removed_images_are_dropped(path: str) -> None:
    Summary(path).write([image("api"), image("web"), image("worker")], KNOWN)
    shutil.rmtree(os.path.join(os.path.dirname(path), "web"))
    Summary(path).write([], KNOWN - {"worker"})
    assert names(path) == ["api"]


@pytest.mark.parametrize("index", ["", "[]", '{"manifests": []}', None])
def test_an_entry_that_is_not_of_the_layout_is_dropped(path: str, index: str | None) -> None:
    Summary(path).write([image("api"), image("web")], KNOWN)
    if index is None:  # a run was killed after it had exported a newer image
        export(path, image("api", b"newer"))
    else:
        Path(path).parent.joinpath("api/index.json").write_text(index)
    Summary(path).write([image("web")], KNOWN)
    assert names(path) == ["web"]


def test_unchanged_bytes_are_not_written(path: str) -> None:
    Summary(path).write([image("api")], KNOWN)
    before = os.stat(path)
    Summary(path).write([image("api")], KNOWN)
    after = os.stat(path)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    Summary(path).write([replace(image("api"), size=5)], KNOWN)
    assert os.stat(path).st_ino != before.st_ino


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"images": {}}',
        b'{"images": [1, {"name": "web"}, {"name": ["web"]}]}',
        b'{"images": [{"name": "\\ud800", "label": "", "digest": "", "image_id": "", '
        b'"platforms": [], "size": 0, "layers": [], "references": []}]}',
        json.dumps({"images": [{**image("api").to_json(), "references": 5}]}).encode(),
    ],
)
def test_a_damaged_file_counts_as_empty(path: str, damage: bytes) -> None:
    Path(path).write_bytes(damage)
    Summary(path).write([image("api")], {*KNOWN, "\ud800"})
    assert names(path) == ["api"]


def test_a_folder_in_its_place_is_an_error(path: str) -> None:
    os.mkdir(path)
    with pytest.raises(StoreError) as error:
        Summary(path).write([image("api")], KNOWN)
    assert str(error.value) == (
        f"{path}: cannot be written: is a directory\n    hint: move it elsewhere"
    )


def test_a_fifo_in_its_place_is_replaced(path: str) -> None:
    os.mkfifo(path)
    assert Summary(path).entries() == {}
    Summary(path).write([image("api")], KNOWN)
    assert names(path) == ["api"]
    index = Path(path).parent / "api/index.json"
    index.unlink()
    os.mkfifo(index)
    Summary(path).write([image("web")], KNOWN)
    assert names(path) == ["web"]


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_file_that_was_laid_out_anew_is_put_right(path: str, indent: int | None) -> None:
    Summary(path).write([image("api"), image("web")], KNOWN)
    ours = Path(path).read_bytes()
    Path(path).write_text(json.dumps(json.loads(ours), indent=indent, sort_keys=indent == 4))
    Summary(path).write([image("web")], KNOWN)
    if indent != 4:  # keys of an entry that stays are in the order that was found
        assert Path(path).read_bytes() == ours
    assert json.loads(Path(path).read_bytes()) == json.loads(ours)


def test_what_others_write_meanwhile_is_kept(path: str) -> None:
    ours, theirs = Summary(path), Summary(path)
    ours.write([image("api")], KNOWN)
    theirs.write([image("web")], KNOWN)
    assert ours.digests() == dict.fromkeys(("api", "web"), digest_of(b""))
    ours.write([image("worker", b"new")], KNOWN)
    assert names(path) == ["api", "web", "worker"]


def test_without_images_there_is_no_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Summary(path).write([image("api")], {"api"})

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.raises(StoreError) as caught:
            Summary(path).write([], set())
    assert str(caught.value).startswith(f"{path}: cannot be written: permission denied")
    assert Summary(path).write([], set()) == ["api"]
    assert not os.path.exists(path)
