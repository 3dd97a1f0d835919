"""Blobs held in memory, and small images made of them."""

import io
from collections.abc import Sequence
from typing import BinaryIO

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Image, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, index_bytes, manifest_bytes
from tests.packing import pack_layer

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

IMAGE = Image(platforms=(AMD64,), user=User("app", 1001, 1001), entrypoint=("/usr/bin/api",))


class MemoryBlobs:
    """What a store is to `oci/`: bytes by digest."""

    def __init__(self) -> None:
        self.by_digest: dict[Digest, bytes] = {}

    def put(self, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        digest = digest_of(data)
        self.by_digest[digest] = data
        return Descriptor(media_type, digest, len(data))

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return io.BytesIO(self.by_digest[digest])
        except KeyError:
            raise StoreError(f"blob {digest}", "is missing") from None

    def file(
        self, path: str, data: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> FileEntry:
        blob = self.put(data)
        return FileEntry(path=path, mode=mode, uid=uid, gid=gid, digest=blob.digest, size=len(data))

    def layer(self, entries: Sequence[FileEntry], kind: str = "", compress: bool = True) -> Layer:
        out = io.BytesIO()
        layer = pack_layer(entries, self.open, out, kind=kind, compress=compress)
        assert self.put(out.getvalue(), layer.blob.media_type) == layer.blob
        return layer

    def manifest(self, layers: Sequence[Layer], platform: Platform = AMD64) -> Descriptor:
        config = self.put(config_bytes(IMAGE, platform, layers), media.CONFIG)
        data = manifest_bytes(config, [layer.blob for layer in layers])
        return self.put(data, media.MANIFEST)

    def image(self) -> Descriptor:
        """An image for two platforms: one shared layer, one layer each; returns its index."""
        tmp = FileEntry(path="tmp", kind="dir", mode=0o1777)
        shared = self.layer([self.file("etc/hosts", b"127.0.0.1 localhost\n"), tmp], "etc")
        made = []
        for platform in (AMD64, ARM64):
            program = self.file("usr/bin/api", f"for {platform}".encode() * 900, mode=0o755)
            own = self.layer([program], "binary", compress=platform == AMD64)
            made.append((self.manifest([shared, own], platform), platform))
        return self.put(index_bytes(made), media.INDEX)
