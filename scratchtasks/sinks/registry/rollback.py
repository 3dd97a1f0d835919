"""Tags put back where they were, when a push could not set all of them.

Some registries (zot) drop a manifest with its last tag, and with an index what only that names: so
what a tag means is held here before it moves.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from scratchtasks.core.digest import Digest, digest_of, parse_digest
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.registry.client import Registry
from scratchtasks.registry.errors import RegistryError
from scratchtasks.registry.manifests import (
    Manifest,
    delete_manifest,
    digest_at,
    fetch_manifest,
    put_manifest,
)
from scratchtasks.registry.reference import Repository

from .plan import TagMove

_MOST_BELOW = 64
"""Manifests of one index that are held."""

_DEEPEST = 2
"""Indexes below each other that are followed: a registry may answer with any number."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag of *repository* that was set to *manifest*, or may have been; *is_sure*: it was.

    *before* is what the tag meant, from `held`.
    """

    repository: Repository
    move: TagMove
    manifest: Manifest
    before: Sequence[Manifest] = ()
    is_sure: bool = False

    @property
    def ours(self) -> Digest:
        return digest_of(self.manifest.data)

    def __str__(self) -> str:
        return f"{self.repository}:{self.move.tag}"


def held(
    registry: Registry, repository: Repository, digest: Digest, depth: int = _DEEPEST
) -> list[Manifest]:
    """The manifest *digest* of *repository*, last, after all that it names; none if it cannot be
    had.
    """
    with suppress(SinkError):
        found = fetch_manifest(registry, repository, digest)
        if found is not None:
            names = _named_by(found) if depth else []
            below = [held(registry, repository, name, depth - 1) for name in names]
            return [*chain.from_iterable(below), found]
    return []


def _named_by(manifest: Manifest) -> list[Digest]:
    """The manifests that *manifest* names, if it is an index."""
    value: Any = json.loads(manifest.data)
    entries = value.get("manifests")
    names = []
    for entry in entries[:_MOST_BELOW] if isinstance(entries, list) else ():
        with suppress(StoreError, AttributeError, TypeError):
            names.append(parse_digest(entry.get("digest")))
    return names


def undo(registry: Registry, moves: Iterable[Moved]) -> list[str]:
    """Put each tag back where it was, or take it away if it is new, unless it is not *ours* by now.

    A registry that gave no answer for one tag is not asked for those that follow: each would wait
    for its own time-out.

    Returns: why that was not possible, and what remains to be done by hand.
    """
    silent: dict[str, SinkError] = {}
    # One after the other: at the interpreter's end, after a Ctrl-C, no pool takes any more.
    return [fault for moved in moves if (fault := _undo(registry, moved, silent))]


def _undo(registry: Registry, moved: Moved, silent: dict[str, SinkError]) -> str:
    was, host, insistence = moved.move.was, moved.repository.host, registry.limits.insistence
    try:
        if host in silent:
            raise silent[host]
        now = digest_at(registry, moved.repository, moved.move.tag, insistence)
        # Some registries tell for a while after a tag was set what it meant before.
        is_late = moved.is_sure and now == was
        if now != moved.ours and not is_late:
            return ""  # it never moved, or somebody else moved it since
    except SinkError as error:
        if isinstance(error, RegistryError) and error.is_silence:
            silent[host] = error
        return f"{moved} may have moved to {moved.ours}: {error.where}: {error.what}"
    try:
        fault = _take_away(registry, moved) if was is None else _put_back(registry, moved, was)
    except SinkError as error:
        fault = f"{error.where}: {error.what}"
    if not fault:
        return ""
    now = moved.ours if is_late else _now(registry, moved)
    if now == was:  # the deed is done, and only its answer was lost, or wrong
        return ""
    if was is None:
        by_hand = f"to remove it, where that is allowed: regctl tag delete {moved}"
        return f"{moved} is new and stays: {fault} (now {now}; {by_hand})"
    return f"{moved} moved and could not be put back to {was}: {fault} (now {now or 'gone'})"


def _now(registry: Registry, moved: Moved) -> Digest | None:
    """What the tag means now; *ours*, as far as is known, where the registry does not tell."""
    try:
        return digest_at(registry, moved.repository, moved.move.tag)
    except SinkError:
        return moved.ours


def _put_back(registry: Registry, moved: Moved, was: Digest) -> str:
    before = moved.before
    if not before:
        found = fetch_manifest(registry, moved.repository, was)
        if found is None:
            return "that is no longer there"
        before = [found]
    *below, top = before
    for each in below:
        name = digest_of(each.data)
        if digest_at(registry, moved.repository, name) is None:
            put_manifest(registry, moved.repository, each, name)
    put_manifest(registry, moved.repository, top, moved.move.tag)
    return ""


def _take_away(registry: Registry, moved: Moved) -> str:
    """Set the tag to a manifest that nothing else names, and delete that.

    Some registries delete by digest only, and all tags of a manifest go with it; others delete
    the manifest, and so all of its tags, when one tag is deleted; docker-registry 3.0 deletes
    nothing but tags where it was not told to delete.  What our manifest is to somebody else (a
    push beside this one, an index, a pod) cannot be known, so it stays.
    """
    repository, tag = moved.repository, moved.move.tag
    stand_in = _stand_in(moved.manifest)
    name = digest_of(stand_in.data)
    absent = name, f"scratchtasks-{os.urandom(16).hex()}"  # asked before anything is touched
    if not any(delete_manifest(registry, repository, each) for each in absent):
        return "this registry deletes nothing"
    try:
        put_manifest(registry, repository, stand_in, tag)
        delete_manifest(registry, repository, tag)
        delete_manifest(registry, repository, name)
    finally:
        is_left = digest_at(registry, repository, tag) == name
        if is_left:
            put_manifest(registry, repository, moved.manifest, tag)
    return "this registry keeps the tags of what it deletes" if is_left else ""


def _stand_in(manifest: Manifest) -> Manifest:
    """The same image under a digest of its own."""
    value = json.loads(manifest.data)
    note = {"dev.scratchtasks.removed-tag": os.urandom(16).hex()}
    value["annotations"] = {**value.get("annotations", {}), **note}
    return replace(manifest, data=json.dumps(value).encode())
