"""dodo.py, and what it imports that nobody has installed, always as the files are now.

Python believes what it has compiled before while size and mtime, in whole seconds, are the same:
an edit within that second, or one with its mtime set back, would go unseen.
Source: importlib.machinery.SourceLoader; PEP 3147.
"""

import os
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from types import CodeType

_INSTALLED = ("site-packages", "dist-packages")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_KEPT = (_OWN, os.path.dirname(os.__file__))
"""Ours, and Python's library: one is watched, the other changes with Python's version."""


def read_anew() -> None:
    """Have modules compiled by each process that imports them from now on, wherever they lie, but
    for what is installed."""
    sys.path_hooks.insert(0, _hook)
    for path in [path for path in sys.path_importer_cache if _is_source(path)]:
        del sys.path_importer_cache[path]


class _AsItIs(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _hook(path: str) -> FileFinder:
    if not _is_source(path):
        raise ImportError
    extensions = (ExtensionFileLoader, EXTENSION_SUFFIXES)
    return FileFinder(path, extensions, (_AsItIs, SOURCE_SUFFIXES))


def _is_source(path: str) -> bool:
    is_kept = any(f"{path}/".startswith(f"{folder}/") for folder in _KEPT)
    return not is_kept and not any(name in path for name in _INSTALLED) and os.path.isdir(path)
