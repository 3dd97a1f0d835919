"""Globs: what they match, and the inputs that say why nothing else does."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.action import Input
from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.execute.globs import match
from scratchtasks.store.files import FileStates

from ..trees import toggle

FILES = ("a.c", "b.h", "sub/c.c", "sub/deep/d.c", "sub/deep/e.txt", ".hidden/f.c", "other/g.c")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.c"], ["a.c"]),
        (["a.*", "b.h"], ["a.c", "b.h"]),
        (["*/c.c"], ["sub/c.c"]),
        (["**/*.c"], ["a.c", "other/g.c", "sub/c.c", "sub/deep/d.c"]),
        (["sub/**"], ["sub/c.c", "sub/deep/d.c", "sub/deep/e.txt"]),
        (["sub/**/d.c"], ["sub/deep/d.c"]),
        (["?.[ch]"], ["a.c", "b.h"]),
        (["./a.c", "sub/../b.h"], ["a.c", "b.h"]),
        (["*.c", "*.c"], ["a.c"]),
        (["*.c", "a.c"], ["a.c"]),
        (["a.c", "*.c"], ["a.c"]),
        (["**/*.c", "*.c"], ["a.c", "other/g.c", "sub/c.c", "sub/deep/d.c"]),
        (["a.c", "**/a.c"], ["a.c"]),
        (["a.c", "./a.c"], ["a.c"]),
        ([".hidden/*"], [".hidden/f.c"]),
        (["../src/a.c"], ["a.c"]),
    ],
)
def test_patterns(patterns: list[str], found: list[str], root: Path) -> None:
    matches = match(str(root), "src", patterns, "here")
    assert matches.paths == tuple(f"src/{name}" for name in found)
    assert set(matches.paths) <= {item.path for item in matches.inputs if item.kind == "file"}


@pytest.mark.parametrize("pattern", ["*.rs", "missing.c", "sub", "no/*.c", "*/", "**/*.rs"])
def test_a_pattern_that_matches_no_file(pattern: str, root: Path) -> None:
    with pytest.raises(StageError) as caught:
        match(str(root), "src", ["a.c", pattern], "//x:y")
    assert str(caught.value) == f"//x:y: no file matches 'src/{pattern}'"


@pytest.mark.parametrize("name", ["s p", "[x]", "a*b", "é"])
def test_a_folder_with_an_odd_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "x.c").write_text("")
    assert match(str(tmp_path), name, ["*.c"], "").paths == (f"{name}/x.c",)


def test_a_folder_that_contains_itself(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("")
    (tmp_path / "loop").symlink_to(".")
    assert "a.c" in match(str(tmp_path), "", ["**/*.c"], "").paths


NAMES = (
    *("a.c", "b.c", "c.h", "sub/a.c", "sub/n.h", "sub/deep", "sub/deep/x.c", "new/y.c", "new/a.c"),
    *("new/deep/x.c", "old/a.c", "old/deep/x.c", "old/deep/a.c", "old/deep/more/a.c", "dist/a.c"),
)
PATTERNS = (
    *("*.c", "*", "**/*.c", "sub/*.c", "sub/**", "*/*.c", "?.h", "a.c", "*/a.c", "*/deep/x.c"),
    *("*/deep/*", "*/*/a.c", "**/a.c", "**/deep/x.c", "*/deep/**", "*/deep/**/a.c", "*/deep"),
    *("*/../a.c", "./*/a.c", "link/a.c", "*/deep/../a.c"),
)


@given(
    before=st.sets(st.sampled_from(NAMES), min_size=2),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2),
)
@settings(max_examples=150)
def test_another_match_always_shows_in_the_inputs(
    before: set[str], patterns: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is added or deleted: if the answer is another one, an input has another value."""
    root = tmp_path_factory.mktemp("globs")
    (root / "link").symlink_to("old")
    for name in before:
        toggle(root / name)
    files = FileStates(str(root), str(root / ".db"))
    try:
        first = match(str(root), "", patterns, "")
    except StageError:
        return
    values = files.observe_all(first.inputs)
    for name in NAMES:
        toggle(root / name)
        try:
            second = match(str(root), "", patterns, "").paths
        except StageError:
            second = ()
        if second != first.paths:
            files.forget_scan()
            assert files.observe_all(first.inputs) != values, name
        toggle(root / name)


def test_a_file_that_comes_behind_a_literal_name_is_watched_for(root: Path) -> None:
    matches = match(str(root), "src", ["*/c.c", "*/deep/d.c"], "")
    assert matches.paths == ("src/sub/c.c", "src/sub/deep/d.c")
    assert {
        Input("file", "src/other/c.c"),
        Input("file", "src/other/deep/d.c"),
    } <= set(matches.inputs)


def test_two_stars_watch_names_and_no_literal_besides(root: Path) -> None:
    inputs = match(str(root), "src", ["**/d.c"], "").inputs
    assert [item for item in inputs if item.kind == "file"] == [Input("file", "src/sub/deep/d.c")]


def test_signs_do_not_enter_what_builds_write_to(root: Path) -> None:
    for name in ("dist/a.c", ".scratch/a.c", "sub/dist/a.c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    assert match(str(root), "", ["**/a.c", "*/a.c"], "").paths == ("src/a.c", "sub/dist/a.c")
    assert match(str(root), "", ["./*/a.c"], "").paths == ("src/a.c",)
    assert match(str(root), "sub", ["../*/a.c"], "").paths == ("src/a.c",)
    assert match(str(root), "", ["dist/*.c"], "").paths == ("dist/a.c",)
    inputs = match(str(root), "", ["*/a.c"], "").inputs
    assert not [item for item in inputs if item.path.startswith((".scratch", "dist"))]


def test_names_are_asked_about_no_more_widely_than_needed(root: Path) -> None:
    inputs = match(str(root), "src", ["*.c"], "").inputs
    assert inputs == (Input("names", "src", ".c"), Input("file", "src/a.c"))
    os.unlink(root / "src" / "a.c")
    with pytest.raises(StageError):
        match(str(root), "src", ["*.c"], "")


def test_two_stars_do_not_follow_symlinks(root: Path) -> None:
    for name in ("one", "two"):
        (root / "src" / name).symlink_to(".")  # followed, they would be 2^40 folders
    (root / "src/link.c").symlink_to("a.c")
    found = match(str(root), "src", ["**/*.c"], "//src:x").paths
    assert "src/link.c" in found
    assert not [path for path in found if "/one/" in path or "/two/" in path]


@pytest.mark.parametrize("patterns", [["*"], ["*/c.c"], ["*/*.c"], ["**"]])
def test_what_cannot_be_looked_at_is_not_left_out(patterns: list[str], root: Path) -> None:
    far = root / "src" / "far"
    far.symlink_to("x" * 300)  # root may look at all others
    with pytest.raises(StoreError) as caught:
        match(str(root), "src", patterns, "//src:x")
    assert str(caught.value) == f"{far}: cannot be read: file name too long"


def test_a_folder_that_cannot_be_read_is_not_empty(root: Path) -> None:
    with pytest.raises(StoreError) as caught:
        match(str(root), "x" * 300, ["*.c"], "//src:x")
    assert str(caught.value) == f"{root}/{'x' * 300}: cannot be read: file name too long"
