"""Images as OCI layout folders: `dist/NAME/`, its blobs hard-linked from the store.

Source: OCI image-spec v1.1, image-layout.md.
"""

import json
import os
import stat
from collections.abc import Iterator, Sequence

from scratchtasks.core.descriptor import Descriptor, descriptor_from_json
from scratchtasks.core.digest import Digest, hex_of
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.oci.layout import LAYOUT_FILE, index_json
from scratchtasks.store.atomic import (
    TEMP_PREFIX,
    read_error,
    read_regular,
    storage_error,
    write_atomic,
)
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
from scratchtasks.store.signature import Watch, value_at

_OURS = frozenset({"oci-layout", "index.json", "blobs"})


def export(
    name: str,
    top: Descriptor,
    blobs: Sequence[Descriptor],
    index: bytes,
    store: ContentStore,
    folder: str,
) -> None:
    """Make *folder* the OCI layout of image *name*; a crash leaves the old image or the new.

    *blobs* are all that the image needs, *top* (what *index* points to) among them.  New
    blobs come first, then `index.json` in one step, and only then do old blobs go.

    Raises: SinkError when *folder* is something of the user's; StoreError when a blob is
    missing or damaged, or the disk is full.
    """
    if top not in blobs:
        raise SinkError(f"image {name}", f"{top.digest} is not among the blobs to export")
    _check_ours(folder)
    _write(f"{folder}/oci-layout", LAYOUT_FILE)
    for blob in blobs:
        store.link(blob, _blob_path(folder, blob.digest))
    _write(f"{folder}/index.json", index)
    for stray in _strays(folder, blobs):
        try:
            os.unlink(stray)
        except OSError as error:
            raise storage_error(stray, error) from error


def fault(
    top: Descriptor,
    blobs: Sequence[Descriptor],
    index: bytes,
    store: ContentStore,
    files: FileStates,
    folder: str,
) -> str:
    """Why *folder* is not the whole and current export of an image, in plain words; or "".

    Arguments are those of `export`, which refuses what is told of a folder.  An untouched blob
    costs a few stats.

    Raises: StoreError when a file is there and cannot be read.
    """
    misplaced = _misplaced(folder)
    if misplaced is not None:
        return " is ".join(misplaced)
    for file, wanted in (("oci-layout", LAYOUT_FILE), ("index.json", index)):
        found = _read(f"{folder}/{file}")
        if found is None:
            return _lack(f"{folder}/{file}")
        if found != wanted:
            return f"{folder}/{file} is of another image than {top.digest}"
    for blob in blobs:
        path = _blob_path(folder, blob.digest)
        digest = _digest(path, store.path(blob.digest), files)
        if digest is None:
            return _lack(path)
        if digest != blob.digest:
            return f"{path} is damaged: its bytes have {digest}"
    for stray in _strays(folder, blobs):
        return f"{stray} is no part of the image"
    return ""


def watch(
    folder: str, name: str, blobs: Sequence[Descriptor], store: ContentStore
) -> Iterator[Watch]:
    """What tells, by stat alone, that *folder* (called *name* there) still holds *blobs*.

    To be asked before `fault` finds nothing.
    """
    for part in ("/oci-layout", "/index.json"):
        value, note = value_at("file", folder + part)
        yield name + part, ("file", "", value), note
    inside, note = "/blobs/sha256", None
    for part in ("", "/blobs", inside):
        value, note = value_at("folder", folder + part, "*")
        yield name + part, ("folder", "*", value), note
    for blob in blobs:
        source, entry = store.path(blob.digest), hex_of(blob.digest)
        path = f"{folder}{inside}/{entry}"
        if _is_linked(path, source):  # then the store's own name tells of its bytes
            yield name + inside, ("same", entry, source), note
        else:
            value, own = value_at("file", path)
            yield f"{name}{inside}/{entry}", ("file", "", value), own


def is_surely_ours(name: str, folder: str, store: ContentStore) -> bool:
    """Whether `export` made *folder* for image *name*, and nobody else: `index.json` is what it
    writes, byte by byte, and all blobs are hard links of *store*'s own.

    Where the store lies on another file system, or was deleted, that cannot be told: False.
    Raises: StoreError when something is there and cannot be read.
    """
    if _misplaced(folder) is not None or set(_names_in(folder)) != _OURS:
        return False
    data = _read(f"{folder}/index.json") or b""
    try:
        top = descriptor_from_json(json.loads(data)["manifests"][0])
        if data != index_json(name, top):
            return False
        digests = [Digest(f"sha256:{each}") for each in _names_in(f"{folder}/blobs/sha256")]
        is_ours = [_is_linked(_blob_path(folder, each), store.path(each)) for each in digests]
    except (ValueError, RecursionError, LookupError, TypeError, StoreError):
        return False
    return top.digest in digests and all(is_ours)


def remove(folder: str) -> None:
    """Delete the layout in *folder*, first of all what makes it readable; absent is fine.

    Raises: SinkError when it holds files of the user's; StoreError when something cannot go.
    """
    names = _check_ours(folder)
    for name in names:
        if name not in _OURS and not name.startswith(TEMP_PREFIX):
            raise SinkError(
                folder,
                f"holds {name!r}, which is no part of the image",
                "move it elsewhere, or delete the folder yourself",
            )
    if not os.path.lexists(folder):
        return
    try:
        for name in ("index.json", *sorted(n for n in names if n.startswith(TEMP_PREFIX))):
            if name in names:
                os.unlink(f"{folder}/{name}")
        for stray in _strays(folder, ()):
            os.unlink(stray)
        for part in ("blobs/sha256", "blobs"):
            if os.path.isdir(f"{folder}/{part}"):
                os.rmdir(f"{folder}/{part}")
        if "oci-layout" in names:  # last: while it is there, the rest is known to be ours
            os.unlink(f"{folder}/oci-layout")
        os.rmdir(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def _blob_path(folder: str, digest: Digest) -> str:
    return f"{folder}/blobs/sha256/{hex_of(digest)}"


def _check_ours(folder: str) -> list[str]:
    """The names in *folder*, [] when it is missing.  Raises: SinkError when it is not ours."""
    misplaced = _misplaced(folder)
    if misplaced is not None:
        path, what = misplaced
        wanted = "OCI layouts" if len(path) < len(folder) else "an OCI layout"
        raise SinkError(path, f"wanted a folder of {wanted}, got {what}", "move it elsewhere")
    names = _names_in(folder)
    # Temporary files alone are an export that was killed before it wrote `oci-layout`.
    if "oci-layout" in names or all(name.startswith(TEMP_PREFIX) for name in names):
        return names
    raise SinkError(
        folder,
        "is not empty and not an OCI layout, so it is left alone",
        "move its files elsewhere: the image is written there",
    )


def _misplaced(folder: str) -> tuple[str, str] | None:
    """What is in the place of a folder of the layout in *folder*, and what it is: a link may lead
    to somebody else's files."""
    for path in (folder, f"{folder}/blobs", f"{folder}/blobs/sha256"):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            break
        except NotADirectoryError:  # of the others, the one before has told
            return os.path.dirname(folder), "a file"
        except OSError as error:
            raise read_error(path, error) from error
        if not stat.S_ISDIR(mode):
            return path, "a symbolic link" if stat.S_ISLNK(mode) else "a file"
    return None


def _digest(path: str, source: str, files: FileStates) -> Digest | None:
    """The digest of *path*.  Every new name of a blob moves its ctime, which would make each of
    its names look changed; so a hard link of *source* is asked about by that one name."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
    except OSError:
        pass
    return files.digest(source if _is_linked(path, source) else path)


def _is_linked(path: str, source: str) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.stat(source))
    except OSError:
        return False


def _strays(folder: str, blobs: Sequence[Descriptor]) -> Iterator[str]:
    """Blobs that the image does not name, and unfinished files, wherever they lie."""
    wanted = {hex_of(blob.digest) for blob in blobs}
    inside = f"{folder}/blobs/sha256"
    yield from [f"{inside}/{name}" for name in _names_in(inside) if name not in wanted]
    yield from [f"{folder}/{n}" for n in _names_in(folder) if n.startswith(TEMP_PREFIX)]


def _names_in(folder: str) -> list[str]:
    """The names in *folder*, [] when it is missing.  Raises: StoreError when it cannot be read."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise read_error(folder, error) from error


def _write(path: str, data: bytes) -> None:
    if _read(path) != data:
        write_atomic(path, data)


def _read(path: str) -> bytes | None:
    return read_regular(path, 1 << 20)


def _lack(path: str) -> str:
    """What is wrong with *path*, where no file of ours is."""
    return f"{path} is {'no regular file' if os.path.lexists(path) else 'missing'}"
