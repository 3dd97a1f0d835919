"""Why an action is stale, in plain words, from what its stamp holds and what is seen now."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scratchtasks.core.action import Input, InputRecord
from scratchtasks.core.digest import Json, canonical_json
from scratchtasks.core.errors import printable

from .operation import Job
from .stamp import Stamp

_SHOWN = 3
_KINDS = {
    "file": "",
    "head": "the imports of ",
    "names": "the files in ",
    "mode": "the mode of ",
    "link": "the symlink ",
    "env": "the variable ",
}


_PARTS = {
    "layer:certs": "the CA certificates",
    "layer:zoneinfo": "the time zones",
    "layer:etc": "the files of /etc",
    "rootfs": "the root file system",
    "source": "what it is made from",
    "list": "what `go list` tells",
    "metadata": "what `cargo metadata` tells",
}
"""What actions call those that they need: `rules/image.py` and its neighbours write it."""

_NUMBERED = ("file", "src")
"""Kinds of which the name is but a number."""


def why_stale(
    stamp: Stamp | None,
    description: Mapping[str, Json],
    record: InputRecord,
    fault: str,
    job: Job | None = None,
) -> str:
    """One line, fit for a terminal.

    *fault* says what is wrong with the remembered outputs, if anything is.  *record* are values as
    they are now, of what the stamp's action had read as far as is known.  *job* knows what the
    action needs by name, and the results of that, which may know their version.
    """
    if stamp is None:
        return "it was never built here"
    now = json.loads(canonical_json(description))
    said = (
        *_dep_changes(stamp.description.get("deps"), now.get("deps"), job),
        *_pin_changes(stamp.description.get("identity"), now.get("identity")),
        *_differences(_without_told(stamp.description), _without_told(now)),
    )
    changes = list(dict.fromkeys(said))  # of each platform the same, perhaps
    # Another description may read other files: no word of those that only one of the two reads.
    seen = {i: v for i, v in record.items() if not changes or i in stamp.record}
    changes += _input_changes(stamp.record, seen)
    if not changes:
        return fault or "its stamp is out of date"
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return printable("; ".join(changes[:_SHOWN]) + more)


def _without_told(description: Mapping[str, Any]) -> dict[str, Any]:
    """*description* without what is told in words of its own."""
    rest = {name: value for name, value in description.items() if name != "deps"}
    if _pins_of(rest.get("identity")):
        rest["identity"] = {n: each for n, each in rest["identity"].items() if n != "pins"}
    return rest


def _dep_changes(before: Any, after: Any, job: Job | None) -> Iterator[str]:
    """What is said of the results of other actions, which are known by digest alone."""
    before, after = before or {}, after or {}
    names, deps = (job.action.deps, job.deps) if job else ({}, {})
    for alias in sorted({*before, *after}):
        if before.get(alias) == after.get(alias):
            continue
        kind, _, name = alias.partition(":")
        what = _PARTS.get(alias.partition("@")[0]) or f"{kind} {name}".rstrip()
        if kind in _NUMBERED and alias in names:
            what = f"what {names[alias]} gives"
        # A root file system has those of its layers, whichever part of it is another one.
        is_layer = kind == "layer" and alias in deps
        versions = deps[alias].facts.get("versions") if is_layer else None
        now = ", ".join(f"{pin} {version}" for pin, version in (versions or {}).items())
        yield f"{what} changed" + (f" (now {now})" if now else "")


def _pin_changes(before: Any, after: Any) -> Iterator[str]:
    """`certifi changed from 1.0 to 2.0`: pins among what an action is made with."""
    old, new = _pins_of(before), _pins_of(after)
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        (was, _), (now, _) = old.get(name, ("none", "")), new.get(name, ("none", ""))
        yield (
            f"{name} changed from {was} to {now}"
            if was != now
            else f"the files of {name} {was} changed"
        )


def _pins_of(identity: Any) -> dict[str, tuple[str, str]]:
    """Versions and digests by name of pin."""
    pins = identity.get("pins", ()) if isinstance(identity, dict) else ()
    return {name: (version, digest) for name, version, digest in pins}


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            below = f"{path}.{name}" if path else name
            yield from _differences(before.get(name), after.get(name), below)
    elif before != after:
        was, now = _short(before), _short(after)
        if was != now:
            yield f"{path} changed from {was} to {now}"
        elif isinstance(before, list) and len(before) == len(after):
            for number, (old, new) in enumerate(zip(before, after, strict=True)):
                yield from _differences(old, new, f"{path}[{number}]")
        else:
            yield f"{path} changed"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _input_changes(before: InputRecord, after: InputRecord) -> Iterator[str]:
    for item in sorted(after):
        old, new = before.get(item, ""), after[item]
        if old != new:
            yield f"{_KINDS[item.kind]}{_shown(item)} {_verb(old, new)}"


def _shown(item: Input) -> str:
    return item.path or "the workspace root"


def _verb(old: str, new: str) -> str:
    if not old:
        return "is new"
    return "changed" if new else "is gone"
