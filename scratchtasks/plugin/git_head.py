"""The files that say which commit HEAD is: while they are as they were, git need not be asked.

Source: gitrepository-layout(5), gitrevisions(7).
"""

import os
from collections.abc import Mapping

_PLACES = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_CEILING_DIRECTORIES")
"""Variables that have git look elsewhere."""

_LINKS = 5
"""Symbolic references that lead to others, as git follows them."""


def head_files(root: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """All files that git reads to find the commit of HEAD in the folder *root* (absolute), those
    that are not there included; () when only git can tell."""
    if any(name in env for name in _PLACES):
        return ()
    read: list[str] = []
    folder = _git_folder(root, read)
    if folder is None:
        return ()
    shared = os.path.normpath(os.path.join(folder, _text(f"{folder}/commondir", read) or "."))
    needed = (f"{folder}/HEAD", f"{shared}/objects", f"{shared}/refs")
    if not all(map(os.path.exists, needed)):
        return ()  # no repository to git, which looks above
    name = "HEAD"
    for _ in range(_LINKS):
        # A work tree's own references come before those that it shares.
        texts = [_text(f"{place}/{name}", read) for place in dict.fromkeys((folder, shared))]
        said = next(filter(None, texts), "")
        if not said.startswith("ref:"):
            break
        name = said.removeprefix("ref:").strip()
        if ".." in name or not name.startswith("refs/"):
            return ()
    tables = (f"{place}/reftable/tables.list" for place in dict.fromkeys((folder, shared)))
    return (*read, f"{shared}/packed-refs", *tables)


def _git_folder(root: str, read: list[str]) -> str | None:
    """Git's folder for *root*, None without; *read* gets what was looked at."""
    folder = root
    while True:
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            return path
        said = _text(path, read)
        if said.startswith("gitdir:"):
            return os.path.normpath(os.path.join(folder, said.removeprefix("gitdir:").strip()))
        above = os.path.dirname(folder)
        if said or above == folder:
            return None
        folder = above


def _text(path: str, read: list[str]) -> str:
    """What the file *path* says, "" where there is none; *read* gets it."""
    read.append(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""
