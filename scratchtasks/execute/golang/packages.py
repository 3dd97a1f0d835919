"""The output of `go list -json`, typed: packages, and the closure of one of them."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from scratchtasks.core.frozen import dataclass

_SOURCES = ("GoFiles", "SFiles", "SysoFiles", "EmbedFiles")
_HEADERS = ("HFiles",)
"""Read by assembly.  C has no part in a binary without cgo, but a binary's build ID counts all of
package main's.  Source: Go, cmd/go/internal/work, buildActionID."""

_IGNORED = ("IgnoredGoFiles", "IgnoredOtherFiles")
_SWIG = (".swig", ".swigcxx")

FIELDS = ",".join(
    (
        *("ImportPath", "Dir", "Name", "Match", "Standard", "Module", "Imports", "ImportMap"),
        *("Error", "EmbedPatterns", "DefaultGODEBUG", *_SOURCES, *_HEADERS, *_IGNORED),
    )
)
"""What to ask for; `go help list` says what each field means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package: *sources* go into the binary, *ignored* files are out by a constraint.

    Both are absolute paths.  *error* is Go's own message, or ""; *position* is where it is,
    by way of the packages *importers*.
    """

    path: str
    folder: str
    name: str
    matches: tuple[str, ...]
    imports: tuple[str, ...]
    is_standard: bool
    module: Mapping[str, Any]
    sources: tuple[str, ...]
    ignored: tuple[str, ...]
    embeds: tuple[str, ...]
    godebug: str
    error: str
    position: str
    importers: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """Whether its files may be edited: it is in a main module, a folder, or `vendor/`."""
        module = self.module
        replacement = module.get("Replace")
        if replacement is not None and not replacement.get("Version"):
            return True
        # A vendored package's module has a version, but no folder of its own.
        return "Version" not in module or "Dir" not in module

    @property
    def is_ours(self) -> bool:
        """Whether it is local, and not of the standard library."""
        return self.is_local and not self.is_standard

    def module_row(self) -> list[str]:
        """Path, version and sum of its module, then those of what replaces it, if anything."""
        replacement = self.module.get("Replace") or {}
        return [
            str(module.get(field, ""))
            for module in (self.module, replacement)
            for field in ("Path", "Version", "Sum")
        ][: 6 if replacement else 3]


def read_packages(output: bytes) -> dict[str, Package]:
    """The packages that `go list -json=FIELDS` printed, by import path."""
    return {package.path: package for package in map(_package, values_in(output))}


def with_swig(package: Package) -> Package:
    """*package* with what is in its folder for SWIG among its *sources*.

    Without cgo Go names none of it, and yet links what it would need.  Source: Go,
    cmd/go/internal/load, `Package.load`.
    """
    try:
        names = [name for name in os.listdir(package.folder) if name.endswith(_SWIG)]
    except OSError:  # gone since Go looked: its listing will say so
        return package
    paths = (os.path.normpath(os.path.join(package.folder, name)) for name in sorted(names))
    found = [path for path in paths if path not in package.ignored]
    return replace(package, sources=(*package.sources, *found)) if found else package


def closure_of(main: Package, packages: Mapping[str, Package]) -> list[Package]:
    """*main* and all it imports outside the standard library, sorted by import path."""
    found: dict[str, Package] = {}
    waiting = [main]
    while waiting:
        package = waiting.pop()
        if package.path not in found and not package.is_standard:
            found[package.path] = package
            waiting.extend(packages[path] for path in package.imports if path in packages)
    return [found[path] for path in sorted(found)]


def standard_of(
    closure: Iterable[Package], packages: Mapping[str, Package], machine: str
) -> list[str]:
    """The import paths of the standard library's packages in a program for *machine* (GOARCH)
    that consists of *closure*, sorted.

    Some are linked into every program.  Source: cmd/go, load.LinkerDeps.
    """
    found: set[str] = set()
    waiting = [path for package in closure for path in package.imports]
    waiting += ["runtime", "math"] if machine == "arm" else ["runtime"]
    while waiting:
        path = waiting.pop()
        if path not in found and path in packages and packages[path].is_standard:
            found.add(path)
            waiting.extend(packages[path].imports)
    return sorted(found)


def errors_of(closure: Iterable[Package]) -> list[str]:
    """Go's messages about *closure*, once each; a position in somebody else's file is left out."""
    members = {package.path: package for package in closure}
    messages: dict[str, None] = {}
    for package in members.values():
        if package.error:
            is_ours = package.position and all(name in members for name in package.importers)
            messages[f"{package.position}: {package.error}" if is_ours else package.error] = None
    return list(messages)


def values_in(output: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects that `go list -json` printed one after the other."""
    text = output.decode("utf-8", "surrogateescape")
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        yield value


def _package(raw: Mapping[str, Any]) -> Package:
    folder = raw.get("Dir", "")
    has_headers = raw.get("SFiles") or raw.get("Name") == "main"
    error = raw.get("Error") or {}
    renamed = raw.get("ImportMap") or {}

    def files(fields: Iterable[str]) -> tuple[str, ...]:
        names = (name for field in fields for name in raw.get(field) or ())
        return tuple(os.path.normpath(os.path.join(folder, name)) for name in names)

    return Package(
        path=raw["ImportPath"],
        folder=folder,
        name=raw.get("Name", ""),
        matches=tuple(raw.get("Match") or ()),
        imports=tuple(renamed.get(path, path) for path in raw.get("Imports") or ()),
        is_standard=raw.get("Standard", False),
        module=raw.get("Module") or {},
        sources=files(_SOURCES + _HEADERS if has_headers else _SOURCES),
        # A test file never goes into a binary.
        ignored=tuple(path for path in files(_IGNORED) if not path.endswith("_test.go")),
        embeds=tuple(raw.get("EmbedPatterns") or ()),
        godebug=raw.get("DefaultGODEBUG", ""),
        error=error.get("Err", ""),
        position=error.get("Pos", ""),
        importers=tuple(error.get("ImportStack") or ()),
    )
