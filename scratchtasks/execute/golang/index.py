"""Go's index of packages, and where it is not to be asked.

Go takes a package for what it was while names, sizes and mtimes of its files are as they were.
Where mtimes are set (rsync -t, tar, `git restore-mtime`), another file may have those of the one
before: imports, constraints and `//go:embed` of that one are told, and even an error stays.

Source: Go, cmd/go/internal/modindex, dirHash.
"""

import os
from collections.abc import Iterable, Mapping

from scratchtasks.core.names import is_match

NAMES = (
    ".go|.s|.S|.sx|.h|.hh|.hpp|.hxx|.c|.cc|.cpp|.cxx|.m|.f|.F|.for|.f90|.swig|.swigcxx|.syso"
    "|default.pgo|go.mod|!_test.go"
)
"""Entries of a package's folder that Go looks at; with a go.mod it is another module."""

WITHOUT: Mapping[str, str] = {"GODEBUG": "goindex=0"}
"""What has a go command read all packages anew; that takes some 0.2 s for the standard library."""

_CUTOFF = 2_000_000_000
"""ns. Nothing that is younger is put into the index."""


def may_lie(folders: Iterable[str]) -> bool:
    """Whether a package in *folders* (absolute) has a file that was put there, or had its mtime
    set, so long after that mtime that the index may have another one with it."""
    return any(map(_has_set_mtime, set(folders)))


def _has_set_mtime(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            infos = [entry.stat() for entry in entries if is_match(entry.name, NAMES)]
    except OSError:  # nor is such a one in the index
        return False
    return any(info.st_ctime_ns - info.st_mtime_ns > _CUTOFF for info in infos)
