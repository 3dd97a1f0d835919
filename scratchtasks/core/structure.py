"""Structure tests: what container-structure-test's files ask of an image, typed and checked.

Patterns are Go's regular expressions, as text; see `go_regex.py`.
Source: container-structure-test 1.19, schema version 2.0.0.
"""

from typing import Literal

from .frozen import dataclass

Pairs = tuple[tuple[str, str], ...]
"""Names and values, in order."""

Who = Literal["", "any", "owner", "group", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTest:
    """*command* run after each of *setup*, in a root file system of its own.

    What is taken down afterwards goes with that root; `teardown` is checked and not run.
    """

    name: str
    command: str
    args: tuple[str, ...] = ()
    setup: tuple[tuple[str, ...], ...] = ()
    env: Pairs = ()
    exit_code: int = 0
    stdout: tuple[str, ...] = ()
    not_stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    not_stderr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistenceTest:
    """*permissions* as `ls` and Go show them (`-rwxr-xr-x`); uid and gid -1 are any."""

    name: str
    path: str
    should_exist: bool = True
    permissions: str = ""
    uid: int = -1
    gid: int = -1
    executable_by: Who = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentTest:
    """Patterns that the file *path* has to hold, and may not hold."""

    name: str
    path: str
    contents: tuple[str, ...] = ()
    not_contents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """A variable's or label's *value*, or a pattern for it."""

    key: str
    value: str = ""
    is_regex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataTest:
    """Of the image's config; ports are numbers as text.  None and "" are not looked at."""

    env: tuple[Expected, ...] = ()
    unset: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str = ""
    volumes: tuple[str, ...] = ()
    not_volumes: tuple[str, ...] = ()
    labels: tuple[Expected, ...] = ()
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureTest:
    """One file, *origin*; *env* is set for all commands."""

    origin: str
    env: Pairs = ()
    commands: tuple[CommandTest, ...] = ()
    existence: tuple[ExistenceTest, ...] = ()
    contents: tuple[ContentTest, ...] = ()
    metadata: MetadataTest | None = None
