"""A wheel as files on disk: whole or not there, and known again by what was unpacked.

Beside the files lie two lists in the form of `sha256sum`: of programs, which are compared whenever
the tree is used, and of all others, which are compared once per boot, for a power loss may cut
short what was never fsynced.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import StageError
from scratchtasks.store.atomic import (
    TEMP_PREFIX,
    create,
    storage_error,
    temp_beside,
    write_all,
    write_atomic,
)
from scratchtasks.store.lock import WorkspaceLock
from scratchtasks.store.signature import boot_id

from .operation import World
from .toolchains import is_file, tool_digests

if TYPE_CHECKING:
    import zipfile

_MOST_BYTES = 4 << 30
_MOST_FILES = 200_000
"""Some ten times what the largest compiler has today."""

_CHUNK = 1 << 20
_FOLDER = 0o755
_KINDS: Mapping[int, str] = {0o555: "programs", 0o444: "others"}
"""The lists by the mode of what is in them: nobody edits a compiler by accident."""


def is_whole(tree: str, world: World) -> bool:
    """Whether the absolute folder *tree* holds what `unpack_wheel` put there.

    What was looked at is noted, so that a run with nothing to do sees a program that changed.
    """
    try:
        programs = _listed(tree, "programs")
        is_file(f"{tree}/programs", world)
        if tool_digests(list(programs), world) != list(programs.values()):
            return False
        boot = boot_id()
        with open(f"{tree}/boot", encoding="utf-8") as file:
            is_checked = file.read() == boot
        if not is_checked:
            others = _listed(tree, "others")
            if any(_digest(path) != digest for path, digest in others.items()):
                return False
            write_atomic(f"{tree}/boot", boot.encode())
    except (OSError, ValueError):
        return False
    return True


def unpack_wheel(wheel: str, tree: str, world: World) -> None:
    """Unpack the zip file *wheel* to the folder `files` in *tree*, in place of what is there.

    Raises: StageError for a wheel that is damaged, too large, or would write anywhere else;
    StoreError when the disk is full; Cancelled.  *tree* is then as it was.
    """
    import shutil

    temp, old = temp_beside(tree), temp_beside(tree)
    lists: dict[str, dict[str, str]] = {name: {} for name in _KINDS.values()}
    try:
        try:
            for path, digest, mode in _unpacked(wheel, f"{temp}/files", world):
                lists[_KINDS[mode]][path] = digest
            for name, files in lists.items():
                lines = (f"{digest}  files/{path}\n" for path, digest in files.items())
                write_atomic(f"{temp}/{name}", "".join(lines).encode("utf-8", "surrogateescape"))
            write_atomic(f"{temp}/boot", boot_id().encode())
            if world.files.must_sync:
                os.sync()
            with suppress(FileNotFoundError):
                os.rename(tree, old)
            os.rename(temp, tree)
        finally:
            for each in (temp, old):
                shutil.rmtree(each, ignore_errors=True)
    except OSError as error:
        raise storage_error(tree, error) from error
    world.files.forget_scan()
    for path, digest in lists["programs"].items():
        world.files.adopt(f"{tree}/files/{path}", Digest(f"sha256:{digest}"))


def alone(tree: str) -> WorkspaceLock:
    """For a `with` block in which nobody else, thread or process, unpacks beside *tree*.

    What others have left unfinished is gone then.  Raises: StoreError.
    """
    import shutil

    folder = os.path.dirname(tree)
    lock = WorkspaceLock(f"{folder}/lock")
    lock.acquire(lambda _: None)
    for name in os.listdir(folder):
        if name.startswith(TEMP_PREFIX):
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
    return lock


def _listed(tree: str, name: str) -> dict[str, str]:
    """Digests by absolute path.  Raises: OSError, ValueError."""
    with open(f"{tree}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        pairs = (line.rstrip("\n").split("  ", 1) for line in file)
        return {f"{tree}/{path}": f"sha256:{digest}" for digest, path in pairs}


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(wheel: str, folder: str, world: World) -> Iterator[tuple[str, str, int]]:
    """Unpack *wheel* to *folder*: the path, SHA-256 and mode of each file."""
    from .pins import opened_wheel

    where, left = os.path.basename(wheel), _MOST_BYTES
    try:
        with opened_wheel(wheel) as archive:
            members = archive.infolist()
            if len(members) > _MOST_FILES:
                raise StageError(where, f"has {len(members)} files (wanted at most {_MOST_FILES})")
            _make_folders(folder)
            for member in members:
                path = _path_of(member, where)
                if member.is_dir():
                    continue  # those that hold something come with what they hold
                world.processes.check()
                is_program = member.external_attr >> 16 & 0o111
                mode = 0o555 if is_program else 0o444
                digest, size = _copy(archive, member, f"{folder}/{path}", mode, left, where)
                left -= size
                yield path, digest, mode
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        name = os.path.relpath(error.filename, folder)
        raise StageError(where, f"has two members for one place, {name!a}") from None


def _path_of(member: "zipfile.ZipInfo", where: str) -> str:
    """The relative path of *member*.  Raises: StageError for one that leads anywhere else."""
    name = member.orig_filename  # before NUL bytes were cut off
    path = name.removesuffix("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in path.split("/")):
        raise StageError(where, f"wanted a plain relative path in it, got {name[:200]!a}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
        raise StageError(where, f"wanted files and folders in it, got a link or device {name!a}")
    return path


def _copy(
    archive: "zipfile.ZipFile",
    member: "zipfile.ZipInfo",
    path: str,
    mode: int,
    most: int,
    where: str,
) -> tuple[str, int]:
    """Write *member* to *path*: its SHA-256 and its size in bytes, at most *most*."""
    _make_folders(os.path.dirname(path))
    found, size = hashlib.sha256(), 0
    fd = create(path)
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):  # the header's size may lie: bytes are counted
                size += len(chunk)
                if size > most:
                    raise StageError(where, f"is larger than {_MOST_BYTES} bytes once unpacked")
                found.update(chunk)
                write_all(fd, chunk)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return found.hexdigest(), size


def _make_folders(path: str) -> None:
    """Make the folder *path*, and those above that are missing, for all to read."""
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, _FOLDER)  # whatever the umask
