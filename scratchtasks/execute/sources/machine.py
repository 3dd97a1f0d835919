"""What the machine that builds has itself: its CA bundle, its time zones.

Two machines have the same only by luck, so the lock holds every machine to what one of them had.
"""

import os
import re
import stat
from datetime import UTC, datetime

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StageError
from scratchtasks.core.source import FromMachine
from scratchtasks.core.target import Pin

from .pinned import mismatch
from .tree import pack_files

MAX_BUNDLE = 8 << 20
MAX_ZONES = 32 << 20
_BUNDLES = ("ca-certificates.crt", "ca-bundle.crt", "ca-bundle.pem")
"""What Debian and Alpine, Fedora, and SUSE call it."""

_HINT = "install your distribution's {package}, or choose another source"
_ALIASES = frozenset({"localtime", "posixrules", "posix", "right"})
"""Names below zoneinfo/ that are this machine's settings, or copies of all zones."""

_VERSION = re.compile(rb"# version ([0-9A-Za-z.+-]{1,40})")


def is_zone_path(path: str) -> bool:
    """Whether *path*, below zoneinfo/, is one that all machines agree about."""
    return path.partition("/")[0] not in _ALIASES


def read_machine(source: FromMachine, what: str) -> bytes:
    """The bytes of *source*: a PEM bundle (*what* `roots`), or zones as a tar (`zones`).

    Raises: StageError when it is missing, unreadable or too large.
    """
    return _bundle(source.path) if what == "roots" else pack_files(_zones(source.path))


def check_machine(pin: Pin, data: bytes) -> None:
    """Raises: StageError when *data* is not what *pin* says."""
    got = digest_of(data)
    if got != f"sha256:{pin.sha256}":
        path = pin.name.partition(":")[2]
        hint = "the machine that wrote the lock had others: `doit refresh` takes these"
        raise mismatch(pin, got, f"this machine's {path} has", hint)


def resolve_machine(source: FromMachine, what: str) -> Pin:
    """The pin for what this machine has now.  Raises: as read_machine."""
    data = read_machine(source, what)
    digest = digest_of(data).removeprefix("sha256:")
    version, moment = digest[:12], 0.0
    if what == "zones":
        found = _VERSION.match(_head(f"{source.path}/tzdata.zi"))
        version = found[1].decode() if found else version
        moment = os.stat(source.path).st_mtime
    else:
        moment = os.stat(_bundle_path(source.path) or source.path).st_mtime
    return Pin(
        name=f"machine:{source.path}",
        version=version,
        sha256=digest,
        size=len(data),
        kind="machine",
        date=f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}",
    )


def _bundle_path(folder: str) -> str:
    paths = (os.path.join(folder, name) for name in _BUNDLES)
    return next((path for path in paths if os.path.isfile(path)), "")


def _bundle(folder: str) -> bytes:
    path = _bundle_path(folder)
    if path:
        return _read(path, MAX_BUNDLE)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable(folder, error, "ca-certificates") from None
    data = bytearray()
    for name in names:
        if name.endswith((".pem", ".crt")):
            data += _read(os.path.join(folder, name), MAX_BUNDLE - len(data)).rstrip() + b"\n"
    if not data:
        raise StageError(folder, "holds no certificate", _HINT.format(package="ca-certificates"))
    return bytes(data)


def _zones(folder: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = MAX_ZONES

    def fail(error: OSError) -> None:
        raise _unreadable(folder, error, "tzdata")

    for here, folders, names in os.walk(folder, onerror=fail):
        below = os.path.relpath(here, folder)
        if below == ".":
            folders[:] = [name for name in folders if is_zone_path(name)]
        for name in names:
            path = name if below == "." else f"{below}/{name}"
            if is_zone_path(path) and os.path.isfile(os.path.join(here, name)):
                files[path] = _read(os.path.join(here, name), left)
                left -= len(files[path])
    return files


def _read(path: str, limit: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StageError(path, "wanted a file, got a folder or a device")
            data = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > limit:
        raise StageError(path, "is larger than any bundle or zone file")
    return data


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.readline(100)
    except OSError:
        return b""


def _unreadable(path: str, error: OSError, package: str = "") -> StageError:
    reason = os.strerror(error.errno or 0).lower()
    hint = _HINT.format(package=package) if package else ""
    return StageError(path, f"cannot be read: {reason}", hint)
