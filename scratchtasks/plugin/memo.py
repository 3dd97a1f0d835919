"""What the last runs found to be up to date, and the state of everything that depended on.

With it a run decides "nothing to do" from one scan, before tasks are made and heavy modules are
imported; and when something moved, which services have to be looked at.  A memo holds for one
environment, one state of dodo.py and one boot; where it is silent or in doubt, everything is
looked at.

Two files: the one that every run reads has paths and notes only, the other what they mean.
"""

import hashlib
import marshal
import os
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from scratchtasks.store.atomic import discard, remove, storage_error, write_atomic
from scratchtasks.store.notes import Notes, notes_from
from scratchtasks.store.signature import Content, Meaning, Note

_FORMAT = 5
_KEPT = 4
"""Memos that are kept: a few terminals, each with an environment of its own."""

OUTLINE = "outline.tasks"
"""The name of a file beside the memos that tells of the graph, and not of what is up to date."""

_BETWEEN = "\1"
"""Between what two paths mean."""

OURS = (".scratch", "dist")
"""Folders of the workspace in which paths come and go with each image."""

NOISE = frozenset({"_", "OLDPWD", "SHLVL"})
"""Variables that shells set anew all the time, and no build may want."""


class Known(NamedTuple):
    """A service in *folder*: the *digest* of its image if that was up to date, else "", the
    numbers of all paths that it depends on, and with which arguments git was asked for it."""

    folder: str
    watched: Sequence[int] = ()
    digest: str = ""
    git: tuple[str, ...] = ()


class Tree(NamedTuple):
    """The numbers of what git reads to say what it has said: while none of it has moved, it would
    say so again.

    *own* are git's files; where one of them has moved, it may be another tree.  *rest* are all
    paths on which nothing but git's answer depends.  Without *own*, only git can tell.
    """

    own: Sequence[int] = ()
    rest: Sequence[int] = ()


class Memo:
    """*paths* (relative to the root where they lie inside) with the Note of each.

    *head* is what must be equal for it to count at all.  *count* is the number of services,
    *unknown* of those among them of which nothing is known; *expires* a time in seconds; *latest*
    the newest stamp in all notes, in ns; *git* what git said, by its arguments; *tree* what that
    depends on, None where nobody has looked for it yet.

    What only a run with something to do reads: *meanings* are the inputs behind each path, as
    `joined` has them, one without any counts by its note alone; *common* are the numbers of paths
    that count for everything; *services* are all there were, by name.
    """

    def __init__(
        self,
        head: str,
        paths: list[str],
        notes: Notes,
        count: int,
        unknown: int,
        expires: float,
        latest: int,
        git: dict[str, str],
        tree: Tree | None = None,
        meanings: "Meanings | None" = None,
        common: Sequence[int] = (),
        services: dict[str, Known] | None = None,
    ) -> None:
        self.head = head
        self.paths = paths
        self.notes = notes
        self.count = count
        self.unknown = unknown
        self.expires = expires
        self.latest = latest
        self.git = git
        self.tree = tree
        self.meanings = Meanings() if meanings is None else meanings
        self.common = common
        self.services = {} if services is None else services
        self.changed = set[int]()
        """Numbers of the paths that were found to mean something else than before; never
        written."""
        self.looked: Mapping[int, Note] = {}
        """The notes of those of the paths that had moved, from before git was asked; never
        written."""
        self.contents: Mapping[str, Content] = {}
        """What large files held that had moved; never written."""
        self.token = ""
        """Ties the two files together; "" while what is here is not written."""


class Meanings:
    """What each of many paths means, as `joined` has it, in blocks of text: a run looks into few
    of them, and reads and writes all."""

    _SIZE = 64

    def __init__(self, blocks: Iterable[str] = (), count: int = 0) -> None:
        self._blocks: list[str | list[str]] = list(blocks)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> str:
        return self._opened(number)[number % self._SIZE]

    def __setitem__(self, number: int, text: str) -> None:
        self._opened(number)[number % self._SIZE] = text

    def append(self, text: str) -> None:
        """Add *text* at the end."""
        if self._count % self._SIZE == 0:
            self._blocks.append([])
        self._opened(self._count).append(text)
        self._count += 1

    def blocks(self) -> list[str]:
        """What Meanings can be made of again."""
        return [b if isinstance(b, str) else _BETWEEN.join(b) for b in self._blocks]

    def copy(self) -> "Meanings":
        """These, for somebody who will change them."""
        return Meanings(self.blocks(), self._count)

    def _opened(self, number: int) -> list[str]:
        block = self._blocks[number // self._SIZE]
        if isinstance(block, str):
            block = self._blocks[number // self._SIZE] = block.split(_BETWEEN)
        return block


def joined(meanings: Iterable[Meaning]) -> str:
    """*meanings* as one text: a run reads and writes those of all paths, and means a few.

    "" for none, and where a name or a link's text holds what stands between two such texts.
    """
    text = "\0".join(part for meaning in meanings for part in meaning)
    return "" if _BETWEEN in text else text


def split(text: str) -> list[Meaning]:
    """The meanings that were `joined` to *text*."""
    parts = iter(text.split("\0") if text else ())
    return list(zip(parts, parts, parts, strict=True))


def environment_of(env: Mapping[str, str], root: str) -> str:
    """A name for *env* and this interpreter, equal for all that differ only in what shells change
    all the time."""
    text = "\0".join(f"{name}={env[name]}" for name in sorted(env) if name not in NOISE)
    return _hash("\0".join((sys.version, *packages(root), text)))[:16]


def head_of(root: str, declared: str, boot: str) -> str:
    """What a memo is bound to: the places, what dodo.py declares, and the *boot* of the machine,
    for stat proves nothing about files of ours that a power loss may have cut short."""
    return _hash(f"{root}\0{os.getcwd()}\0{declared}\0{boot}")


def packages(root: str) -> list[str]:
    """Where this interpreter finds packages, but for what depends on how doit was started."""
    start = {root, os.path.dirname(os.path.abspath(sys.argv[0]))}
    return [place for place in sys.path if os.path.isabs(place) and place not in start]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read_memo(folder: str, environment: str, head: str) -> Memo | None:
    """The memo in *folder* for *environment* and *head*, without its meanings; None without."""
    value = read_marshalled(f"{folder}/{environment}")
    if value is None or value[1] != head:
        return None
    token, _, paths, notes, tree, *rest = value
    memo = Memo(head, paths.split("\0"), notes_from(notes), *rest)
    memo.tree = None if tree is None else Tree(*(array("I", numbers) for numbers in tree))
    memo.token = token
    return memo


def read_meanings(memo: Memo, folder: str, environment: str) -> bool:
    """Fill in what *memo*, read from there, was read without, unless that is done; False if it is
    gone."""
    if memo.meanings:
        return True
    value = read_marshalled(f"{folder}/{environment}.more")
    if value is None or value[0] != memo.token:
        return False
    _, blocks, common, services = value
    memo.meanings = Meanings(blocks, len(memo.paths))
    memo.common = array("I", common)
    memo.services = {
        name: Known(folder, array("I", watched), digest, git)
        for name, (folder, watched, digest, git) in services.items()
    }
    return True


def write_memo(memo: Memo, folder: str, environment: str) -> None:
    """Replace the memo for *environment*; the oldest of others go.  Raises: StoreError."""
    token = os.urandom(8).hex()
    services = {
        name: (known.folder, array("I", known.watched).tobytes(), known.digest, known.git)
        for name, known in memo.services.items()
    }
    more = (token, memo.meanings.blocks(), array("I", memo.common).tobytes(), services)
    tree = memo.tree and tuple(array("I", numbers).tobytes() for numbers in memo.tree)
    hot = (token, memo.head, "\0".join(memo.paths), memo.notes.tobytes(), tree,
           memo.count, memo.unknown, memo.expires, memo.latest, memo.git)  # fmt: skip
    write_marshalled(f"{folder}/{environment}.more", more)
    write_marshalled(f"{folder}/{environment}", hot)
    memo.token = token
    with suppress(OSError):  # somebody else is at it, or the next run will be
        _drop_old(folder)


def drop_memos(folder: str) -> None:
    """Forget everything: somebody is about to change what a memo cannot see.

    Raises: StoreError.
    """
    try:
        for name in os.listdir(folder):
            if name != OUTLINE:
                remove(f"{folder}/{name}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(folder, error) from error


def _drop_old(folder: str) -> None:
    names = [name for name in os.listdir(folder) if "." not in name]
    if len(names) > _KEPT:
        names.sort(key=lambda name: os.stat(f"{folder}/{name}").st_mtime_ns)
        for name in names[:-_KEPT]:
            remove(f"{folder}/{name}")
            remove(f"{folder}/{name}.more")


# marshal reads 50,000 paths in 20 ms, a fifth of json; it may crash on garbage, hence nothing is
# given to it whose checksum does not hold.
def _header(payload: bytes) -> bytes:
    # Against damage, not malice: whoever can write here can write dodo.py.
    checksum = f"{len(payload)} {zlib.crc32(payload):08x}"
    return f"memo {_FORMAT} {sys.implementation.cache_tag} {checksum}\n".encode()


def write_marshalled(path: str, value: Any) -> None:
    """Put *value* at *path*, with a checksum.  Raises: StoreError."""
    payload = marshal.dumps(value)
    # As for stamps: ext4 begins to write a file to disk when its name takes another's place.
    discard(path)
    write_atomic(path, _header(payload) + payload)


def read_marshalled(path: str) -> tuple[Any, ...] | None:
    """What write_marshalled put at *path*; None when it is missing, damaged or another Python's."""
    try:
        with open(path, "rb") as file:
            header, payload = file.readline(200), file.read()
    except OSError:
        return None
    return tuple(marshal.loads(payload)) if header == _header(payload) else None  # noqa: S302
