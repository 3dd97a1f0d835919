"""Globs: what they match, and the inputs that say why nothing else does."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.action import Input
from scratchtasks.core.errors import StageError
from scratchtasks.execute.globs import match
from scratchtasks.store.files import FileStates

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
    assert {item.path for item in matches.inputs if item.kind == "file"} == set(matches.paths)


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


NAMES = st.sampled_from(["a.c", "b.c", "c.h", "sub/a.c", "sub/n.h", "sub/deep/x.c", "new/y.c"])
PATTERNS = st.sampled_from(["*.c", "*", "**/*.c", "sub/*.c", "sub/**", "*/*.c", "?.h", "a.c"])


@given(
    before=st.sets(NAMES, min_size=1),
    changed=st.sets(NAMES),
    patterns=st.lists(PATTERNS, min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_another_match_always_shows_in_the_inputs(
    before: set[str],
    changed: set[str],
    patterns: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever is added or deleted: if the answer is another one, an input has another value."""
    root = tmp_path_factory.mktemp("globs")
    for name in before:
        toggle(root / name)
    files = FileStates(str(root), str(root / ".db"))
    try:
        first = match(str(root), "", patterns, "")
    except StageError:
        return
    values = files.observe_all(first.inputs)
    for name in changed:
        toggle(root / name)
    try:
        second = match(str(root), "", patterns, "").paths
    except StageError:
        second = ()
    if second != first.paths:
        files.forget_scan()
        assert files.observe_all(first.inputs) != values


def toggle(path: Path) -> None:
    if path.exists():
        path.unlink()
        while not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)


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
