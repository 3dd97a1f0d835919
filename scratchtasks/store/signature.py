"""What stat tells about a file, and when that is enough to know its content is the same."""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.core.names import is_match

from .atomic import read_error

Signature = tuple[int, ...]
"""size, mtime_ns, ctime_ns, inode, device.  Any write moves ctime, which nobody can set back;
replacing a file moves the inode; mounting something over it, the device."""

Note = Signature | None
"""What a look at a path left behind: its Signature, None where there was nothing, or () when
what was there was too young to be trusted."""

Meaning = tuple[str, str, str]
"""Kind, pattern and value of an input; or `folder`, which is `names` of a folder that no symlink
stands for; or `same`, the name of an entry of the folder, and the path of which it is a hard
link."""

Watch = tuple[str, Meaning | None, Note]
"""A path (relative to the root inside it), what is read from it, and the Note of that look.

Without a Meaning its stat alone counts."""

_FINE = 50_000_000
"""ns. Time stamps come from a clock that ticks every 1 to 10 ms: a write in the same tick as the
one before leaves the same stamp.  50 ms is well beyond any tick."""

_COARSE = 2_000_000_000
"""ns. The same where stamps are kept in whole seconds (or two of them, as FAT does)."""

_SKEW = 3_600_000_000_000
"""ns. Stamps of another machine's clock, which may be behind ours: a file may look as old as this
when it has just been written."""

_NEVER = 1 << 64
"""ns. The same where there is nothing to go by."""

# fmt: off
_LOCAL = frozenset({
    "apfs", "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660",
    "jfs", "nilfs2", "overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "ubifs", "ufs",
    "xfs", "zfs",
})
"""File systems whose ctime is this machine's and moves with each write."""

_REMOTE = frozenset({
    "9p", "beegfs", "ceph", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "virtiofs",
})
"""Those whose ctime is that of the machine that keeps the files."""
# fmt: on

_ATTEMPTS = 5
_CHUNK = 256 * 1024


class Content(NamedTuple):
    """A value, the signature it belongs to, and whether that may be trusted later on."""

    value: str
    signature: Signature
    settled: bool


def signature_of(info: os.stat_result) -> Signature:
    """The Signature of *info*."""
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev)


def is_settled(signature: Signature, clock: int) -> bool:
    """Whether a write after *clock* (ns since the epoch) is sure to move *signature*.

    git's rule for racy entries.  Stamps in the future of *clock* never settle, nor do those of
    mounts that keep no ctime: there a write can leave no trace.
    """
    _, mtime, ctime, _, device = signature
    whole_seconds = mtime % 1_000_000_000 == 0 and ctime % 1_000_000_000 == 0
    margin = (_COARSE if whole_seconds else _FINE) + _doubts().get(device, 0)
    return max(mtime, ctime) + margin < clock


def note_of(info: os.stat_result, clock: int) -> Signature:
    """What to keep of a look at *info* that began at *clock*: its signature, or ()."""
    signature = signature_of(info)
    return signature if is_settled(signature, clock) else ()


def stat_note(path: str, clock: int) -> Note:
    """What stat says of *path* now, no earlier than *clock* (ns since the epoch); () where that
    cannot be told."""
    try:
        info = stat_of(path)
    except StoreError:
        return ()
    return info and note_of(info, clock)


def boot_id() -> str:
    """The kernel's name for this boot, "" where it has none.

    A power loss can take bytes of files that were not synced, and leave their stat.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().decode().strip()
    except OSError:
        return ""


def stat_of(path: str) -> os.stat_result | None:
    """os.stat, None when *path* is not there.  Raises: StoreError when that cannot be told."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # nothing can be there: a word that is no path
            return None
        raise read_error(path, error) from error


def value_at(kind: str, path: str, pattern: str = "") -> tuple[str, Note]:
    """The value of the Input (*kind*, *path*, *pattern*) as it is now, and a Note of that look.

    Values are as core.action.Input has them; a folder's `file` is "dir", a device's "other".  The
    kind may be `folder`, too.

    Raises: StoreError when it is there but cannot be read.
    """
    clock = time.time_ns()
    if kind == "link":
        return _link(path)
    if kind == "folder" and os.path.islink(path):
        return "", ()
    info = stat_of(path)
    if info is None:
        return "", None
    if kind == "mode":
        # The owner's bit, as git has it: the others vary with the umask.
        return "x" if info.st_mode & stat.S_IXUSR else "-", note_of(info, clock)
    if kind in ("file", "head") and not stat.S_ISREG(info.st_mode):
        return "dir" if stat.S_ISDIR(info.st_mode) else "other", ()
    found = list_folder(path, pattern) if kind in ("names", "folder") else _content(kind, path)
    if found is None:
        return "", None
    return found.value, found.signature if found.settled else ()


def _content(kind: str, path: str) -> Content | None:
    if kind != "head":
        return read_file(path)
    found = read_head(path)
    return found and found[1]


def _link(path: str) -> tuple[str, Note]:
    try:
        return os.readlink(path), ()  # stat would tell of what it leads to
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "", None
    except OSError as error:
        if error.errno == errno.EINVAL:  # there, but no symlink
            return "", ()
        raise read_error(path, error) from error


@cache
def _doubts() -> Mapping[int, int]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return doubts_of(file.read())
    except OSError:
        return {}


def doubts_of(mountinfo: str) -> dict[int, int]:
    """How old, in ns, a stamp has to be to tell that a file is as it was, for the devices in
    *mountinfo* that are no file systems of this machine's own kernel: what those call ctime is
    another machine's, or made up.

    Source: proc_pid_mountinfo(5).
    """
    found = {}
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        kind = rest.partition(" ")[0]
        if kind not in _LOCAL:
            major, _, minor = mount.split()[2].partition(":")
            found[os.makedev(int(major), int(minor))] = _SKEW if kind in _REMOTE else _NEVER
    return found


def read_file(path: str) -> Content | None:
    """The digest of the regular file *path*; None when there is none (any more).

    The file is read until stat agrees before and after.

    Raises: StoreError when it cannot be read, or changes each time it is.
    """
    return _read(path, _hash)


def read_head(path: str) -> tuple[Content, Content] | None:
    """The digest of the Go file *path*, as `read_file` has it, and that of its head."""
    found = _read(path, _hash_both)
    if found is None:
        return None
    whole, _, head = found.value.partition(" ")
    return found._replace(value=whole), found._replace(value=head)


def _read(path: str, digest: Callable[[int, int], str]) -> Content | None:
    try:
        # O_NONBLOCK: opening a FIFO must not hang before we can see that it is one.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise read_error(path, error) from error
    try:
        for _ in range(_ATTEMPTS):
            clock = time.time_ns()
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                return None
            signature = signature_of(info)
            value = digest(fd, info.st_size)
            if signature_of(os.fstat(fd)) == signature:
                return Content(value, signature, is_settled(signature, clock))
    except OSError as error:
        raise read_error(path, error) from error
    finally:
        os.close(fd)
    raise StoreError(path, "changes while it is read", "is another program still writing it?")


def _hash(fd: int, size: int) -> str:
    sha256 = hashlib.sha256()
    for chunk in _chunks(fd, size):
        sha256.update(chunk)
    return "sha256:" + sha256.hexdigest()


def _hash_both(fd: int, size: int) -> str:
    from scratchtasks.core.go_head import go_head  # a run with nothing to do needs none

    source = b"".join(_chunks(fd, size))
    return f"{digest_of(source)} {digest_of(go_head(source))}"


def _chunks(fd: int, size: int) -> Iterator[bytes]:
    count = 0
    os.lseek(fd, 0, os.SEEK_SET)
    while chunk := os.read(fd, _CHUNK):
        yield chunk
        count += len(chunk)
        # A log may grow as fast as it is read; but files of /proc say 0 and hold more.
        if count > size and os.fstat(fd).st_size != size:
            break


def list_folder(path: str, pattern: str) -> Content | None:
    """A digest of the names and types in folder *path* that *pattern* sees; None without one.

    Types are `d`, `f` or `o` (sockets and the like), with an `l` after it for a symlink to such,
    and `l` alone for a symlink to nothing.

    Raises: StoreError when it cannot be read, or changes each time it is.
    """
    try:
        for _ in range(_ATTEMPTS):
            clock = time.time_ns()
            info = os.stat(path)
            with os.scandir(path) as entries:
                seen = [
                    (os.fsencode(e.name), _type(e)) for e in entries if is_match(e.name, pattern)
                ]
            signature = signature_of(info)
            if signature_of(os.stat(path)) == signature:
                # What a symlink leads to can change without the folder noticing.
                has_links = any(kind.endswith(b"l") for _, kind in seen)
                # Names hold neither slash nor NUL, so different listings differ in these bytes.
                listing = b"".join(b"%s/%s\0" % entry for entry in sorted(seen))
                digest = "sha256:" + hashlib.sha256(listing).hexdigest()
                return Content(digest, signature, is_settled(signature, clock) and not has_links)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise read_error(path, error) from error
    raise StoreError(path, "changes while it is read", "is another program still writing it?")


def _type(entry: os.DirEntry[str]) -> bytes:
    link = b"l" if entry.is_symlink() else b""
    try:
        mode = entry.stat().st_mode if link else None
    except OSError:
        return b"l"
    if mode is None:
        is_dir, is_file = entry.is_dir(), entry.is_file()
    else:
        is_dir, is_file = stat.S_ISDIR(mode), stat.S_ISREG(mode)
    return (b"d" if is_dir else b"f" if is_file else b"o") + link
