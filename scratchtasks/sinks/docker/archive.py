"""The archive that `docker load` reads, streamed: plain tars as layers, each blob once.

A hybrid: `manifest.json` for the classic store and podman, `index.json` for the containerd
store.  No image in it has a name: tags are set when the image is known to be good.
Source: moby, image spec v1.2 ("Combined Image JSON + Filesystem Changeset Format"); OCI
image-spec v1.1, image-layout.md.
"""

import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import Digest, Json, canonical_json, digest_of, hex_of
from scratchtasks.core.errors import StoreError
from scratchtasks.core.image import PlatformImage
from scratchtasks.oci import media
from scratchtasks.oci.image import manifest_bytes
from scratchtasks.oci.inflate import LayerReader
from scratchtasks.oci.layout import LAYOUT_FILE
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .engine import MARK

_CHUNK = 1 << 20
_LARGEST = 1 << 40
"""Bytes of the largest layer that is believed."""


@dataclass(frozen=True, slots=True)
class PlainImage:
    """An image whose layers are plain tars: other blobs and manifest, the same config.

    *tars* are what *layers* hold, under their DiffIDs.  The engine needs no gzip, and to undo
    it here costs less than to make it do so.
    """

    config: Descriptor
    layers: tuple[Layer, ...]
    tars: tuple[Descriptor, ...]

    @property
    def manifest(self) -> bytes:
        """The manifest that names the tars; its digest is the id in the containerd store."""
        return manifest_bytes(self.config, self.tars)


def plain_image(image: PlatformImage, store: ContentStore, files: FileStates) -> PlainImage:
    """*image* with plain layers; sizes of tars are measured once and kept in *files*.

    Raises: StoreError when a blob is missing or damaged.
    """
    tars = tuple(_tar(layer, store, files) for layer in image.layers)
    return PlainImage(image.config, image.layers, tars)


def write_archive(
    images: Sequence[PlainImage], left_out: Collection[Digest], store: ContentStore
) -> Iterator[bytes]:
    """The bytes of the archive of *images*, chunk by chunk, without the layers *left_out*.

    Raises: StoreError when a blob is missing or damaged; the archive then has no end.
    """
    manifests = {digest_of(image.manifest): image.manifest for image in images}
    yield from _member("oci-layout", LAYOUT_FILE)
    yield from _member("index.json", _index(manifests))
    yield from _member("manifest.json", _docker_manifest(images))
    for digest, data in manifests.items():
        yield from _member(_path(digest), data)
    for config in {image.config.digest for image in images}:
        yield from _member(_path(config), store.read(config))
    sent = set(left_out)
    for image in images:
        for layer, tar in zip(image.layers, image.tars, strict=True):
            if tar.digest not in sent:
                sent.add(tar.digest)
                yield _header(_path(tar.digest), tar.size)
                yield from _tar_chunks(layer, tar.size, store)
                yield _padding(tar.size)
    yield b"\0" * 1024


def _tar(layer: Layer, store: ContentStore, files: FileStates) -> Descriptor:
    if layer.blob.media_type == media.LAYER_TAR:
        return layer.blob
    # The DiffID is in the key, for it is checked on the way.
    size = files.probe(
        ("tar size", layer.blob.digest, layer.diff_id),
        lambda: str(sum(map(len, _tar_chunks(layer, _LARGEST, store)))),
    )
    return Descriptor(media.LAYER_TAR, Digest(layer.diff_id), int(size))


def _tar_chunks(layer: Layer, limit: int, store: ContentStore) -> Iterator[bytes]:
    is_gzip = layer.blob.media_type == media.LAYER_GZIP
    with store.open(layer.blob.digest) as file:
        reader = LayerReader(file, is_gzip=is_gzip, size=layer.blob.size, limit=limit)
        while chunk := reader.read(_CHUNK):
            yield chunk
    fault = reader.fault
    if not fault and reader.diff_id != layer.diff_id:
        fault = f"it holds {reader.diff_id} (wanted {layer.diff_id})"
    if fault:
        raise StoreError(store.path(layer.blob.digest), f"layer is damaged: {fault}")


def _index(manifests: dict[Digest, bytes]) -> bytes:
    entries: list[Json] = [
        {
            **Descriptor(media.MANIFEST, digest, len(data)).to_json(),
            "annotations": {MARK: "tar"},
        }
        for digest, data in manifests.items()
    ]
    return canonical_json({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": entries})


def _docker_manifest(images: Sequence[PlainImage]) -> bytes:
    return canonical_json(
        [
            {
                "Config": _path(image.config.digest),
                "RepoTags": None,
                "Layers": [_path(tar.digest) for tar in image.tars],
            }
            for image in images
        ]
    )


def _member(name: str, data: bytes) -> Iterable[bytes]:
    return (_header(name, len(data)), data, _padding(len(data)))


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)  # ustar ends at 8 GiB


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
