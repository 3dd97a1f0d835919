"""Files above a crate that steer cargo and rustup: which there are, and what they set."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json

from ..operation import World
from .depinfo import input_path

_CONFIGS = (".cargo/config.toml", ".cargo/config")
_LINKING = ("rustc-link-search", "rustc-link-lib", "rustc-flags")


def ancestors(folder: str) -> Iterator[str]:
    """*folder*, absolute, and every folder above it, the nearest first."""
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def config_files(folder: str, home: str) -> tuple[str, ...]:
    """Where cargo, started in *folder*, looks for configuration, there or not; with includes.

    *home* is cargo's own home, which counts least.  The nearest come first.
    """
    places = [os.path.join(place, name) for place in ancestors(folder) for name in _CONFIGS]
    places += [os.path.join(home, "config.toml"), os.path.join(home, "config")]
    found: dict[str, None] = {}
    while places:
        path = places.pop(0)
        if path not in found:
            found[path] = None
            places[:0] = _included(path)
    return tuple(found)


def is_set(files: Sequence[str], *keys: str) -> bool:
    """Whether one of the configuration *files* has a value at the path *keys*."""
    return any(_has(_read(path), keys) for path in files)


def variables(files: Sequence[str]) -> list[str]:
    """The `[env]` tables of the configuration *files*, as text."""
    return [str(table) for path in files if (table := _read(path).get("env"))]


def linkers(files: Sequence[str]) -> list[str]:
    """The programs that the configuration *files* name as linkers: absolute, or bare names."""
    found: dict[str, None] = {}
    for path in files:
        tables = _read(path).get("target", {})
        for table in tables.values() if isinstance(tables, Mapping) else ():
            name = table.get("linker") if isinstance(table, Mapping) else None
            if isinstance(name, str):
                # Relative to the folder that `.cargo` is in.
                above = os.path.dirname(os.path.dirname(path))
                found[os.path.join(above, name) if "/" in name else name] = None
    return list(found)


def linking(files: Sequence[str]) -> list[str]:
    """What the configuration *files* have linked, put as build scripts would: `rustflags`, and
    what stands for a build script, `[target.TRIPLE.LINKS]`."""
    found: list[str] = []
    for path in files:
        config = _read(path)
        targets = config.get("target")
        targets = list(targets.values()) if isinstance(targets, Mapping) else []
        for table in filter(_is_table, (config.get("build"), *targets)):
            found += _of_rustc(table.get("rustflags", ()))
            for override in filter(_is_table, table.values()):
                for key, value in override.items():
                    values = value if isinstance(value, list) else [value]
                    found += [f"cargo::{key}={each}" for each in values if key in _LINKING]
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _of_rustc(flags: Any) -> Iterator[str]:
    """Each word of *flags* as what it may be: it has a library searched, or is for the linker."""
    words = flags.split() if isinstance(flags, str) else [str(word) for word in flags]
    yield f"cargo::rustc-flags={' '.join(words)}"
    yield from (f"cargo::rustc-link-arg={word}" for word in words)


def split_inputs(paths: Sequence[str], world: World) -> tuple[list[Input], list[Json]]:
    """*paths* as inputs where they lie in the workspace, else as key material.

    Outside, only digests of those that exist: a key must not name this machine's folders.
    """
    inputs: list[Input] = []
    outside: list[Json] = []
    for path in paths:
        name = input_path(path, world.root)
        if not os.path.isabs(name):
            inputs.append(Input("file", name))
        elif digest := world.files.observe(Input("file", path)):
            outside.append([os.path.basename(path), digest])
    return inputs, outside


def _read(path: str) -> Mapping[str, Any]:
    import tomli

    try:
        with open(path, "rb") as file:
            return tomli.load(file)
    except (OSError, ValueError):
        return {}  # cargo will say what is wrong with it


def _included(path: str) -> list[str]:
    values = _read(path).get("include", ())
    found = []
    for value in [values] if isinstance(values, str) else values:
        name = value.get("path") if isinstance(value, Mapping) else value
        if isinstance(name, str):
            found.append(os.path.normpath(os.path.join(os.path.dirname(path), name)))
    return found


def _has(table: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(table, Mapping) or key not in table:
            return False
        table = table[key]
    return True
