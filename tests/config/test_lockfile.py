"""scratch.lock: pins to text and back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.config.default_pins import DEFAULT_PINS, effective_pins
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.target import Pin
from tests.execute.compiler_wheels import pin_of

TEXT = """\
# Every fetched input, held to exact bytes.  Written by scratchtasks: commit it, do not edit it.
version = 1

[pins.certifi]
version = "2026.10.18"
kind = "pypi"
filename = "certifi-2026.10.18-py3-none-any.whl"
sha256 = "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62"
size = 134093
date = "2026-10-18"

[pins.tzdata]
version = "2026.6"
kind = "pypi"
filename = "tzdata-2026.6-py2.py3-none-any.whl"
sha256 = "0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec"
size = 348210
date = "2026-10-28"
"""

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,3}){0,3}(rc1|\+a1)?", fullmatch=True)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def pins(draw: st.DrawFn) -> Pin:
    name, version = draw(names), draw(versions)
    wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    tags = draw(st.sets(st.sampled_from(["any", "win32", "macosx_11_0_arm64"])))
    is_compiler = draw(st.booleans())
    if tags and is_compiler:
        wheels = {f"{wheel.removesuffix('any.whl')}{tag}.whl": draw(hashes) for tag in tags}
        return pin_of(name, version, wheels)
    return Pin(
        name=name,
        version=version,
        sha256=draw(hashes),
        size=draw(st.integers(1, 2**40)),
        filename=draw(st.sampled_from(["", wheel])),
        date=draw(st.sampled_from(["", "2026-01-31"])),
    )


def test_the_built_in_pins_are_a_valid_lock() -> None:
    assert format_lockfile(DEFAULT_PINS) == TEXT
    assert parse_lockfile(TEXT) == DEFAULT_PINS


@given(st.lists(pins(), unique_by=lambda pin: pin.name))
def test_pins_survive_the_round_trip_in_any_order(some: list[Pin]) -> None:
    by_name = {pin.name: pin for pin in some}
    text = format_lockfile(by_name)
    assert parse_lockfile(text) == by_name
    assert list(parse_lockfile(text)) == sorted(by_name)
    assert format_lockfile(dict(reversed(by_name.items()))) == text


def test_built_in_pins_hold_for_what_the_lock_does_not_name() -> None:
    own = replace(DEFAULT_PINS["tzdata"], version="2026.4")
    assert effective_pins(None) == DEFAULT_PINS
    assert effective_pins({"tzdata": own}) == {**DEFAULT_PINS, "tzdata": own}


def test_all_malformed_pins_are_told_at_once() -> None:
    text = """
        version = 1
        extra = true
        [pins.Certifi]
        version = "1"
        sha256 = "7319"
        size = -1
        [pins.tzdata]
        version = "2026.6"
        kind = "git"
        filename = "../tzdata.whl"
        date = "today"
        [pins.certifi]
        version = "2026.7.22"
        filename = "certifi-2026.10.18-py3-none-any.whl"
        sha256 = "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62"
        size = 134093
    """
    with pytest.raises(ConfigErrors) as caught:
        parse_lockfile(text)
    assert str(caught.value).splitlines() == [
        "scratch.lock: unknown key 'extra'",
        "    hint: known: version",
        "scratch.lock: pins.Certifi: wanted a name of lower-case letters, digits and '-', got the "
        'string "Certifi"',
        'scratch.lock: pins.Certifi.sha256: wanted 64 lower-case hex digits, got the string "7319"',
        "scratch.lock: pins.Certifi.size: wanted an integer from 1 to 1099511627776, got the "
        "integer -1",
        'scratch.lock: pins.tzdata.kind: unknown kind of source "git"',
        "    hint: known: debian, image, machine, pypi, toolchain",
        'scratch.lock: pins.tzdata.filename: wanted a file name, got the string "../tzdata.whl"',
        'scratch.lock: pins.tzdata.date: wanted a day such as "2026-10-18", got the string "today"',
        "scratch.lock: pins.tzdata.sha256: missing (wanted 64 lower-case hex digits)",
        "scratch.lock: pins.tzdata.size: missing (wanted an integer from 1 to 1099511627776)",
        "scratch.lock: pins.certifi.filename: wanted a wheel of certifi 2026.7.22, got the "
        'string "certifi-2026.10.18-py3-none-any.whl"',
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "version = 2\n[pinned.x]",
            "scratch.lock: version: wanted version 1, got the integer 2\n"
            "    hint: written by a newer scratchtasks: update yours",
        ),
        ("", "scratch.lock: version: missing (wanted an integer from 1 to 1)"),
        ("version = 1\npins = 3", "scratch.lock: pins: wanted a table, got the integer 3"),
        (
            "version = 1\npins.a = 3",
            "scratch.lock: pins.a: wanted a table, got the integer 3",
        ),
        (
            "version = 1\n<<<<<<< ours",
            "scratch.lock: holds the marks of a merge conflict\n"
            "    hint: settle them table by table: either side of one is whole",
        ),
        (
            "version = 1\n[pins.certifi",
            "scratch.lock: line 2, column 14: not TOML: expected ']' at the end of a table "
            "declaration\n"
            "    hint: restore it from git, or delete it: `doit refresh` writes it anew",
        ),
    ],
)
def test_a_lock_that_is_none_of_ours_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_lockfile(text)
    assert str(caught.value) == error
