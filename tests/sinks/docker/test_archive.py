"""The archive itself, as any tar program reads it."""

import hashlib
import io
import json
import tarfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.digest import digest_of, hex_of
from scratchtasks.core.rootfs import Rootfs
from scratchtasks.oci import media
from scratchtasks.oci.layer import RECIPE
from scratchtasks.sinks.docker.archive import PlainImage, write_archive

from .made import Made


def _members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names)), names
        members = {name: tar.extractfile(name) for name in names}
        return {name: file.read() for name, file in members.items() if file is not None}


def _archive(made: Made, *images: Rootfs) -> bytes:
    plain = [PlainImage(image) for image in images]
    return b"".join(write_archive(plain, (), made.store))


_CONTENTS = st.lists(st.binary(max_size=3000), min_size=1, max_size=4)


@settings(max_examples=30)
@given(
    images=st.lists(_CONTENTS, min_size=1, max_size=3),
    source=st.sampled_from([RECIPE, media.LAYER_TAR, media.LAYER_GZIP]),
)
def test_every_blob_is_under_its_digest_and_there_once(
    made: Made, images: list[list[bytes]], source: str
) -> None:
    wanted = [
        made.image(*(made.layer({"file": data}, source=source) for data in contents))
        for contents in images
    ]
    members = _members(_archive(made, *wanted))
    for path, data in members.items():
        if path.startswith("blobs/"):
            assert path == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    index: dict[str, Any] = json.loads(members["index.json"])
    manifests = [json.loads(members[_path(each["digest"])]) for each in index["manifests"]]
    docker: list[dict[str, Any]] = json.loads(members["manifest.json"])
    for image, entry in zip(wanted, docker, strict=True):
        assert entry["RepoTags"] is None
        assert entry["Config"] == f"blobs/sha256/{hex_of(image.config.digest)}"
        layers = [f"blobs/sha256/{hex_of(layer.diff_id)}" for layer in image.layers]
        assert entry["Layers"] == layers
        assert all(layer in members for layer in layers)
        assert image.config.digest in [manifest["config"]["digest"] for manifest in manifests]
    for manifest in manifests:
        for layer in manifest["layers"]:
            assert layer["mediaType"] == media.LAYER_TAR
            assert layer["size"] == len(members[_path(layer["digest"])])


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def test_the_same_image_gives_the_same_archive(made: Made) -> None:
    image = made.say("hello")
    assert digest_of(_archive(made, image)) == digest_of(_archive(made, image))


def test_small_files_are_sent_in_few_pieces(made: Made) -> None:
    image = made.image(made.layer({f"etc/{number}": b"x" for number in range(500)}))
    pieces = list(write_archive([PlainImage(image)], (), made.store))
    assert sum(map(len, pieces)) > 500 * 1024
    assert len(pieces) < 5
