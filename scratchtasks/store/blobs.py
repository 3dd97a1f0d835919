"""The content store: bytes under their own digest, checked whenever they are taken out."""

import errno
import hashlib
import os
import stat
import time
from types import TracebackType
from typing import BinaryIO, Self

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, digest_of, hex_of
from scratchtasks.core.errors import StoreError

from .atomic import (
    create,
    discard,
    read_error,
    remove,
    storage_error,
    sync_folder,
    temp_beside,
    temp_name,
    write_all,
)
from .files import FileStates
from .signature import read_file, signature_of

BLOB_MODE = 0o444
"""Nobody edits a blob by accident, not even through its hard link in `dist/`."""

_ATTEMPTS = 10
_CHUNK = 256 * 1024
_FRESH = 1800
"""Seconds. A blob that is put again is touched when older, so that `collect` lets it be."""

_NO_HARD_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


class ContentStore:
    """Blobs in *folder* (absolute) at `sha256/ab/<64 hex>`, mode 0444, whole or absent.

    Whether a blob is whole is asked of *files*, so an untouched one costs a stat.
    """

    def __init__(self, folder: str, files: FileStates) -> None:
        self._folder = folder
        self._files = files
        files.guard(folder)

    def path(self, digest: Digest) -> str:
        """Where the blob *digest* is, or would be."""
        name = hex_of(digest)
        return f"{self._folder}/sha256/{name[:2]}/{name}"

    def tree(self, digest: Digest) -> str:
        """Where the folder that was unpacked from the bytes *digest* is, or would be."""
        return f"{self._folder}/trees/{hex_of(digest)}"

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* is present and whole; a damaged one is removed.

        Raises: StoreError when it is there but cannot be read.
        """
        path = self.path(blob.digest)
        found = self._files.content(path)
        if found is None or found == (blob.digest, blob.size):
            return found is not None
        # A wrong size alone is the descriptor's fault; others may need the blob.
        if found[0] != blob.digest:
            discard(path)
        return False

    def fault(self, blob: Descriptor) -> str:
        """Why *blob* cannot be used, in plain words; "" when it is whole.

        Raises: StoreError when it is there but cannot be read.
        """
        found = self._files.content(self.path(blob.digest))
        if found is None:
            return f"blob {blob.digest} is missing"
        digest, size = found
        if digest != blob.digest:
            return f"blob {blob.digest} is damaged: its {size} bytes have {digest}"
        if size != blob.size:
            return f"blob {blob.digest} has {size} bytes (wanted {blob.size})"
        return ""

    def put_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Store *data* unless it is there already.  Raises: StoreError (disk full, …)."""
        blob = Descriptor(media_type, digest_of(data), len(data))
        if self._is_there(blob):
            return blob
        with self.writer(media_type) as writer:
            writer.write(data)
            return writer.commit()

    def put_file(self, path: str, media_type: str) -> Descriptor:
        """Store a copy of the file *path*: what happens to it later does not reach the store.

        Raises: StoreError when it is no readable file, changes meanwhile, or the disk is full.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise read_error(path, error) from error
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise StoreError(path, "wanted a file, got a folder or a device")
            with self.writer(media_type) as writer:
                while chunk := os.read(fd, _CHUNK):
                    writer.write(chunk)
                if signature_of(os.fstat(fd)) != signature_of(before):
                    raise StoreError(
                        path, "changed while it was copied", "is another program still writing it?"
                    )
                return writer.commit()
        except OSError as error:
            raise read_error(path, error) from error
        finally:
            os.close(fd)

    def take_file(self, path: str, media_type: str) -> Descriptor:
        """Move the file *path* into the store: nobody else may have it, or know of it.

        Raises: StoreError when it is no readable file, or the disk is full.
        """
        found = read_file(path)
        if found is None:
            raise StoreError(path, "wanted a file, got none, a folder or a device")
        blob = Descriptor(media_type, Digest(found.value), found.signature[0])
        dest = self.path(blob.digest)
        try:
            if self._is_there(blob):
                os.unlink(path)
                return blob
            os.chmod(path, BLOB_MODE)
            if not self._files.must_sync and _is_moved(path, dest):
                self._files.adopt(dest, blob.digest)
                return blob
        except OSError as error:
            raise storage_error(self._folder, error) from error
        copied = self.put_file(path, media_type)
        remove(path)
        return copied

    def writer(self, media_type: str) -> "BlobWriter":
        """A `with` block's target for bytes that come in pieces; see BlobWriter."""
        return BlobWriter(self, media_type)

    def open(self, digest: Digest) -> BinaryIO:
        """The blob's file, opened for reading.  Raises: StoreError when missing or damaged."""
        path = self.path(digest)
        self._check(path, digest)
        try:
            return open(path, "rb")
        except OSError as error:
            raise read_error(path, error) from error

    def stream(self, digest: Digest) -> BinaryIO:
        """Like `open`, for a reader that hashes what it reads: it is not looked at before.

        Raises: StoreError when missing.
        """
        path = self.path(digest)
        try:
            return open(path, "rb", buffering=0)
        except FileNotFoundError:
            raise StoreError(path, f"blob {digest} is missing") from None
        except OSError as error:
            raise read_error(path, error) from error

    def read(self, digest: Digest) -> bytes:
        """All bytes of the blob, hashed as read.  Raises: StoreError when missing or damaged."""
        path = self.path(digest)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise StoreError(path, f"blob {digest} is missing") from None
        except OSError as error:
            raise read_error(path, error) from error
        found = digest_of(data)
        if found != digest:
            raise StoreError(path, f"blob {digest} is damaged: its {len(data)} bytes have {found}")
        return data

    def link(self, blob: Descriptor, dest: str) -> None:
        """Make *dest* the same file as *blob*, or a copy where hard links do not reach.

        Replaces what is there, atomically; nothing is done when *dest* holds *blob* already.

        Raises: StoreError when *blob* is missing or damaged, or *dest* cannot be written.
        """
        fault = self.fault(blob)
        if fault:
            raise StoreError(dest, fault)
        source = self.path(blob.digest)
        try:
            if os.stat(source).st_mode & 0o7777 != BLOB_MODE:
                os.chmod(source, BLOB_MODE)
            if self._is_done(source, dest, blob.digest):
                return
            temp = temp_beside(dest)
            try:
                is_linked = self._link_or_copy(source, temp, blob.digest)
                os.replace(temp, dest)
            finally:
                # rename(2) of two names of one inode succeeds and leaves both: if somebody else
                # linked *dest* just now, ours is still there.
                remove(temp)
        except OSError as error:
            raise storage_error(dest, error) from error
        if is_linked:
            self._files.adopt(source, blob.digest)
        self._files.adopt(dest, blob.digest)

    def _is_done(self, source: str, dest: str, digest: Digest) -> bool:
        try:
            there = os.lstat(dest)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISREG(there.st_mode):
            return False
        if os.path.samestat(there, os.stat(source)):
            return True
        return there.st_mode & 0o7777 == BLOB_MODE and self._files.digest(dest) == digest

    def _link_or_copy(self, source: str, temp: str, digest: Digest) -> bool:
        os.makedirs(os.path.dirname(temp), exist_ok=True)
        for _ in range(_ATTEMPTS):
            try:
                os.link(source, temp)
            except FileNotFoundError:
                # Nobody can link what has just lost its last name, to an equal blob put in its
                # place by another thread or process: that one is there.
                continue
            except OSError as error:
                if error.errno not in _NO_HARD_LINK:
                    raise
                break
            return True
        fd = create(temp)
        try:
            found = hashlib.sha256()
            with self.stream(digest) as file:
                while chunk := file.read(_CHUNK):
                    found.update(chunk)
                    write_all(fd, chunk)
            # A copy is never of other bytes than were asked for.
            if "sha256:" + found.hexdigest() != digest:
                raise StoreError(source, f"blob {digest} is damaged: its bytes have other digest")
            os.fchmod(fd, BLOB_MODE)
            if self._files.must_sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return False

    def _check(self, path: str, digest: Digest) -> None:
        found = self._files.content(path)
        if found is None:
            raise StoreError(path, f"blob {digest} is missing")
        if found[0] != digest:
            raise StoreError(
                path, f"blob {digest} is damaged: its {found[1]} bytes have {found[0]}"
            )

    def _is_there(self, blob: Descriptor) -> bool:
        if not self.has(blob):
            return False
        path = self.path(blob.digest)
        try:
            if abs(time.time() - os.stat(path).st_mtime) > _FRESH:
                os.utime(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise storage_error(path, error) from error
        return True


class BlobWriter:
    """Writes and hashes a blob in one pass; unless committed, nothing stays behind."""

    def __init__(self, store: ContentStore, media_type: str) -> None:
        self._store = store
        self._media_type = media_type
        self._temp = os.path.join(store._folder, "tmp", temp_name())
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._pending = bytearray()
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            self._fd = create(self._temp)
        except OSError as error:
            raise storage_error(self._store._folder, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            self._discard()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append *data*; returns its size in bytes.  Raises: StoreError (disk full, …)."""
        self._check_open()
        view = memoryview(data).cast("B")
        # Small pieces (tar headers) are gathered: a system call for each would dominate.
        if len(self._pending) + view.nbytes < _CHUNK:
            self._pending += view
        else:
            self._flush()
            self._append(view)
        return view.nbytes

    def commit(self) -> Descriptor:
        """Put the blob in its place and describe it.  Raises: StoreError (disk full, …)."""
        self._check_open()
        self._flush()
        digest = Digest("sha256:" + self._sha256.hexdigest())
        blob = Descriptor(self._media_type, digest, self._size)
        store = self._store
        if store._is_there(blob):
            self._discard()
            return blob
        path = store.path(digest)
        try:
            os.fchmod(self._fd, BLOB_MODE)
            if store._files.must_sync:
                os.fsync(self._fd)
            fd, self._fd = self._fd, -1
            try:
                # Before the rename: on a network disk it is close that says "no space left".
                os.close(fd)
                _rename(self._temp, path)
            except BaseException:
                remove(self._temp)
                raise
            if store._files.must_sync:
                sync_folder(os.path.dirname(path))
        except OSError as error:
            raise storage_error(store._folder, error) from error
        store._files.adopt(path, digest)
        return blob

    def _check_open(self) -> None:
        if self._fd < 0:
            raise ValueError("a BlobWriter is written to in its `with` block, before commit")

    def _discard(self) -> None:
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        finally:
            remove(self._temp)

    def _flush(self) -> None:
        if self._pending:
            self._append(memoryview(self._pending))
            self._pending = bytearray()

    def _append(self, view: memoryview) -> None:
        try:
            write_all(self._fd, view)
        except OSError as error:
            raise storage_error(self._store._folder, error) from error
        self._sha256.update(view)
        self._size += view.nbytes


def _is_moved(path: str, dest: str) -> bool:
    """Move *path* to *dest*; False where that is another file system."""
    try:
        _rename(path, dest)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _rename(temp: str, path: str) -> None:
    try:
        os.replace(temp, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temp, path)
