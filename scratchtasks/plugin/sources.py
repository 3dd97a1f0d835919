"""dodo.py, and what it imports from its own folder, always as the files are now.

Python believes what it has compiled before while size and mtime, in whole seconds, are the same:
an edit within that second, or one with its mtime set back, would go unseen.
Source: importlib.machinery.SourceLoader; PEP 3147.
"""

import os
import sys
from collections.abc import Callable
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


def read_anew(folder: str) -> None:
    """Have modules in the absolute *folder*, but for what is installed there, compiled by each
    process that imports them."""
    hook = _hook(folder)
    sys.path_hooks.insert(0, hook)
    for path in [path for path in sys.path_importer_cache if _is_source(path, folder)]:
        del sys.path_importer_cache[path]


class _AsItIs(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _hook(folder: str) -> Callable[[str], FileFinder]:
    def hook(path: str) -> FileFinder:
        if not _is_source(path, folder):
            raise ImportError
        extensions = (ExtensionFileLoader, EXTENSION_SUFFIXES)
        return FileFinder(path, extensions, (_AsItIs, SOURCE_SUFFIXES))

    return hook


def _is_source(path: str, folder: str) -> bool:
    inside = path == folder or path.startswith(os.path.join(folder, ""))
    is_own = path == _OWN or path.startswith(os.path.join(_OWN, ""))
    return inside and not is_own and not any(name in path for name in _INSTALLED)
