"""Stamps: what an action's last success was made from, and what it gave; doit's targets."""

import json
import os
from collections.abc import Mapping
from typing import Any

from scratchtasks.core.action import (
    Action,
    ActionResult,
    Input,
    InputRecord,
    result_from_json,
)
from scratchtasks.core.digest import ActionKey, Json, canonical_json
from scratchtasks.core.errors import StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.atomic import remove, write_atomic


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
    suffix = "@" + str(action.platform).replace("/", "-") if action.platform else ""
    return os.path.join(
        scratch, "stamps", action.label.package, f"{action.label.name}{suffix}.json"
    )


def read_stamp(path: str) -> Stamp | None:
    """The stamp at *path*; None when there is none or it is damaged, which costs only time."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
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


def write_stamp(path: str, stamp: Stamp) -> None:
    """Write *stamp*; a crash leaves it or none.  Raises: StoreError when the disk is full."""
    record: list[Json] = [[*item, stamp.record[item]] for item in sorted(stamp.record)]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    value: dict[str, Json] = {
        "key": stamp.key,
        "base": stamp.base,
        "description": stamp.description,
        "record": record,
        "result": stamp.result.to_json(),
    }
    # ext4 begins to write a file to disk when its name takes another's place: 0.3 to 5 ms for each
    # stamp (measured).  Without one the cache is asked, which is right as well.
    remove(path)
    write_atomic(path, canonical_json(value))
