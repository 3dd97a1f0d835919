"""Patterns that Python would look for for ever: the search is given up, and says which one."""

import json
from typing import Any

import pytest

from scratchtasks.config.structure import parse_structure
from scratchtasks.core.errors import SinkError
from scratchtasks.core.target import Smoke
from scratchtasks.sinks.smoke import matching
from scratchtasks.sinks.smoke.contents import Contents
from scratchtasks.sinks.smoke.matching import Endless, first_matches
from scratchtasks.sinks.smoke.structure import structure_faults
from scratchtasks.sinks.smoke.trial import Outcome, Trial, trial_of

from .images import Bench

ENDLESS = "^(a+)+$"
TEXT = "a" * 40 + "b"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "PATIENCE", 0.2)


def test_what_is_found_and_what_is_not() -> None:
    found = first_matches(
        [("b.*", "abc\nd"), ("x", "abc"), ("", "abc"), ("[a-z]+", "é" + "z" * 99)]
    )
    assert found == ["bc", None, "", "z" * 80]


@pytest.mark.parametrize(
    "definition",
    [
        {"args": ("say", TEXT)},
        {"args": ("say", TEXT, "serve", ":8080,200"), "http_path": "/", "http_port": 8080},
    ],
)
def test_a_trial_ends_with_its_time(bench: Bench, definition: dict[str, Any]) -> None:
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), "bubblewrap", stdout=ENDLESS, timeout_seconds=2, **definition)
    size = len(TEXT) + 1 + len("answered 200 to GET / HTTP/1.1\n") * ("http_path" in definition)
    assert str(caught.value) == (
        f"//services/api:image: smoke: '{ENDLESS}' cannot be looked for in {size} characters "
        "within 0.2 s\n"
        "    hint: repeats in repeats, such as (a+)+, and .* in long lines take for ever"
    )


def test_structure_tests_name_go_s_pattern(bench: Bench) -> None:
    pattern = f"{ENDLESS}\\z"
    test = {"name": "all a", "path": "/srv/text", "expectedContents": ["a", pattern]}
    text = json.dumps({"schemaVersion": "2.0.0", "fileContentTests": [test]})
    structure = parse_structure(text, "cst.yaml")
    image = bench.image([bench.file("srv/text", TEXT.encode())])
    contents = Contents(image, bench.store, "//services/api:image")
    base = trial_of(image, Smoke(), bench.store, "//services/api:image")
    with pytest.raises(Endless) as caught:
        list(structure_faults(structure, base, contents, _never))
    assert str(caught.value) == (
        f"{pattern!r} cannot be looked for in {len(TEXT)} characters within 0.2 s"
    )


def _never(_trial: Trial) -> Outcome:
    raise AssertionError("a file is read, nothing is run")
