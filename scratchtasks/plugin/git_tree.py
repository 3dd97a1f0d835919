"""The paths that say whether `git describe --dirty` would give the same answer again.

It depends on the commit, on tags, and on whether any file that git tracks differs from the
commit.  While stat of all that it reads is as it was before it was asked, it need not be asked.

Source: gitrepository-layout(5), git-config(1) under FILES, gitattributes(5), git-describe(1).
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .git_head import head_files
from .memo import OURS

_ELSEWHERE = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ATTR_SOURCE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
})  # fmt: skip
"""Variables that have git read other files than those below (git(1)); a memo is of one environment
otherwise."""

_ATTRIBUTES = ".gitattributes"


class TreePaths(NamedTuple):
    """All absolute.  *own* are git's files: where one of them has moved, *rest* may be another.
    That is the files that git tracks, and the folders that hold them."""

    own: frozenset[str] = frozenset()
    rest: frozenset[str] = frozenset()


def tree_paths(root: str, env: Mapping[str, str]) -> TreePaths | None:
    """What git reads for `describe --dirty` in the folder *root* (absolute), what is not there
    included; None when only git can tell.

    A write to a file moves that file's stat.  Whatever else happens, a symlink in its place, or
    in that of a folder above, moves that of the folder which holds it.
    """
    if not _ELSEWHERE.isdisjoint(env):
        return None
    head = head_files(root, env)
    if not head:
        return None
    import subprocess  # a run with nothing to do needs none

    try:
        return _tree_paths(root, env, head)
    except (OSError, ValueError, subprocess.CalledProcessError):  # too old a git, too odd a name
        return None


def _tree_paths(root: str, env: Mapping[str, str], head: tuple[str, ...]) -> TreePaths | None:
    wanted = ("--show-toplevel", "--git-dir", "--git-common-dir", "HEAD")
    said = _git("rev-parse", "--path-format=absolute", *wanted, root=root, env=env)
    top, folder, shared, commit = said.splitlines()
    own = {
        *head,
        f"{folder}/index",
        f"{folder}/config.worktree",
        f"{shared}/config",
        f"{shared}/shallow",
        f"{shared}/info/attributes",
        f"{shared}/info/grafts",
        # How long a short name of the commit is depends on what else there is.
        f"{shared}/objects/pack",
        f"{shared}/objects/{commit[:2]}",
        *_folders(f"{shared}/refs/tags"),
        *_folders(f"{shared}/refs/replace"),
        *_configuration(top, env),
    }
    if os.path.exists(f"{shared}/objects/info/alternates"):
        return None
    if _git("for-each-ref", "--format=%(symref)", "refs/tags", root=root, env=env).strip():
        return None  # a tag that moves with what it stands for
    files, folders = list[str](), set[str]()
    for entry in _git("ls-files", "--stage", "-z", root=top, env=env).split("\0")[:-1]:
        kind, _, name = entry.partition("\t")
        if kind.startswith("160000"):
            return None  # a repository of its own
        folders.add(os.path.dirname(name))
        if not kind.startswith("120000"):
            files.append(f"{top}/{name}")
    for name in list(folders):
        while name:
            folders.add(name := os.path.dirname(name))
    held = {f"{top}/{name}" if name else top for name in folders} | {top}
    if not held.isdisjoint(f"{root}/{name}" for name in OURS):
        return None
    own.update(each for each in map(attributes_in, held) if os.path.exists(each))
    return TreePaths(frozenset(own), frozenset({*files, *held} - own))


def attributes_in(folder: str) -> str:
    """Where *folder* has attributes of files: git goes by them even where it does not track
    them."""
    return f"{folder}/{_ATTRIBUTES}"


def _folders(top: str) -> Iterator[str]:
    """*top* and the folders below: what git puts there comes by rename."""
    yield top
    for folder, names, _ in os.walk(top):
        yield from (os.path.join(folder, name) for name in names)


def _configuration(top: str, env: Mapping[str, str]) -> Iterable[str]:
    """The files of git's configuration and of attributes, wherever one could be.

    Raises: ValueError when that cannot be told.
    """
    home = env.get("HOME", "")
    users = env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    found = {f"{home}/.gitconfig", f"{users}/git/config", f"{users}/git/attributes"}
    found |= {"/etc/gitconfig", "/etc/gitattributes"}
    found |= {env[name] for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM") if env.get(name)}
    listed = _git("config", "--list", "--show-origin", "-z", root=top, env=env).split("\0")[:-1]
    for origin, entry in zip(listed[::2], listed[1::2], strict=True):
        kind, _, path = origin.partition(":")
        file = os.path.join(top, path) if kind == "file" else ""
        if file:
            found.add(file)
        key, _, value = entry.partition("\n")
        is_include = key.startswith("include") and key.endswith(".path")
        if is_include or key == "core.attributesfile":
            if value.startswith(("~", "%")) and not value.startswith("~/"):
                raise ValueError(value)
            value = home + value[1:] if value.startswith("~") else value
            found.add(os.path.join(os.path.dirname(file), value))
    found.discard(os.devnull)
    if not all(map(os.path.isabs, found)):
        raise ValueError(found)
    return found


def _git(*args: str, root: str, env: Mapping[str, str]) -> str:
    """What git says.  Raises: OSError, CalledProcessError."""
    import subprocess

    done = subprocess.run(["git", *args], cwd=root, env=dict(env), check=True, capture_output=True)
    return os.fsdecode(done.stdout)
