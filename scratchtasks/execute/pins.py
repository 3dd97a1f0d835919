"""Pinned wheels: fetched once by the user's own pip, held to their digest ever after."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import parse_digest
from scratchtasks.core.errors import StageError
from scratchtasks.core.logins import without_logins
from scratchtasks.core.target import Pin
from scratchtasks.store.atomic import write_atomic

from .operation import World, empty_folder
from .sources.pinned import offline

if TYPE_CHECKING:
    import zipfile

MEDIA_TYPE = "application/zip"
_COMPRESSIONS = (0, 8)
"""None, and deflate: what other ways raise for damage is anything but a BadZipFile."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_NO_URL = re.compile(r"\b(ValueError|Invalid(?:Proxy)?URL|(?:Invalid|Missing)Schema): .*")
"""How pip's traceback ends then, with pieces of it, of a password that holds a slash too."""
_PIP_GOT = re.compile(r"^\s*Got\s+([0-9a-f]{64})\s*$", re.MULTILINE)


def pin_of(name: str, world: World) -> Pin:
    """The pin called *name*.  Raises: StageError when scratch.lock has none, or a malformed one."""
    pin = world.pins.get(name)
    if pin is None:
        raise StageError("scratch.lock", f"has no pin for {name}")
    for word in (pin.name, pin.version):
        # Both become lines of a requirements file, where a newline would begin an option.
        if not _WORD.fullmatch(word):
            raise StageError(f"scratch.lock: {name}", f"wanted a name and a version, got {word!a}")
    return pin


def pinned_wheel(name: str, world: World) -> str:
    """The absolute path of the wheel that *name* is pinned to, whole and verified.

    Taken from the store where it is; else fetched by this interpreter's pip, so that the user's
    own index, proxy, credentials and CA bundle hold, with no secret in argv.

    Raises: StageError when there is no pin, the download fails, or its bytes are not the pin's.
    """
    pin = pin_of(name, world)
    digest = parse_digest(f"sha256:{pin.sha256}", f"scratch.lock: {name}")
    if not world.store.has(Descriptor(MEDIA_TYPE, digest, pin.size)):
        with fetched_wheel(pin, world) as path:
            world.store.put_file(path, MEDIA_TYPE)
    return world.store.path(digest)


def read_member(wheel: str, member: str, limit_bytes: int) -> bytes:
    """The content of *member* of the zip file *wheel*.

    Raises: StageError when it is missing, damaged or larger than *limit_bytes* once unpacked.
    """
    with opened_wheel(wheel) as archive:
        if member not in archive.namelist():
            raise StageError(os.path.basename(wheel), f"has no member {member!a}")
        return _read(archive, member, limit_bytes)


def read_folder(wheel: str, folder: str, limit_bytes: int) -> dict[str, bytes]:
    """The files of the zip file *wheel* below *folder*, by their path below it.

    Nothing is unpacked to disk; paths are as the archive has them, for the caller to check.
    Raises: StageError when damaged, or larger than *limit_bytes* all together once unpacked.
    """
    found: dict[str, bytes] = {}
    with opened_wheel(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(f"{folder}/") and not name.endswith("/"):
                found[name.removeprefix(f"{folder}/")] = _read(archive, name, limit_bytes)
                limit_bytes -= len(found[name.removeprefix(f"{folder}/")])
    return found


@contextmanager
def fetched_wheel(pin: Pin, world: World) -> Iterator[str]:
    """The path of *pin*'s wheel as pip has just fetched it, verified; gone after the block.

    Raises: NotInStore with --offline; StageError; StoreError when the disk is full.
    """
    tag = f"{pin.name} {pin.version}"
    if world.is_offline:
        raise offline(tag)
    with empty_folder(world) as folder:
        wanted = os.path.join(folder, "requirements.txt")
        line = f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n"
        write_atomic(wanted, line.encode())
        wheels = os.path.join(folder, "wheels")
        # In a folder of its own: a pip.py in the workspace must not be taken for pip.
        finished = world.processes.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes",
             "--only-binary", ":all:", "--no-input", "--no-color", "--progress-bar", "off",
             "--disable-pip-version-check", "-r", wanted, "-d", wheels],
            cwd=folder,
            # Constraints are for what is installed beside each other, and this is not installed.
            env={**world.env, "PIP_CONSTRAINT": os.devnull},
            show_stderr=False,
        )  # fmt: skip
        if finished.code:
            raise _refusal(pin, (finished.stdout + finished.stderr).decode("utf-8", "replace"))
        files = sorted(os.listdir(wheels))
        if len(files) != 1:
            raise StageError(tag, f"wanted one wheel from pip, got {', '.join(files) or 'none'}")
        path = os.path.join(wheels, files[0])
        with open(path, "rb") as wheel:
            got = hashlib.file_digest(wheel, "sha256").hexdigest()
            size = wheel.tell()
        if got != pin.sha256:
            raise _mismatch(pin, got)
        if pin.size not in (0, size):  # an index need not tell of sizes
            raise StageError(
                tag, f"size mismatch: the pin says {pin.size} bytes, the downloaded file has {size}"
            )
        yield path


def _refusal(pin: Pin, output: str) -> StageError:
    got = _PIP_GOT.search(output)
    if got:
        return _mismatch(pin, got[1])
    lines = [line for line in output.splitlines() if line.strip()] or ["nothing"]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if errors[-1:] == ["Exception:"]:  # a traceback follows, whose last line tells
        errors = []
    last = _NO_URL.sub(r"\1: is an index or a proxy no URL?", (errors or lines)[-1])
    return StageError(
        f"{pin.name} {pin.version}",
        f"cannot be fetched: pip says {without_logins(last)!a}",
        f"is the index reachable? try: pip download --no-deps {pin.name}=={pin.version}",
    )


def _mismatch(pin: Pin, got: str) -> StageError:
    return StageError(
        f"{pin.name} {pin.version}",
        f"digest mismatch: the pin says sha256:{pin.sha256}, the downloaded file has sha256:{got}",
    )


@contextmanager
def opened_wheel(wheel: str) -> Iterator[zipfile.ZipFile]:
    """The file *wheel* opened; whatever damage shows while it is read becomes a StageError."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(wheel) as archive:
            if any(member.compress_type not in _COMPRESSIONS for member in archive.infolist()):
                raise zipfile.BadZipFile("compressed in a way that wheels are not")
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise StageError(os.path.basename(wheel), f"is no sound zip file ({error})") from None


def _read(archive: zipfile.ZipFile, member: str, limit_bytes: int) -> bytes:
    # The header's size may lie, so that the bytes themselves are counted.
    with archive.open(member) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        name = os.path.basename(archive.filename or "")
        raise StageError(name, f"{member!a} is larger than {limit_bytes} bytes")
    return data
