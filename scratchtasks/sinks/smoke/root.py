"""A private copy of an image's root file system, and single files out of its layers.

Everything in the copy belongs to whoever runs us, and inside the sandbox that one *is* the
image's user.  So that he may do there just what he may do in the image, each mode's owner bits
are set to the rights that the image gives him: /etc/hosts of root, 0644, becomes 0444.
Source: OCI image-spec v1.1, layer.md.
"""

import os
import posixpath
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from scratchtasks.core.descriptor import Layer
from scratchtasks.core.errors import SinkError, StageError
from scratchtasks.core.tree import check_path
from scratchtasks.oci import media
from scratchtasks.oci.inflate import LayerReader
from scratchtasks.store.blobs import ContentStore

from .trial import Trial

_LIMIT = 1 << 36
"""Bytes of one uncompressed layer."""

_MAX_FILE = 1 << 20


def unpack(trial: Trial, store: ContentStore, folder: str, where: str) -> None:
    """Unpack the image of *trial* into the empty *folder*, with mount points for /proc and /dev,
    and with the working folder and volumes where the image lacks them, as Docker makes them.

    Raises: SinkError (a layer that is not what it should be); StoreError (missing, damaged).
    """
    copy = _Copy(folder, (trial.uid, trial.gid), where)
    for layer in trial.image.layers:
        for member, content in members(layer, store, where):
            copy.add(member, content)
    for path in (trial.workdir, *trial.volumes, "/proc", "/dev"):
        copy.add_folder(path.strip("/"))
    copy.finish()


def read_file(trial: Trial, store: ContentStore, path: str, where: str) -> bytes:
    """The content of the file *path* of the image, without a leading slash; b"" without one.

    Raises: SinkError, StoreError, as `unpack` does.
    """
    found = b""
    for layer in trial.image.layers:
        for member, content in members(layer, store, where):
            if plain_path(member, where) == path:
                found = content.read(_MAX_FILE) if content else b""
    return found


def rights(mode: int, owner: tuple[int, int], user: tuple[int, int]) -> int:
    """The *mode* that gives its owner what *mode*, under *owner*, gives *user* (uid and gid).

    Root keeps what he has: he may do all.  No set-uid bits: they would be ours on this machine.
    """
    mode &= 0o1777
    if user[0] == 0:
        return mode
    shift = 6 if owner[0] == user[0] else 3 if owner[1] == user[1] else 0
    return mode & ~0o700 | (mode >> shift & 7) << 6


def plain_path(member: tarfile.TarInfo, where: str) -> str:
    """The path of *member* without a leading slash.  Raises: SinkError if it leads elsewhere."""
    try:
        return check_path("/" + member.name, where)
    except StageError as error:
        raise SinkError(error.where, error.what) from None


@contextmanager
def _open(layer: Layer, store: ContentStore, where: str) -> Iterator[BinaryIO]:
    """The uncompressed bytes of *layer*; its DiffID is checked in the end."""
    fault = store.fault(layer.blob)
    if fault:
        raise SinkError(where, fault)
    with store.open(layer.blob.digest) as stream:
        is_gzip = layer.blob.media_type == media.LAYER_GZIP
        reader = LayerReader(stream, is_gzip=is_gzip, size=layer.blob.size, limit=_LIMIT)
        yield cast(BinaryIO, reader)
        reader.drain()
        if reader.fault or reader.diff_id != layer.diff_id:
            what = reader.fault or f"it holds {reader.diff_id}, its config says {layer.diff_id}"
            raise SinkError(where, f"layer {layer.blob.digest}: {what}")


def members(
    layer: Layer, store: ContentStore, where: str
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    """Everything in *layer*, each with its content if it is a file, to be read before the next.

    Raises: SinkError when it is not what its descriptor says; StoreError.
    """
    try:
        with _open(layer, store, where) as raw, _tar(raw) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                yield member, cast(BinaryIO | None, content)
    except tarfile.TarError as error:
        raise SinkError(where, f"layer {layer.blob.digest}: {error}") from None


def _tar(raw: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=raw, mode="r|", encoding="utf-8")


class _Copy:
    """The root file system in the making: *root* is its folder, *user* the image's uid and gid."""

    def __init__(self, root: str, user: tuple[int, int], where: str) -> None:
        self._root, self._user, self._where = root, user, where
        self._implied = rights(0o755, (0, 0), user)
        self._folders = {"": self._implied}

    def add(self, member: tarfile.TarInfo, content: BinaryIO | None) -> None:
        """Write *member*, in place of what a lower layer has there."""
        path = plain_path(member, self._where)
        mode = rights(member.mode, (member.uid, member.gid), self._user)
        if member.isdir():
            self.add_folder(path)
            if path not in self._folders:
                raise SinkError(self._where, f"/{path}: a folder in one layer, a file in another")
            self._folders[path] = mode
            return
        # Only folders that we have made ourselves are entered: never a symbolic link.
        if posixpath.dirname(path) not in self._folders or path in self._folders:
            raise SinkError(self._where, f"/{path}: a folder in one layer, a file in another")
        target = f"{self._root}/{path}"
        if os.path.lexists(target):
            os.unlink(target)
        if member.issym():
            os.symlink(member.linkname, target)
        elif member.islnk():
            self._link(member.linkname, target)
        elif content is not None:
            with open(target, "xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
                os.fchmod(file.fileno(), mode)
        else:
            raise SinkError(self._where, f"/{path}: neither file, folder nor link")

    def add_folder(self, path: str) -> None:
        """Make the folder *path* and those above it, unless something is in the way."""
        if path in self._folders:
            return
        above = posixpath.dirname(path)
        self.add_folder(above)
        if above in self._folders and not os.path.lexists(f"{self._root}/{path}"):
            os.mkdir(f"{self._root}/{path}", 0o700)
            self._folders[path] = self._implied

    def finish(self) -> None:
        """Give the folders their modes, deepest first: we need to write to them until then."""
        for path, mode in sorted(self._folders.items(), reverse=True):
            os.chmod(f"{self._root}/{path}", mode)

    def _link(self, shared: str, target: str) -> None:
        source = posixpath.normpath(shared)
        if posixpath.dirname(source) not in self._folders:
            raise SinkError(self._where, f"/{shared}: a hard link to what is not in the image")
        os.link(f"{self._root}/{source}", target, follow_symlinks=False)
