"""Whether a container can start in a root file system, which engines tell only when it should."""

from bisect import bisect_left
from collections.abc import Mapping

from scratchtasks.core.errors import StageError, did_you_mean
from scratchtasks.core.links import End, TooManyLinks, follow
from scratchtasks.core.target import Image, User
from scratchtasks.core.tree import FileEntry

_FOLDER = FileEntry(path="", kind="dir", mode=0o755)
"""One that no entry is for: the root, or the parent of something."""


def check_root(image: Image, root: Mapping[str, FileEntry], where: str) -> None:
    """Refuse the *root* (entries by path, sorted) if no container of *image* can start in it.

    Symlinks are followed.  What is missing may come with a volume or the runtime, programs
    excepted.

    Raises: StageError for a program that is not in the image or not executable by its user, and
    for a working folder or volume at something else than a folder.
    """
    checks = _Checks(root, image.user, where)
    command = [*image.entrypoint, *image.cmd]
    if not command:
        raise StageError(where, "image.entrypoint: wanted a program to start, got nothing")
    checks.check_program(command[0], "image.entrypoint" if image.entrypoint else "image.cmd")
    if image.healthcheck is not None:
        checks.check_program(image.healthcheck.command[0], "image.healthcheck.command")
    checks.check_folder(image.workdir, "image.workdir")
    for volume in image.volumes:
        checks.check_folder(volume, "image.volumes")


class _Checks:
    def __init__(self, root: Mapping[str, FileEntry], user: User, where: str) -> None:
        self._root = root
        self._user = user
        self._paths = list(root)
        self._where = where

    def check_program(self, program: str, key: str) -> None:
        """Raises: StageError when *program* cannot be started."""
        if not program.startswith("/"):
            return  # looked up by the runtime on the image's PATH
        way: list[FileEntry] = []
        end = self._follow(program, key, way)
        if end.node is None:
            hint = did_you_mean(_real(end), self._programs())
            raise self._fault(f"{key}: {_led(program, end)} is not in the image", hint)
        if end.rest:
            raise self._fault(f"{key}: {_blocked(program, end.node)}")
        if end.node.kind != "file" or not end.node.mode & 0o111:
            raise self._fault(f"{key}: {_led(program, end)} is not executable")
        for entry in way:
            if not _is_open(entry, self._user):  # few runtimes start it nevertheless
                who = f"{self._user.uid}:{self._user.gid} (image.user)"
                what = f"/{entry.path} has mode {entry.mode:04o} and owner {entry.uid}:{entry.gid}"
                hint = "give it another mode or owner"
                raise self._fault(f"{key}: {who} may not start {program}: {what}", hint)

    def check_folder(self, path: str, key: str) -> None:
        """Raises: StageError when *path* is there and no folder, or can be none."""
        end = self._follow(path, key, [])
        if end.node is None or end.node.kind == "dir":
            return
        what = f"{_led(path, end)} is {_shown(end.node)}"
        raise self._fault(
            f"{key}: {_blocked(path, end.node) if end.rest else what} (wanted a folder)",
            "name a folder of the image, or one that it lacks: engines make it",
        )

    def _follow(self, path: str, key: str, way: list[FileEntry]) -> End[FileEntry]:
        """Where *path* leads to; *way* gets each entry that it leads over."""

        def look(plain: str) -> FileEntry | None:
            found = self._look(plain)
            way.extend([found] if found else [])
            return found

        try:
            return follow(path, look)
        except TooManyLinks:
            raise self._fault(f"{key}: {path} leads in a circle of symlinks") from None

    def _look(self, path: str) -> FileEntry | None:
        entry = self._root.get(path)
        if entry is None:
            return _FOLDER if not path or self._is_above(path) else None
        return self._root.get(entry.link) if entry.kind == "hardlink" else entry

    def _is_above(self, path: str) -> bool:
        """Whether something lies below *path*: what does is sorted side by side."""
        inside = f"{path}/"
        at = bisect_left(self._paths, inside)
        return at < len(self._paths) and self._paths[at].startswith(inside)

    def _programs(self) -> tuple[str, ...]:
        entries = self._root.values()
        return tuple(f"/{e.path}" for e in entries if e.kind == "file" and e.mode & 0o111)

    def _fault(self, what: str, hint: str = "") -> StageError:
        return StageError(self._where, what, hint)


def _is_open(entry: FileEntry, user: User) -> bool:
    """Whether *user* may execute the file *entry*, or go through the folder."""
    if user.uid == 0:
        return True  # some x bit is enough, and folders need none
    shift = 6 if user.uid == entry.uid else 3 if user.gid == entry.gid else 0
    return bool(entry.mode >> shift & 1)


def _real(end: End[FileEntry]) -> str:
    return "/" + "/".join(filter(None, (end.path, *end.rest)))


def _led(path: str, end: End[FileEntry]) -> str:
    """*path* as the subject of a clause, with where symlinks lead from it."""
    return path if path == _real(end) else f"{path} leads to {_real(end)}, which"


def _blocked(path: str, above: FileEntry) -> str:
    return f"{path} lies below /{above.path}, which is {_shown(above)}"


def _shown(entry: FileEntry) -> str:
    return f"a {entry.kind} from {entry.origin or 'elsewhere'}"
