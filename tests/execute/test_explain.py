"""Reasons in plain words."""

import pytest

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.digest import ActionKey, Json
from scratchtasks.execute.explain import why_stale
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
        ({**RECORD, NAMES: "2"}, "the files in a changed"),
        ({**RECORD, Input("names", "", "*"): "2"}, "the files in the workspace root is new"),
        ({**RECORD, MODE: "-"}, "the mode of run.sh changed"),
        ({**RECORD, LINK: "elsewhere"}, "the symlink current changed"),
        ({FILE: "1", NAMES: "1", MODE: "x"}, "the symlink current is gone"),
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


def test_no_stamp_faults_and_nothing_at_all() -> None:
    assert why_stale(None, DESCRIPTION, RECORD, "fault") == "it was never built here"
    assert why_stale(STAMP, DESCRIPTION, RECORD, "blob x is missing") == "blob x is missing"
    assert why_stale(STAMP, DESCRIPTION, RECORD, "") == "its stamp is out of date"
    assert why_stale(STAMP, DESCRIPTION, {**RECORD, FILE: "2"}, "fault") == "a/b.go changed"
