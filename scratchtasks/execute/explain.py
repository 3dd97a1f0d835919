"""Why an action is stale, in plain words, from what its stamp holds and what is seen now."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scratchtasks.core.action import Input, InputRecord
from scratchtasks.core.digest import Json, canonical_json

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


def why_stale(
    stamp: Stamp | None, description: Mapping[str, Json], record: InputRecord, fault: str
) -> str:
    """One line; *fault* says what is wrong with the remembered outputs, if anything is."""
    if stamp is None:
        return "it was never built here"
    now = json.loads(canonical_json(description))
    changes = [*_differences(stamp.description, now), *_input_changes(stamp.record, record)]
    if not changes:
        return fault or "its stamp is out of date"
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return "; ".join(changes[:_SHOWN]) + more


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            below = f"{path}.{name}" if path else name
            yield from _differences(before.get(name), after.get(name), below)
    elif before != after:
        yield f"{path} changed from {_short(before)} to {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _input_changes(before: InputRecord, after: InputRecord) -> Iterator[str]:
    for item in sorted({*before, *after}):
        old, new = before.get(item, ""), after.get(item, "")
        if old != new:
            yield f"{_KINDS[item.kind]}{_shown(item)} {_verb(old, new)}"


def _shown(item: Input) -> str:
    return item.path or "the workspace root"


def _verb(old: str, new: str) -> str:
    if not old:
        return "is new"
    return "changed" if new else "is gone"
