"""Reasons in plain words."""

from dataclasses import replace

import pytest

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.digest import ActionKey, Json
from scratchtasks.core.label import Label
from scratchtasks.execute.explain import why_stale
from scratchtasks.execute.operation import Job
from scratchtasks.execute.stamp import Stamp

FILE, NAMES = Input("file", "a/b.go"), Input("names", "a", ".go")
MODE, LINK = Input("mode", "run.sh"), Input("link", "current")
RECORD = {FILE: "1", NAMES: "1", MODE: "x", LINK: "to"}
DESCRIPTION: dict[str, Json] = {"op": "x", "params": {"flags": ["-O"], "name": "n"}, "deps": {}}
STAMP = Stamp(
    key=ActionKey("k"),
    base=ActionKey("b"),
    description=DESCRIPTION,
    record=RECORD,
    result=ActionResult(outputs={}),
)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**RECORD, FILE: "2"}, "a/b.go changed"),
        ({**RECORD, FILE: ""}, "a/b.go is gone"),
        ({**RECORD, Input("file", "new"): "1"}, "new is new"),
        ({**RECORD, Input("file", "\x1b]0;x\x07\u202e\n"): "1"}, "?]0;x??? is new"),
        ({**RECORD, NAMES: "2"}, "the files in a changed"),
        ({**RECORD, Input("names", "", "*"): "2"}, "the files in the workspace root is new"),
        ({**RECORD, MODE: "-"}, "the mode of run.sh changed"),
        ({**RECORD, LINK: "elsewhere"}, "the symlink current changed"),
        ({**RECORD, LINK: ""}, "the symlink current is gone"),
        ({FILE: "2"}, "a/b.go changed"),
        (
            dict.fromkeys(RECORD, "9"),
            "a/b.go changed; the symlink current changed; the mode of run.sh changed and 1 more",
        ),
    ],
)
def test_inputs(record: dict[Input, str], reason: str) -> None:
    assert why_stale(STAMP, DESCRIPTION, record, "") == reason


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (
            {**DESCRIPTION, "params": {"flags": ["-O", "-g"], "name": "n"}},
            'params.flags changed from ["-O"] to ["-O", "-g"]',
        ),
        (
            {**DESCRIPTION, "params": {"flags": ["-O"]}},
            'params.name changed from "n" to null',
        ),
        ({**DESCRIPTION, "op": "x" * 99}, f'op changed from "x" to "{"x" * 56}…'),
    ],
)
def test_descriptions(description: dict[str, Json], reason: str) -> None:
    assert why_stale(STAMP, description, RECORD, "") == reason


def test_of_long_values_what_differs_is_told() -> None:
    long = "x" * 99
    lists: dict[str, Json] = {"op": [long, {"version": 1}]}
    stamp = replace(STAMP, description=lists)
    assert why_stale(stamp, {"op": [long, {"version": 2}]}, RECORD, "") == (
        "op[1].version changed from 1 to 2"
    )
    assert why_stale(stamp, {"op": [long]}, RECORD, "") == "op changed"
    stamp = replace(STAMP, description={"op": f"{long}1"})
    assert why_stale(stamp, {"op": f"{long}2"}, RECORD, "") == "op changed"


def test_what_another_description_does_not_read_is_not_gone() -> None:
    now: dict[str, Json] = {**DESCRIPTION, "op": "y"}
    reason = 'op changed from "x" to "y"'
    assert why_stale(STAMP, now, {}, "") == reason
    assert why_stale(STAMP, now, {Input("file", "other"): "1"}, "") == reason
    assert why_stale(STAMP, now, {FILE: ""}, "") == f"{reason}; a/b.go is gone"


def test_no_stamp_faults_and_nothing_at_all() -> None:
    assert why_stale(None, DESCRIPTION, RECORD, "fault") == "it was never built here"
    assert why_stale(STAMP, DESCRIPTION, RECORD, "blob x is missing") == "blob x is missing"
    assert why_stale(STAMP, DESCRIPTION, RECORD, "") == "its stamp is out of date"
    assert why_stale(STAMP, DESCRIPTION, {**RECORD, FILE: "2"}, "fault") == "a/b.go changed"


PINNED: dict[str, Json] = {
    "op": "x",
    "identity": {"pins": [["certifi", "1.0", "aa"], ["tzdata", "1", "bb"]], "tar": "1"},
    "deps": {"layer:certs": "1", "layer:etc": "1", "binary:api@linux/amd64": "1", "list": "1"},
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"identity": {"pins": [["certifi", "2.0", "cc"], ["tzdata", "1", "bb"]], "tar": "1"}},
            "certifi changed from 1.0 to 2.0",
        ),
        (
            {"identity": {"pins": [["certifi", "1.0", "cc"]], "tar": "2"}},
            "the files of certifi 1.0 changed; tzdata changed from 1 to none; "
            'identity.tar changed from "1" to "2"',
        ),
        (
            {"deps": {**PINNED["deps"], "layer:certs": "2", "layer:etc": "2"}},  # type: ignore[dict-item]
            "the CA certificates changed (now certifi 2.0); the files of /etc changed",
        ),
        (
            {"deps": {"layer:certs": "1", "layer:etc": "1", "file:0@linux/amd64": "1"}},
            "binary api@linux/amd64 changed; what //gen:words gives changed; "
            "what `go list` tells changed",
        ),
        (
            {"deps": {**PINNED["deps"], "rootfs": "2"}},  # type: ignore[dict-item]
            "the root file system changed",
        ),
    ],
)
def test_what_is_made_of_others_is_told_in_words(changed: dict[str, Json], reason: str) -> None:
    stamp = replace(STAMP, description=PINNED)
    versions = {"certifi": "2.0"}
    deps = {
        "layer:certs": ActionResult(outputs={}, facts={"versions": versions}),
        "rootfs": ActionResult(outputs={}, facts={"versions": {"certs": versions}}),
    }
    names = {"file:0@linux/amd64": "//gen:words"}
    action = Action(label=Label("", "x"), mnemonic="X", op="x", params={}, deps=names)
    assert why_stale(stamp, {**PINNED, **changed}, RECORD, "", Job(action, deps)) == reason
