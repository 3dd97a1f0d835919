"""What flags of a compiler and of a linker name: files, folders to search, libraries."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence

from scratchtasks.core.frozen import dataclass

HEADER_FOLDERS = ("-iquote", "-isystem", "-idirafter", "-I", "--embed-dir=", "--embed-dir")
LIBRARY_FOLDERS = ("--library-path=", "--library-path", "-L")
FORCED = ("-include-pch", "-include", "-imacros")
_LIBRARIES = ("--library=", "--library", "-l")

_PASSED_ON = ("-Wl,", "-Wa,", "-Wp,")
_PASSES_NEXT = ("-Xlinker", "-Xassembler", "-Xpreprocessor", "-Xclang")

_NO_FILE_NEXT = frozenset(
    ("-D", "-U", "-x", "-z", "-u", "-e", "-m", "-o", "-MF", "-MT", "-MQ", "-Map", "-target",
     "-arch", "-mllvm", "-soname", "-h", "-rpath", "-rpath-link", "-aux-info", "-dumpbase",
     "-dumpdir", "--dependency-file")
)  # fmt: skip
"""Flags whose next word is no file that is read: a name, or a file that is written."""

_NO_FILE = (
    "-D", "-U", "-std=", "-m", "-W", "-O", "-Map", "--Map", "-dump", "-fdump", "-fopt-info",
    "-ftime-", "-foptimization-record", "-fprofile-generate", "-fprofile-dir", "-rpath", "-o",
    "-fdebug-prefix-map=", "-ffile-prefix-map=", "-fmacro-prefix-map=", "-fprofile-prefix-",
    "--dependency-file", "--format=", "--build-id",
)  # fmt: skip
"""How flags start that name none either."""

_JOINED = ("-T", "-R", "-include", "-imacros")
_PROFILES = ("-fprofile-use=", "-fprofile-instr-use=", "-fprofile-sample-use=", "-fauto-profile=")


@dataclass(frozen=True, slots=True)
class Flags:
    """Single *words*, with all that was wrapped taken out; *files* are response files."""

    words: tuple[str, ...]
    files: tuple[str, ...]

    def folders(self, starts: Sequence[str]) -> list[str]:
        """The folders that flags beginning with *starts* name: `-Iinclude`, `-I` `include`."""
        return [value for start, value in self._valued(starts) if start]

    def forced(self) -> list[str]:
        """The headers that are included without a line in a source."""
        return [value for start, value in self._valued(FORCED) if start]

    def libraries(self) -> list[str]:
        """The file names that `-l` may mean, in any folder of libraries."""
        names = [value for start, value in self._valued(_LIBRARIES) if start]
        return [file for name in names for file in library_files(name)]

    def profiles(self) -> list[str]:
        """The files or folders of profiles that are used to optimize."""
        return [value for start, value in self._valued(_PROFILES) if start]

    def named(self) -> list[str]:
        """All that may be a file which is read: what does not look like one may be one, too."""
        searched = (*HEADER_FOLDERS, *LIBRARY_FOLDERS, *_LIBRARIES)
        words = (word for start, word in self._valued(searched) if not start)
        found: list[str] = []
        for word in words:
            if word in _NO_FILE_NEXT:
                next(words, None)
            elif not word.startswith("-"):
                found.append(word)
            elif not word.startswith(_NO_FILE):
                found += _values(word)
        return [value for value in found if value]

    def _valued(self, starts: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Each flag that begins with one of *starts*, which comes first, and its value; other
        words with ""."""
        rest = iter(self.words)
        for word in rest:
            start = next((start for start in starts if word.startswith(start)), "")
            if start and word == start:
                yield start, next(rest, "")
            else:
                yield start, word.removeprefix(start)


def read_flags(flags: Sequence[str], folder: str) -> Flags:
    """*flags* as single words; response files are read, relative to the absolute *folder*."""
    files: dict[str, None] = {}
    return Flags(tuple(_words(flags, folder, files)), tuple(files))


def library_files(name: str) -> list[str]:
    """The file names that `-l` *name* may mean."""
    return [name[1:]] if name.startswith(":") else [f"lib{name}.a", f"lib{name}.so"]


def text_of(output: bytes) -> str:
    """What a compiler printed, the names of files in it as Python has them."""
    return output.decode("utf-8", "surrogateescape")


def parse_search(said: str) -> tuple[list[str], list[str]]:
    """The folders that a compiler's `-v` says it searches for headers, in that order, and those
    it leaves out: they are not there, or another name of one that is searched."""
    lists = re.findall(
        r'^#include "\.\.\." search starts here:\n(.*?)^End of search list', said, re.M | re.S
    )
    lines = [line for text in lists for line in text.splitlines()]
    left_out = re.findall(r'^ignoring \w+ directory "(.*)"$', said, re.MULTILINE)
    return [line[1:] for line in lines if line.startswith(" ")], left_out


def parse_libraries(said: str) -> list[str]:
    """The folders of libraries that `-print-search-dirs` names."""
    found = re.search(r"^libraries: =?(.*)$", said, re.MULTILINE)
    return [folder for folder in found[1].split(":") if folder] if found else []


def parse_trace(said: str) -> list[str]:
    """The files that a linker's `--trace` names, archives without the member: bfd writes
    `(libc.a)exit.o`, gold and lld `libc.a(exit.o)`."""
    found = (re.sub(r"^\((.*)\)[^()]*$|\([^()]*\)$", r"\1", line) for line in said.splitlines())
    return list(dict.fromkeys(found))


def _words(flags: Sequence[str], folder: str, files: dict[str, None]) -> Iterator[str]:
    for flag in flags:
        if flag.startswith("@") and len(flag) > 1:
            if flag[1:] not in files:  # they may name each other
                files[flag[1:]] = None
                yield from _words(_response(os.path.join(folder, flag[1:])), folder, files)
        elif flag.startswith(_PASSED_ON):
            yield from _words(flag.split(",")[1:], folder, files)
        elif flag not in _PASSES_NEXT:
            yield flag


def _response(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return []
    try:
        return shlex.split(text)
    except ValueError:  # an open quote
        return text.split()


def _values(flag: str) -> Iterator[str]:
    _, is_valued, value = flag.partition("=")
    if is_valued:
        yield value
    for start in _JOINED:
        if flag.startswith(start):
            yield flag.removeprefix(start)
