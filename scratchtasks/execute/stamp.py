"""Stamps: what an action's last success was made from, and what it gave; doit's targets.

Kept as the action cache keeps entries, with a checksum: nobody waits until they are on the disk.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scratchtasks.core.action import (
    Action,
    ActionResult,
    Input,
    InputRecord,
    result_from_json,
)
from scratchtasks.core.digest import ActionKey, Json
from scratchtasks.core.errors import StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.actions import read_entry, write_entry
from scratchtasks.store.atomic import discard


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """*description* is what went into the key besides the inputs in *record*."""

    key: ActionKey
    base: ActionKey
    description: Mapping[str, Any]
    record: InputRecord
    result: ActionResult


def stamp_path(scratch: str, action: Action) -> str:
    """Where *action*'s stamp lies; one file per label and platform."""
    return os.path.join(scratch, _place(action))


def read_stamp(scratch: str, action: Action) -> Stamp | None:
    """*action*'s stamp; None when there is none or it is damaged, which costs only time."""
    try:
        value = read_entry(stamp_path(scratch, action), _place(action))
        record = {Input(kind, name, pattern): got for kind, name, pattern, got in value["record"]}
        return Stamp(
            key=ActionKey(value["key"]),
            base=ActionKey(value["base"]),
            description=value["description"],
            record=record,
            result=result_from_json(value["result"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StoreError):
        return None


def write_stamp(scratch: str, action: Action, stamp: Stamp) -> None:
    """Write *action*'s *stamp*; a crash leaves it or none.  Raises: StoreError (disk full)."""
    path = stamp_path(scratch, action)
    record: list[Json] = [[*item, stamp.record[item]] for item in sorted(stamp.record)]
    value: dict[str, Json] = {
        "key": stamp.key,
        "base": stamp.base,
        "description": stamp.description,
        "record": record,
        "result": stamp.result.to_json(),
    }
    # ext4 begins to write a file to disk when its name takes another's place: 0.3 to 5 ms for each
    # stamp (measured).  Without one the cache is asked, which is right as well.
    discard(path)
    write_entry(path, _place(action), value)


def remove_stamps(scratch: str, action: Action) -> None:
    """Remove *action*'s stamp, and those of what it had made by actions of its own, for the same
    platform: the objects of sources, which may be gone.  Raises: StoreError."""
    path, name = stamp_path(scratch, action), action.label.name
    folder, last = os.path.split(path)
    discard(path)
    with suppress(FileNotFoundError):
        for each in os.listdir(folder):
            if each.startswith(f"{name}#") and each.endswith(last.removeprefix(name)):
                discard(os.path.join(folder, each))


def _place(action: Action) -> str:
    """Where the stamp lies in `.scratch`, which may be moved: what its checksum is bound to."""
    suffix = "@" + str(action.platform).replace("/", "-") if action.platform else ""
    return os.path.join("stamps", action.label.package, f"{action.label.name}{suffix}.json")
