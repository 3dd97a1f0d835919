"""What one binary is made of, out of what cargo says: pure functions over its answers."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ConfigError, did_you_mean

from .depinfo import input_path

_LINE = re.compile(r"(?P<name>\S+) v(?P<version>\S+).*\|(?P<features>[^|]*?)(?: \(\*\))?")
_C_BUILDERS = frozenset({"cc", "cmake"})
_SHARED = ("package", "lints", "resolver")
_DEPENDENCIES = ("dependencies", "build-dependencies")

Package = Mapping[str, Any]
"""A package as `cargo metadata` describes it."""


def parse_tree(text: str) -> tuple[tuple[str, str, str], ...]:
    """Name, version and features of each line of `cargo tree --prefix none -f '{p}|{f}'`, sorted.

    A package may come twice: for the host (build scripts, macros) with other features.
    """
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return tuple(sorted({(m["name"], m["version"], m["features"]) for m in found if m}))


def root_package(metadata: Mapping[str, Any], manifest: str, where: str) -> Package:
    """The package whose manifest is *manifest*.  Raises: ConfigError for a virtual workspace."""
    real = os.path.realpath(manifest)
    for package in metadata["packages"]:
        if os.path.realpath(package["manifest_path"]) == real:
            return dict(package)
    names = sorted(package["name"] for package in members_of(metadata))
    raise ConfigError(
        where,
        "binary.crate is a workspace without a package of its own",
        f"give the folder of one of its members: {', '.join(names)}",
    )


def members_of(metadata: Mapping[str, Any]) -> list[Package]:
    """The packages of the workspace."""
    members = frozenset(metadata["workspace_members"])
    return [package for package in metadata["packages"] if package["id"] in members]


def pick_bin(package: Package, wanted: str, where: str) -> str:
    """The binary target *wanted* of *package*; by default the one called like the package.

    Raises: ConfigError when there is no such target.
    """
    names = bins_of(package)
    name = wanted or package["name"]
    if name in names:
        return name
    if not wanted and len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError(where, f"crate {package['name']} has no binary target")
    what = f"crate {package['name']} has no binary target {name!r}"
    raise ConfigError(where, what, did_you_mean(name, names))


def bins_of(package: Package) -> list[str]:
    """The names of *package*'s binary targets, sorted."""
    return sorted(t["name"] for t in package["targets"] if "bin" in t["kind"])


def closure_of(
    metadata: Mapping[str, Any], tree: Iterable[tuple[str, str, str]]
) -> tuple[Package, ...]:
    """The packages that *tree* names, as *metadata* describes them, sorted by id."""
    wanted = {(name, version) for name, version, _ in tree}
    packages = [p for p in metadata["packages"] if (p["name"], p["version"]) in wanted]
    return tuple(sorted(packages, key=lambda package: str(package["id"])))


def local_packages(closure: Iterable[Package], root: str) -> list[Json]:
    """[name, version, folder] of the packages that are folders; inside *root* relative to it."""
    return [
        [package["name"], package["version"], package_folder(package, root)]
        for package in closure
        if package["source"] is None
    ]


def package_folder(package: Package, root: str) -> str:
    return input_path(os.path.dirname(package["manifest_path"]), root)


def c_need(closure: Iterable[Package]) -> str:
    """`yes` when C is compiled, `maybe` when a library is linked in a way of its own, else ""."""
    found = {package["name"] in _C_BUILDERS for package in closure}
    if True in found:
        return "yes"
    return "maybe" if any(package["links"] for package in closure) else ""


def lock_entries(lock: Mapping[str, Any], tree: Iterable[tuple[str, str, str]]) -> list[list[str]]:
    """[name, version, source, checksum] of the entries of Cargo.lock that *tree* names, sorted."""
    used = {(name, version) for name, version, _ in tree}
    return sorted(
        [entry["name"], entry["version"], entry.get("source", ""), entry.get("checksum", "")]
        for entry in lock.get("package", ())
        if (entry["name"], entry["version"]) in used
    )


def root_parts(root: Mapping[str, Any], own: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """What of the workspace's root manifest can reach a member: profiles, patches, inheritance.

    Of the dependencies it offers only those that the members' manifests *own* inherit.
    """
    return {
        "profile": _plain(root.get("profile")),
        "patch": _plain(root.get("patch")),
        "replace": _plain(root.get("replace")),
        "cargo-features": _plain(root.get("cargo-features")),
        "edition": _plain([root.get("package", {}).get(k) for k in ("edition", "resolver")]),
        **inherited_parts(root, own),
    }


def inherited_parts(root: Mapping[str, Any], own: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """What of a workspace's *root* manifest the members with the manifests *own* inherit."""
    workspace = root.get("workspace", {})
    inherited = {name for manifest in own for name in _inherited(manifest)}
    offered = workspace.get("dependencies", {})
    return {
        "shared": {key: _plain(workspace.get(key)) for key in _SHARED},
        "dependencies": {name: _plain(offered[name]) for name in inherited if name in offered},
    }


def _inherited(manifest: Mapping[str, Any]) -> Iterator[str]:
    for table in (manifest, *manifest.get("target", {}).values()):
        for key in _DEPENDENCIES:
            for name, value in table.get(key, {}).items():
                if isinstance(value, Mapping) and value.get("workspace"):
                    yield name


def _plain(value: Any) -> Json:
    """*value* out of TOML as Json: floats and dates as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | None) else str(value)
