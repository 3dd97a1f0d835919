"""The go command that builds programs: what is built, and how it is asked for."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scratchtasks.core.platform import Platform

from .environment import go_env
from .index import WITHOUT, may_lie

FLAGS = ("-trimpath", "-buildvcs=false", "-pgo=auto")
LDFLAGS = ("-s", "-w")


class Call(NamedTuple):
    """What the go commands of a batch have in common."""

    root: str
    work: str
    mod: str
    platform: Platform
    tags: str
    ldflags: str


class Command(NamedTuple):
    """A program to run with *argv* in folder *cwd* (absolute), with exactly *env*."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]


def call_of(facts: Mapping[str, Any], params: Mapping[str, Any], platform: Platform) -> Call:
    """The call for an action with *params*, of which `go list` has told *facts*."""
    return Call(
        root=facts["root"],
        work=facts["work"],
        mod=facts["mod"],
        platform=platform,
        tags=",".join(map(str, params["tags"])),
        ldflags=" ".join([*LDFLAGS, *map(str, params["ldflags"])]),
    )


def index_env(sources: Iterable[str], root: str) -> Mapping[str, str]:
    """What a go command needs beside its environment where Go's index may have others than the
    files *sources* of the workspace *root*."""
    folders = {os.path.join(root, os.path.dirname(path)) for path in sources}
    return WITHOUT if may_lie(folders) else {}


def command_of(
    call: Call,
    packages: Sequence[str],
    folder: str,
    *,
    go: str,
    given: Mapping[str, str],
    root: str,
    env: Mapping[str, str],
) -> Command:
    """`go build` of *packages* into *folder*`/out`, by the program *go*; *env* is the user's
    environment, *given* goes before it."""
    cwd = os.path.normpath(os.path.join(root, call.root))
    work = call.work if call.work == "off" else os.path.join(root, call.work)
    flags = [*FLAGS, f"-tags={call.tags}", f"-ldflags={call.ldflags}", f"-o={folder}/out/"]
    return Command(
        (go, "build", *flags, *packages),
        cwd,
        # In one file system Go moves a finished binary to its place, so that none is ever cut off.
        {**go_env(env, call.platform, call.mod, work, cwd), **given, "GOTMPDIR": folder},
    )
