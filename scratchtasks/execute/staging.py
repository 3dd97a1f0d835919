"""Files and folders of the workspace as entries of an image, and what they were read from."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import ScratchError, StageError, StoreError, did_you_mean
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.tree import FileEntry, check_length, check_path
from scratchtasks.oci.tar import OpenBlob
from scratchtasks.store.blobs import ContentStore

from .globs import OUTPUTS
from .inside import check_inside
from .operation import Job, World

Owners = Mapping[str, tuple[int, int]]
"""uid and gid by user name."""


CONTENT_MEDIA_TYPE = "application/octet-stream"

_SMALL = 64 * 1024
"""Bytes that a file should have on average to be worth a blob of its own."""

_AGAIN = "run doit again"


@dataclass(frozen=True, slots=True)
class Staging:
    """*entries* of the image, *inputs* they depend on, and *contents* of files among them.

    *tops* are the folders that folders were copied to; each counts if nobody else makes it.
    Those in *paths* are in the workspace alone, which may change; the others are in the store.
    *is_own*: some content is of the workspace, and nobody else keeps it.
    """

    entries: tuple[FileEntry, ...]
    tops: tuple[FileEntry, ...]
    inputs: tuple[Input, ...]
    contents: tuple[Descriptor, ...]
    paths: Mapping[Digest, str]
    is_own: bool

    @property
    def is_handier_in_one(self) -> bool:
        """Whether a tar of it all is better kept than each file, for they are small."""
        # Not by what the store has: equal sources must give equal results.
        size = sum(blob.size for blob in self.contents)
        return self.is_own and size < _SMALL * len(self.contents)

    def keep(self, store: ContentStore) -> None:
        """Put into *store* what is not there.

        Raises: StageError for what has changed; StoreError (gone, unreadable, disk full).
        """
        for digest, path in self.paths.items():
            if store.put_file(path, CONTENT_MEDIA_TYPE).digest != digest:
                raise _changed(path)

    def opener(self, store: ContentStore) -> OpenBlob:
        """Opens each of *contents*, wherever it is; who reads one to its end has what it names.

        Raises: StageError for what has changed or is gone; StoreError (damaged).
        """

        def open_content(digest: Digest) -> BinaryIO:
            path = self.paths.get(digest)
            if path is None:
                damage = StoreError(store.path(digest), f"blob {digest} is damaged", _AGAIN)
                return cast(BinaryIO, _ProvenReader(store.stream(digest), digest, damage))
            try:
                file = open(path, "rb", buffering=0)  # noqa: SIM115  (the reader closes it)
            except OSError as error:
                raise StageError(path, f"cannot be read: {error.strerror}", _AGAIN) from None
            return cast(BinaryIO, _ProvenReader(file, digest, _changed(path)))

        return open_content


def stage(job: Job, owners: Owners, world: World) -> Staging:
    """Entries for the `files` and `dirs` of a rootfs action.

    Raises: StageError for what is missing, not a file or folder; StoreError for what cannot be
    read.
    """
    stager = _Stager(job, owners, world)
    params: Mapping[str, Any] = job.action.params
    for wanted in params["files"]:
        stager.add_files(wanted)
    for folder in params["dirs"]:
        stager.add_folder(folder)
    said = {entry.path for entry in stager.entries if entry.kind == "dir"}
    return Staging(
        tuple(stager.entries),
        tuple(top for path, top in stager.tops.items() if path not in said),
        tuple(stager.inputs),
        tuple(stager.contents.values()),
        stager.paths,
        stager.is_own,
    )


class _Stager:
    def __init__(self, job: Job, owners: Owners, world: World) -> None:
        self.where = str(job.action.label)
        self.job = job
        self.owners = owners
        self.world = world
        self.entries: list[FileEntry] = []
        self.tops: dict[str, FileEntry] = {}
        self.inputs: dict[Input, None] = {}
        self.contents: dict[Digest, Descriptor] = {}
        self.paths: dict[Digest, str] = {}
        self.is_own = False

    def add_folder(self, folder: Mapping[str, Any]) -> None:
        uid, gid = self._owner(folder["owner"], folder["path"])
        path = check_path(folder["path"], self.where)
        origin = f"{self.where} dirs"
        self.entries.append(
            FileEntry(path=path, kind="dir", mode=folder["mode"], uid=uid, gid=gid, origin=origin)
        )

    def add_files(self, wanted: Mapping[str, Any]) -> None:
        dest = check_path(wanted["dest"], self.where)
        owner = self._owner(wanted["owner"], wanted["dest"])
        if "dep" in wanted:
            made = self.job.deps[wanted["dep"]]
            blob = made.outputs[wanted["output"]]
            mode = _made_mode(made, wanted["output"]) if wanted["mode"] is None else wanted["mode"]
            self._file(dest, wanted.get("name", wanted["output"]), blob, mode, owner)
            return
        src: str = wanted["src"]
        check_inside(src, self.where, [self.job.action.label.package], self.world)
        if os.path.isdir(os.path.join(self.world.root, src)):
            self.tops.setdefault(dest, _folder(dest, src, owner))
            for name in self._walk(src):
                place = f"{dest}/{_in_utf8(name)}"
                check_length(place, self.where)
                self._add(f"{src}/{name}", place, wanted["mode"], owner)
        else:
            self._add(src, dest, wanted["mode"], owner, follow=True)

    def _walk(self, folder: str, below: str = "") -> Iterator[str]:
        """Names of everything in *folder*, relative to it, folders before what they hold."""
        here = f"{folder}/{below}" if below else folder
        if os.path.normpath(here) in OUTPUTS:
            raise StageError(
                self.where,
                f"cannot stage {folder}: it holds {os.path.normpath(here)}, which builds write to",
                "stage the folders in it that the image needs",
            )
        self.inputs[Input("names", here, "*")] = None
        try:
            names = sorted(os.listdir(os.path.join(self.world.root, here)))
        except OSError as error:
            raise StageError(self.where, f"cannot stage {here}: {error.strerror}") from None
        for name in names:
            path = f"{below}/{name}" if below else name
            yield path
            full = os.path.join(self.world.root, folder, path)
            if os.path.isdir(full) and not os.path.islink(full):
                yield from self._walk(folder, path)

    def _add(
        self, src: str, dest: str, mode: int | None, owner: tuple[int, int], follow: bool = False
    ) -> None:
        full = os.path.join(self.world.root, src)
        if any("\udc80" <= letter <= "\udcff" for letter in dest):
            name = src.encode(errors="backslashreplace").decode()
            what = f"cannot stage {name}: wanted a name in UTF-8"
            raise StageError(self.where, what, "rename it: container tools disagree on others")
        try:
            status = os.stat(full) if follow else os.lstat(full)
        except OSError as error:
            raise StageError(
                self.where,
                f"cannot stage {src}: {error.strerror}",
                "src is relative to the service's folder, or a label: of a genrule, one in"
                " Workspace(rules=[…])"
                if follow
                else "",
            ) from None
        uid, gid = owner
        if stat.S_ISLNK(status.st_mode):
            self.inputs[Input("link", src)] = None
            self.entries.append(
                FileEntry(
                    path=dest,
                    kind="symlink",
                    mode=0o777,
                    uid=uid,
                    gid=gid,
                    link=_in_utf8(os.readlink(full)),
                    origin=src,
                )
            )
        elif stat.S_ISDIR(status.st_mode):
            self.entries.append(_folder(dest, src, owner))
        elif stat.S_ISREG(status.st_mode):
            self.inputs[Input("file", src)] = None
            if mode is None:
                self.inputs[Input("mode", src)] = None
                mode = plain_mode(status.st_mode)
            self._file(dest, src, self._found(src, full), mode, owner)
        else:
            raise StageError(self.where, f"cannot stage {src}: wanted a file, folder or symlink")

    def _file(
        self,
        dest: str,
        origin: str,
        blob: Descriptor,
        mode: int,
        owner: tuple[int, int],
    ) -> None:
        self.contents[blob.digest] = blob
        self.entries.append(
            FileEntry(
                path=dest,
                mode=mode,
                uid=owner[0],
                gid=owner[1],
                digest=blob.digest,
                size=blob.size,
                origin=origin,
            )
        )

    def _found(self, src: str, full: str) -> Descriptor:
        """The content of *src*, which the store may have already."""
        self.is_own = True
        found = self.world.files.content(src)
        if found is None:
            raise StageError(self.where, f"cannot stage {src}: it is gone")
        blob = Descriptor(CONTENT_MEDIA_TYPE, *found)
        if not self.world.store.has(blob):
            self.paths[blob.digest] = full
        return blob

    def _owner(self, owner: str, dest: str) -> tuple[int, int]:
        if not owner:
            return 0, 0
        if owner in self.owners:
            return self.owners[owner]
        uid, _, gid = owner.partition(":")
        if uid.isdigit() and gid.isdigit():
            return int(uid), int(gid)
        raise StageError(
            self.where,
            f"{dest}: unknown owner {owner!r} (wanted a user of the image, or uid:gid)",
            did_you_mean(owner, tuple(self.owners)),
        )


def _folder(dest: str, src: str, owner: tuple[int, int]) -> FileEntry:
    uid, gid = owner
    return FileEntry(path=dest, kind="dir", mode=0o755, uid=uid, gid=gid, origin=src)


def plain_mode(mode: int) -> int:
    """0755 for a *mode* whose owner may execute, else 0644: no umask gets into an image."""
    return 0o755 if mode & stat.S_IXUSR else 0o644


def _made_mode(made: ActionResult, output: str) -> int:
    """The mode of what an action made: a genrule tells of each output, a fetch of its only one."""
    modes: Mapping[str, int] = made.facts.get("modes") or {output: made.facts["mode"]}
    return modes[output]


def _in_utf8(name: str) -> str:
    """*name* read as UTF-8, whatever the locale took its bytes for."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def _changed(path: str) -> StageError:
    return StageError(path, "it changed while it was read", _AGAIN)


class _ProvenReader:
    """A file whose bytes are checked against *digest* when the end is reached, or *error*."""

    def __init__(self, file: BinaryIO, digest: Digest, error: ScratchError) -> None:
        self._file = file
        self._digest = digest
        self._error = error
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        if not data and "sha256:" + self._hash.hexdigest() != self._digest:
            raise self._error
        return data

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "_ProvenReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
