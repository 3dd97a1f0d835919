"""The archive that `docker load` reads, streamed: plain tars as layers, each blob once.

A hybrid: `manifest.json` for the classic store and podman, `index.json` for the containerd
store.  No image in it has a name: tags are set when the image is known to be good.
Source: moby, image spec v1.2 ("Combined Image JSON + Filesystem Changeset Format"); OCI
image-spec v1.1, image-layout.md.
"""

import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, Json, canonical_json, digest_of, hex_of
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.rootfs import Rootfs
from scratchtasks.oci import media
from scratchtasks.oci.image import manifest_bytes
from scratchtasks.oci.layer import plain_chunks
from scratchtasks.oci.layout import LAYOUT_FILE
from scratchtasks.store.blobs import ContentStore

from .engine import MARK

_PIECE = 256 * 1024
"""Bytes that are worth a call of the network; less is gathered."""


@dataclass(frozen=True, slots=True)
class PlainImage:
    """The image of *root* with plain tars as layers: the config is that of the image in `dist/`,
    manifest and blobs are others."""

    root: Rootfs

    @property
    def tars(self) -> tuple[Descriptor, ...]:
        """The layers as blobs."""
        return tuple(
            Descriptor(media.LAYER_TAR, Digest(layer.diff_id), layer.size)
            for layer in self.root.layers
        )

    @property
    def manifest(self) -> bytes:
        """The manifest that names the tars; its digest is the id in the containerd store."""
        return manifest_bytes(self.root.config, self.tars)


def write_archive(
    images: Sequence[PlainImage], left_out: Collection[Digest], store: ContentStore
) -> Iterator[bytes]:
    """The bytes of the archive of *images*, chunk by chunk, without the layers *left_out*.

    Tars are made while they are sent, from what the store holds.
    Raises: StoreError when a blob is missing or damaged; the archive then has no end.
    """
    return _gathered(_pieces(images, left_out, store))


def _pieces(
    images: Sequence[PlainImage], left_out: Collection[Digest], store: ContentStore
) -> Iterator[bytes]:
    manifests = {digest_of(image.manifest): image.manifest for image in images}
    yield from _member("oci-layout", LAYOUT_FILE)
    yield from _member("index.json", _index(manifests))
    yield from _member("manifest.json", _docker_manifest(images))
    for digest, data in manifests.items():
        yield from _member(_path(digest), data)
    for config in dict.fromkeys(image.root.config.digest for image in images):
        yield from _member(_path(config), store.read(config))
    sent = set(left_out)
    for image in images:
        for layer, tar in zip(image.root.layers, image.tars, strict=True):
            if tar.digest not in sent:
                sent.add(tar.digest)
                yield _header(_path(tar.digest), tar.size)
                yield from plain_chunks(layer, store.stream)
                yield _padding(tar.size)
    yield b"\0" * 1024


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for piece in pieces:
        if len(pending) + len(piece) < _PIECE:
            pending += piece
            continue
        if pending:
            yield bytes(pending)
            pending = bytearray()
        yield piece
    yield bytes(pending)


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
                "Config": _path(image.root.config.digest),
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
