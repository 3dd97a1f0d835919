"""Trees of several layers, one over the other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StageError
from scratchtasks.core.tree import FileEntry, Kind, check_path, merge_trees

_PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)
_KINDS = st.sampled_from(["file", "dir", "symlink"])


def entry(path: str, kind: Kind = "file", origin: str = "") -> FileEntry:
    return FileEntry(path=path, kind=kind, digest=digest_of(b""), link="x", origin=origin)


@given(st.dictionaries(_PATHS, _KINDS, max_size=8))
def test_nothing_lies_below_what_is_no_folder(kinds: dict[str, Kind]) -> None:
    trees = [[entry(path, kind)] for path, kind in kinds.items()]
    is_below = any(
        path.startswith(f"{other}/") and kind != "dir"
        for path in kinds
        for other, kind in kinds.items()
    )
    if is_below:
        with pytest.raises(StageError, match=r"^//s:rootfs: /\S+ lies below /"):
            merge_trees(trees, "//s:rootfs")
    else:
        assert [each.path for each in merge_trees(trees, "//s:rootfs")] == sorted(kinds)


def test_equal_entries_fold_and_others_are_told_with_both_sources() -> None:
    one = entry("etc/x", origin="//:etc")
    assert merge_trees([[one], [replace(one, origin="web")]], "//s:rootfs") == (one,)
    with pytest.raises(StageError) as caught:
        merge_trees([[one], [replace(one, mode=0o600, origin="web")]], "//s:rootfs")
    what = digest_of(b"")[:19]
    assert str(caught.value) == (
        f"//s:rootfs: two sources for /etc/x: //:etc (file 0644 0:0 {what}) and "
        f"web (file 0600 0:0 {what})\n"
        "    hint: leave one of them out, or give them the same content, mode and owner"
    )


_NAME = "é" * 127 + "x"
"""255 bytes."""


@pytest.mark.parametrize(
    "path", [f"/{_NAME}", f"/srv/{_NAME}/{_NAME}", "/" + "/".join(["x" * 255] * 15)[:3839]]
)
def test_paths_as_long_as_linux_takes_them(path: str) -> None:
    assert check_path(path, "files") == path[1:]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (
            f"/srv/{_NAME}y",
            "wanted names of at most 255 bytes, got 256 in '/srv/ééééééééééééééééééééééééé…'",
        ),
        (
            "/" + "a/" * 1919 + "bc",
            "wanted a path of at most 3840 bytes, got 3841 in '/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a…'",
        ),
        (
            "/" + "\udce9" * 100,
            "wanted names of at most 255 bytes, got 300 in '/" + "\\udce9" * 29 + "…'",
        ),
    ],
)
def test_paths_that_are_too_long_for_linux(path: str, what: str) -> None:
    with pytest.raises(StageError) as caught:
        check_path(path, "files")
    assert str(caught.value) == f"files: {what}"
