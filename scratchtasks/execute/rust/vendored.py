"""Crates that `cargo vendor` has put beside the sources: there, their files can be edited.

Cargo holds such a file to its digest in the crate's .cargo-checksum.json, so that counts for all
of them.  Who patches a vendored crate empties that list: then every file counts.  Either way cargo
takes what it has compiled for fresh, so another state of them is another target folder.
"""

import json
import os
from collections.abc import Iterable, Iterator

from scratchtasks.core.action import Input

from ..operation import World
from .closure import Package, package_folder

_CHECKSUMS = ".cargo-checksum.json"


def vendored_folders(closure: Iterable[Package], root: str, home: str) -> list[str]:
    """The folders, as inputs have them, of packages of a registry or of git that are not in
    cargo's *home*: there, nobody edits them."""
    inside = os.path.realpath(home) + "/"
    return [
        package_folder(package, root)
        for package in closure
        if package["source"] is not None
        and not os.path.realpath(package["manifest_path"]).startswith(inside)
    ]


def manifest_inputs(folder: str) -> list[Input]:
    """What tells what the vendored crate in *folder* needs."""
    return [Input("file", os.path.join(folder, name)) for name in (_CHECKSUMS, "Cargo.toml")]


def vendored_inputs(folders: Iterable[str], world: World) -> list[Input]:
    """All that counts of the vendored crates in *folders*."""
    return [item for folder in folders for item in _inputs(folder, world)]


def _inputs(folder: str, world: World) -> list[Input]:
    checksums = Input("file", os.path.join(folder, _CHECKSUMS))
    path = os.path.join(world.root, folder)
    key = ["vendored", world.files.observe(checksums)]
    if world.files.probes.ask(key, lambda: _is_checked(os.path.join(path, _CHECKSUMS))):
        return [checksums]
    return [checksums, *world.files.once(f"vendored {folder}", lambda: list(_below(path, folder)))]


def _is_checked(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return "yes" if json.load(file)["files"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _below(path: str, name: str) -> Iterator[Input]:
    for place, _, files in os.walk(path):
        folder = os.path.normpath(os.path.join(name, os.path.relpath(place, path)))
        yield Input("names", folder, "*")
        yield from (Input("file", os.path.join(folder, file)) for file in files)
