"""What compiling a source or linking a binary read, as inputs; and what else they would have read.

A file that is new in a folder which is searched may come before the one that was used.  So each
such folder is recorded with the names that were looked for and are not in it.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field

from scratchtasks.core.action import Input
from scratchtasks.core.errors import StageError
from scratchtasks.core.frozen import dataclass

from ..globs import match
from ..rust.depinfo import input_path
from .flags import LIBRARY_FOLDERS, Flags, library_files
from .mentions import Mentions, Texts, linked_by, mentions_in

_PRECOMPILED = (".gch", ".pch")
"""End the names of what compilers take instead of a header; no dep file tells of it."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Makes the inputs of one compilation or link, from paths as its compiler spells them.

    It is started in *folder*, which is relative to *root*.  *own* are absolute folders of files
    that count otherwise: they came with the compiler, or were made by this very build.  *texts*
    is shared by those that read the same files.
    """

    root: str
    folder: str
    label: str
    own: tuple[str, ...]
    texts: Texts = field(default_factory=Texts)

    def compiled(self, read: Iterable[str], searched: Sequence[str], flags: Flags) -> set[Input]:
        """Of a compilation that *read* these files; *searched* are folders in their order."""
        texts = {path: self.texts.mentions_of(self.at(path)) for path in read}
        # A macro that a flag defines may ask for a header.
        texts["."] = mentions_in(os.fsencode("\n".join(flags.words)))
        found, forced = self._named_in(texts, searched), set(flags.forced())
        named = {name for text in texts.values() for name in text.quoted | text.angled}
        asked = {name for text in texts.values() for name in text.asked}
        # clang's dep files have a slash for each backslash: which file that was, they do not tell.
        asked |= {name for name in named | forced if "\\" in name}
        beside: dict[str, set[str]] = {".": forced}
        for path, text in texts.items():
            names = text.quoted | found if text.computes else text.quoted
            beside.setdefault(os.path.dirname(path) or ".", set()).update(names)
        search = _Search(self, _PRECOMPILED)
        for place, quoted in beside.items():
            search.look(place, quoted | asked)
        # Behind the last folder that has it, nobody looks for a name but to ask.
        last = self._last_places(named | found | forced, searched)
        for number, place in enumerate(searched):
            search.look(place, asked | {name for name in last if last[name] >= number})
        inputs = {item for path in texts for item in self.file(path)} | search.inputs()
        inputs |= self._flag_files(flags) | self._assembled(texts.values(), searched)
        for place in (*beside, *searched):
            inputs |= {item for name in asked for item in self.file(os.path.join(place, name))}
            if any(text.asks_computed for text in texts.values()):
                inputs |= {item for item in self.below(place) if item.kind == "names"}
        return inputs

    def linked(self, traced: Iterable[str], searched: Sequence[str], flags: Flags) -> set[Input]:
        """Of a link that *searched* these folders besides those of *flags*; *traced* is what its
        linker says it read: that leaves out linker scripts, and zig's says nothing."""
        chosen = flags.folders(LIBRARY_FOLDERS)
        folders = list(dict.fromkeys((*chosen, *searched)))
        names = {*flags.libraries(), *flags.named()}
        inputs = self._flag_files(flags)
        queue = [*traced, *flags.named(), *self._there(chosen, names)]
        seen: set[str] = set()
        for path in queue:  # grows while it is walked
            if path not in seen:
                seen.add(path)
                inputs.update(self.file(path))
                for name in linked_by(self.at(path)):
                    files = library_files(name[2:]) if name.startswith("-l") else [name]
                    names.update(files)
                    queue += self._there((".", os.path.dirname(path), *folders), files)
        names |= self._named_in(seen, folders)
        search = _Search(self, ())
        for place in folders:
            search.look(place, names)
        return inputs | search.inputs()

    def file(self, path: str) -> Iterator[Input]:
        """The content of *path*, or that there is nothing; folders and devices have none."""
        if self.is_own(path):
            return
        try:
            is_file = stat.S_ISREG(os.stat(self.at(path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_file = True
        except (OSError, ValueError):
            is_file = False  # no name of a file, but another word among the flags
        if is_file:
            yield Input("file", self.path(path))

    def below(self, place: str) -> Iterator[Input]:
        """All that is below folder *place* of the workspace."""
        folder = self.path(place)
        if os.path.isabs(folder) or not os.path.isdir(self.at(place)):
            return
        try:
            yield from match(self.root, folder, ["**"], self.label).inputs
        except StageError:  # it is empty
            yield Input("names", folder, "*")

    def is_own(self, path: str) -> bool:
        """Whether *path* came with the compiler, or was made by this very build."""
        path = os.path.normpath(self.at(path))
        return any(path == place or path.startswith(f"{place}/") for place in self.own)

    def path(self, path: str) -> str:
        """*path* as an Input has it."""
        return input_path(self.at(path), self.root)

    def entries(self, place: str) -> frozenset[str]:
        """The names in folder *place*.  Raises: OSError."""
        try:
            return frozenset(os.listdir(self.at(place)))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()

    def at(self, path: str) -> str:
        """*path* as an absolute one."""
        return os.path.join(self.root, self.folder, path)

    def _there(self, places: Iterable[str], names: Iterable[str]) -> list[str]:
        paths = (os.path.join(place, name) for name in sorted(names) for place in places)
        return [path for path in paths if os.path.isfile(self.at(path))]

    def _named_in(self, paths: Iterable[str], places: Iterable[str]) -> set[str]:
        """The names by which *paths* may have been found in *places*."""
        starts = {f"{place.rstrip('/')}/" for place in places}
        starts |= {f"{os.path.normpath(self.at(place))}/" for place in places}
        spelt = {*paths, *(os.path.normpath(self.at(path)) for path in paths)}
        return {path[len(s) :] for path in spelt for s in starts if path.startswith(s)}

    def _last_places(self, names: Iterable[str], folders: Sequence[str]) -> dict[str, int]:
        """The number of the last of *folders* that has it, for each of *names* that any has."""
        places = list(enumerate(map(self.at, folders)))
        return {
            name: number
            for number, place in places
            for name in names
            if os.path.isfile(os.path.join(place, name))
        }

    def _flag_files(self, flags: Flags) -> set[Input]:
        """What *flags* name: response files, specs, plugins, profiles …"""
        found = {item for path in (*flags.files, *flags.named()) for item in self.file(path)}
        return found | {item for path in flags.profiles() for item in self.below(path)}

    def _assembled(self, texts: Iterable[Mentions], searched: Sequence[str]) -> set[Input]:
        """What assemblers read by `.incbin` and `.include`; all there is below the folder where
        macros make up a name."""
        queue = [name for text in texts for name in text.assembled]
        found: set[Input] = set()
        seen: set[str] = set()
        for name in queue:  # grows while it is walked
            if name in seen:
                continue
            seen.add(name)
            for path in (os.path.join(place, name) for place in (".", *searched) if name):
                found.update(self.file(path))
                queue += self.texts.mentions_of(self.at(path)).assembled
        return found | set(self.below(".")) if "" in seen else found


@dataclass(frozen=True, slots=True)
class _Search:
    """Collects what was looked for in vain, folder by folder.

    A folder's listing counts only for names that are not in it, so that it changes for nothing
    else; each folder costs one stat, however many those names are.
    """

    reads: Reads
    endings: Sequence[str]
    missing: dict[str, set[str]] = field(default_factory=dict)
    found: set[Input] = field(default_factory=set)

    def look(self, place: str, names: Iterable[str]) -> None:
        """Note which of *names*, that may have folders in them, are not in folder *place*."""
        if self.reads.is_own(place):
            return
        try:
            entries = self.reads.entries(place)
        except OSError:
            return  # nobody may list it: what is in it is not ours to know
        missing = self.missing.setdefault(self.reads.path(place), set())
        for head, rests in _by_head(names).items():
            path, deeper = os.path.join(place, head), rests - {""}
            is_there = head in entries or head in (".", "..")
            is_folder = is_there and os.path.isdir(self.reads.at(path))
            if is_folder and deeper:
                self.look(path, deeper)
            if not is_there or is_folder == ("" in rests):
                missing.add(head)
            elif "" in rests and not os.path.exists(self.reads.at(path)):
                self.found.update(self.reads.file(path))  # a symlink to nothing
            for ending in self.endings if "" in rests else ():
                if head + ending in entries:
                    self.found.update(self.reads.file(path + ending))
                    self.found.update(self.reads.below(path + ending))

    def inputs(self) -> set[Input]:
        """The listings, and the files that were noticed on the way."""
        listings = {
            Input("names", path, pattern)
            for path, names in self.missing.items()
            if (pattern := _pattern([*sorted(names), *self.endings]))
        }
        return self.found | listings


def _by_head(names: Iterable[str]) -> dict[str, set[str]]:
    """The rest of each relative path among *names* by its first part; "" for a single one."""
    found: dict[str, set[str]] = {}
    for name in names:
        head, _, rest = name.partition("/")
        if head:
            found.setdefault(head, set()).add(rest.lstrip("/"))
    return found


def _pattern(names: Sequence[str]) -> str:
    """What an Input needs to see *names* in a folder; one that looks like more sees more."""
    is_special = any("|" in name or name.startswith("!") for name in names)
    return "*" if is_special else "|".join(names)
