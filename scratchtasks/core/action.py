"""Actions: one uniform shape for every piece of work, so there is one key, one cache, one why.

An Action is a complete description of a repeatable computation.  What it reads is observed,
value by value, into an InputRecord; its ActionKey hashes the description and those values.
Compilers tell only afterwards which files they read, so the cache remembers for each
description the sets of inputs it was seen to read (ccache calls this direct mode; *Build
Systems à la Carte* a constructive trace).
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, NamedTuple

from .descriptor import Descriptor, descriptor_from_json
from .digest import ActionKey, Json, key_of
from .frozen import dataclass
from .label import Label
from .platform import Platform

InputKind = Literal["file", "head", "names", "mode", "link", "env"]


class Input(NamedTuple):
    """One thing an action reads.

    `file`: the content of *path* (value: Digest, or "" when there is no such file).
    `head`: what `go list` reads of the Go file *path* (value: the Digest of its `go_head`).
    `names`: which entries of folder *path* have a name that *pattern* matches, with their type
    (value: a Digest, or "" when there is no such folder); *pattern* is `*` for all, or suffixes
    and exact names separated by `|`, such as `.go|.s|go.mod`; a leading `!` suffix excludes.
    `mode`: whether *path* is executable (value "x" or "-", "" when missing).
    `link`: where the symlink *path* points (value: the text, "" when it is no symlink).
    `env`: the variable *path* of the user's environment (value: a Digest, "" when it is not set).

    *path* is relative to the workspace root where it lies inside, else absolute.
    """

    kind: InputKind
    path: str
    pattern: str = ""


InputRecord = Mapping[Input, str]
"""Inputs and the values that were observed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A computation: operation *op* with *params*, for *platform*, over *deps*.

    *deps* names the actions whose results it reads, by the names it uses for them; *label* and
    *mnemonic* (a word for progress displays, such as `GoCompile`) are for people and no part of
    the key.  *is_probe*: quick analysis that later keys need (`go list`), which runs when a
    verdict asks.
    """

    label: Label
    mnemonic: str = field(compare=False)
    op: str
    params: Mapping[str, Json]
    platform: Platform | None = None
    deps: Mapping[str, str] = field(default_factory=dict)
    is_probe: bool = False

    @property
    def name(self) -> str:
        """Unique within a workspace: the label, and the platform where there is one."""
        return f"{self.label}@{self.platform}" if self.platform else str(self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What an action made: named blobs, plus small facts for the actions that depend on it."""

    outputs: Mapping[str, Descriptor]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many bytes all blobs have together."""
        return sum({blob.digest: blob.size for blob in self.outputs.values()}.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "outputs": {name: blob.to_json() for name, blob in self.outputs.items()},
            "facts": dict(self.facts),
        }


def result_from_json(value: Mapping[str, Any]) -> ActionResult:
    """The inverse of ActionResult.to_json.  Raises: KeyError, TypeError, StoreError if damaged."""
    outputs = {str(k): descriptor_from_json(v) for k, v in value["outputs"].items()}
    return ActionResult(outputs=outputs, facts=dict(value["facts"]))


def key_with_inputs(base: ActionKey, record: InputRecord) -> ActionKey:
    """The key of a description *base* once its inputs have been observed."""
    return key_of(base, [[*item, record[item]] for item in sorted(record)])
