"""Rewriting scratch.lock keeps what people wrote."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lock_text import rewrite_lockfile
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile
from scratchtasks.core.target import Pin

from .test_lockfile import pins

CERTIFI, TZDATA = DEFAULT_PINS["certifi"], DEFAULT_PINS["tzdata"]

OLD = """\
# Ours: ask the platform team before you touch it.
# Every fetched input, held to exact bytes.  Written by scratchtasks: commit it, do not edit it.
version = 1 # of the format

# Held back, see issue 12.
[pins.certifi] # roots
version = "2024.7.4"   # has a # inside? no
kind = "pypi"
# an old hash
sha256 = "c198e21b1289c2ab85ee4e67bb4b4ef3ead0892059901a8d5b622f24a1101e90"
size = 162960

# zones
[pins."tzdata"]
version = '2023.3' # '#'
sha256 = "7e65763eef3120314099b6939b5546db7adce1e7d6f2e179e3df563c70511eda"
size = 341835
# the end
"""

NEW = """\
# Every fetched input, held to exact bytes.  Written by scratchtasks: commit it, do not edit it.
# Ours: ask the platform team before you touch it.
version = 1  # of the format

# Held back, see issue 12.
[pins.certifi]  # roots
version = "2026.10.18"  # has a # inside? no
kind = "pypi"
filename = "certifi-2026.10.18-py3-none-any.whl"
# an old hash
sha256 = "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62"
size = 134093
date = "2026-10-18"

# zones
[pins.tzdata]
version = "2026.6"  # '#'
kind = "pypi"
filename = "tzdata-2026.6-py2.py3-none-any.whl"
sha256 = "0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec"
size = 348210
date = "2026-10-28"

# the end
"""


def test_comments_stay_where_they_were() -> None:
    assert rewrite_lockfile(OLD, DEFAULT_PINS) == NEW


def test_a_second_time_changes_nothing() -> None:
    assert rewrite_lockfile(NEW, DEFAULT_PINS) == NEW


def test_comments_go_with_their_pin() -> None:
    text = rewrite_lockfile(OLD, {"certifi": CERTIFI})
    assert "zones" not in text
    assert "Held back" in text
    assert text.endswith("\n\n# the end\n")


def test_without_comments_the_text_is_canonical() -> None:
    plain = "version = 1\n[pins.tzdata]\nversion = '1'\n"
    assert rewrite_lockfile(None, DEFAULT_PINS) == format_lockfile(DEFAULT_PINS)
    assert rewrite_lockfile(plain, DEFAULT_PINS) == format_lockfile(DEFAULT_PINS)


def test_only_the_tables_of_moved_pins_change() -> None:
    moved = {**DEFAULT_PINS, "tzdata": replace(TZDATA, version="2026.7", size=1, filename="")}
    before, after = NEW.split("\n\n"), rewrite_lockfile(NEW, moved).split("\n\n")
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]


comments = st.text("# '\"=[]abc\t", max_size=12).map(lambda text: f"# {text}")


@settings(max_examples=30)
@given(
    st.lists(pins(), min_size=1, max_size=4, unique_by=lambda pin: pin.name),
    st.lists(pins(), min_size=1, max_size=4, unique_by=lambda pin: pin.name),
    st.data(),
)
def test_any_comments_survive_and_never_change_a_pin(
    old: list[Pin], new: list[Pin], data: st.DataObject
) -> None:
    lines = []
    for line in format_lockfile({pin.name: pin for pin in old}).splitlines():
        if line and data.draw(st.booleans()):
            lines.append(data.draw(comments))
        beside = f" {data.draw(comments)}" if line and data.draw(st.booleans()) else ""
        lines.append(line + ("" if line.startswith("#") else beside))
    text = "\n".join(lines) + "\n"
    by_name = {pin.name: pin for pin in new}
    rewritten = rewrite_lockfile(text, by_name)
    assert parse_lockfile(rewritten) == by_name
    assert rewrite_lockfile(rewritten, by_name) == rewritten
    same = rewrite_lockfile(text, {pin.name: pin for pin in old})
    assert sorted(part for part in same.split() if part) == sorted(text.split())
