"""Which crates cargo lacks while nothing may be fetched: cargo itself names the first."""

import glob
import os
from collections.abc import Iterator, Mapping
from typing import Any

from scratchtasks.core.errors import NotInStore

_REFUSED = (b"--offline was specified", b"you're using offline mode", b"in the offline mode")


def is_refused(stderr: bytes) -> bool:
    """Whether cargo says that it would have had to fetch something."""
    return any(words in stderr for words in _REFUSED)


def lacking(label: str, package: str, lock: Mapping[str, Any], home: str) -> NotInStore:
    """The error for a binary *label* of *package* whose closure in Cargo.lock (*lock*) has crates
    that cargo's folder *home* has not.
    """
    names = [
        f"{each['name']} {each['version']}"
        for each in _closure(package, lock)
        if not _is_there(each, home)
    ]
    # Which of them the target platform needs, only their manifests would tell.
    more = " (of Cargo.lock, which is for all platforms)" if len(names) > 1 else ""
    return NotInStore(
        f"{label}: {', '.join(sorted(names)) or 'crates'}{more}",
        "not in cargo's cache, and --offline forbids to fetch it",
        "run once without --offline",
    )


def _closure(package: str, lock: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The packages of *lock* that *package* depends on, directly or not."""
    known: dict[str, list[Mapping[str, Any]]] = {}
    for each in lock.get("package", ()):
        known.setdefault(each["name"], []).append(each)
    seen = set()
    waiting = [package]
    while waiting:
        # `name`, `name version` or `name version (source)`, as short as is unambiguous.
        name, _, version = waiting.pop().partition(" ")
        for each in known.get(name, ()):
            is_meant = not version or each["version"] == version.partition(" ")[0]
            key = (each["name"], each["version"], each.get("source", ""))
            if is_meant and key not in seen:
                seen.add(key)
                waiting += each.get("dependencies", ())
                yield each


def _is_there(package: Mapping[str, Any], home: str) -> bool:
    kind, _, rest = str(package.get("source", "")).partition("+")
    place = glob.escape(home)
    if kind == "git":
        revision = rest.rpartition("#")[2]
        return bool(glob.glob(f"{place}/git/checkouts/*/{revision[:7]}"))
    if kind not in ("registry", "sparse"):
        return True  # a crate of the workspace
    name = glob.escape(f"{package['name']}-{package['version']}")
    return bool(glob.glob(os.path.join(place, "registry/cache/*", f"{name}.crate")))
