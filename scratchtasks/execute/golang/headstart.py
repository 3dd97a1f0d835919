"""What compilation an edit of Go sources asks for, told from what the last one was.

It reads the stamps of the binary and of its `go list`, and need not be right: whoever uses it
compares it with what is found out later.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from json import loads
from typing import Any, NamedTuple

from scratchtasks.core.digest import ActionKey, key_of
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.platform import parse_platform
from scratchtasks.store.signature import stat_of, value_at

from .command import Call, Command, call_of, command_of, index_env
from .program import go_on_path

OP = "go_build"


class Foretold(NamedTuple):
    """The *key* of the action, what it and its `go list` *reads* (kind and path), and how to run
    it with the Go at *go*."""

    key: ActionKey
    reads: tuple[tuple[str, str], ...]
    call: Call
    package: str
    go: str
    given: Mapping[str, str]

    def command(self, folder: str, root: str, env: Mapping[str, str]) -> Command:
        """What is to be run, to build into *folder*."""
        packages, go, given = [self.package], self.go, self.given
        return command_of(self.call, packages, folder, go=go, given=given, root=root, env=env)


def foretell(
    root: str, folder: str, name: str, edited: Mapping[str, str], env: Mapping[str, str]
) -> Foretold | None:
    """The compilation that the service *name* in *folder* needs after its sources *edited* have
    got these digests, and nothing else that its key is made of has changed; None where that
    cannot be told.

    *env* is the user's environment; paths are relative to *root*.
    """
    stamps = os.path.join(root, ".scratch", "stamps", folder)
    try:
        (last,) = (each for each in os.listdir(stamps) if each.startswith("binary@"))
        binary = _read(os.path.join(stamps, last))
        listed = _read(os.path.join(stamps, last.replace("@", "#list@", 1)))
        about, facts = binary["description"], listed["result"]["facts"]
        if about["op"] != OP or about["params"]["name"] != name:
            return None
        rows = [[*item, edited.get(item[1], value)] for *item, value in binary["record"]]
        if not edited.keys() <= {path for kind, path, *_ in rows if kind == "file"}:
            return None
        heads = {path: value for kind, path, _, value in listed["record"] if kind == "head"}
        if any(value_at("head", f"{root}/{path}")[0] != heads.get(path) for path in edited):
            return None  # `go list` may tell something else
        key = key_of(binary["base"], rows)
        if os.path.exists(f"{root}/.scratch/actions/results/{key[:2]}/{key}"):
            return None  # it was built before
        go = go_on_path(_Sight(env))
        if go is None or not go.is_go or go.is_packaged:
            return None  # it takes more to find one
        reads = tuple((kind, path) for kind, path, *_ in (*rows, *listed["record"]))
        if not _have_one_clock(root, {path for kind, path in reads if kind != "env"}):
            return None
        return Foretold(
            key,
            reads,
            call_of(facts, about["params"], parse_platform(about["platform"])),
            facts["package_arg"],
            go.real,
            index_env({path for _, path, _ in facts["inputs"]}, root),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ScratchError):
        return None


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        # Its checksum, on the first line, is for whoever believes what it says.
        return loads(file.read().partition(b"\n")[2].decode("utf-8", "surrogateescape"))


def _have_one_clock(root: str, paths: Iterable[str]) -> bool:
    """Whether those of *paths* that are there lie where `.scratch` does: what is written to them
    has its time from the same clock."""
    device = os.stat(os.path.join(root, ".scratch")).st_dev
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.stat(os.path.join(root, path)).st_dev != device:
                return False
    return True


class _Sight(NamedTuple):
    """What is where, for one who need not note it."""

    env: Mapping[str, str]

    @property
    def files(self) -> "_Sight":
        return self

    def look(self, path: str, /) -> os.stat_result | None:
        return stat_of(path)
