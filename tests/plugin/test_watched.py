"""Which edits concern an image: by its exact inputs, not by where they are."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.action import Input
from scratchtasks.plugin.commands.watch import _first_changes, _Missed
from scratchtasks.plugin.watched import (
    changed_since,
    concerned,
    folders,
    inputs_of,
    read_inputs,
    seen_now,
    write_inputs,
)
from scratchtasks.store.signature import list_folder

from .shop import session, write

FILE, LISTING = Input("file", "/w/a.go"), Input("names", "/w", ".go|!_test.go")


@pytest.mark.parametrize(
    ("change", "is_concerned"),
    [
        ((False, "/w/a.go"), True),
        ((True, "/w/a.go"), True),
        ((True, "/w/b.go"), True),
        ((False, "/w/b.go"), False),
        ((True, "/w/b_test.go"), False),
        ((True, "/w/README.md"), False),
        ((True, "/w/sub/b.go"), False),
        ((True, "/w/gen"), True),
        ((True, "/w/ge"), False),
        ((True, "/w"), True),
        ((False, "/w"), False),
    ],
)
def test_what_comes_and_goes_and_what_changes(change: tuple[bool, str], is_concerned: bool) -> None:
    watched = {FILE: "sha256:1", LISTING: "sha256:2", Input("file", "/w/gen/x"): ""}
    assert concerned([change], watched) == ([change[1]] if is_concerned else [])


def test_an_edit_while_nobody_looked_is_found(tmp_path: Path) -> None:
    source, missing = tmp_path / "a.go", tmp_path / "b.go"
    source.write_text("a")
    write(tmp_path)
    listing = Input("names", str(tmp_path), ".go")
    listed = list_folder(str(tmp_path), ".go")
    assert listed is not None
    watched = {
        Input("file", str(source)): "sha256:1",
        Input("file", str(missing)): "",
        Input("link", str(source)): "",
        listing: listed.value,
    }
    time.sleep(0.02)
    moment = time.time_ns()
    time.sleep(0.02)
    assert changed_since(watched, moment) == []
    (tmp_path / "README.md").write_text("x")
    assert changed_since(watched, moment) == []
    source.write_text("b")
    assert changed_since(watched, moment) == [str(source)]
    missing.write_text("b")
    assert changed_since(watched, moment) == [str(tmp_path), str(source), str(missing)]
    source.unlink()
    assert str(source) in changed_since(watched, moment)


def test_folders_of_files_that_are_links_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/f").write_text("x")
    (tmp_path / "link").symlink_to("real/f")
    watched = {
        Input("file", str(tmp_path / "link")): "x",
        Input("file", str(tmp_path / "no/such/file")): "",
        Input("names", str(tmp_path / "real"), "*"): "x",
    }
    assert folders(watched, str(tmp_path)) == {str(tmp_path), str(tmp_path / "real")}
    assert concerned([(False, str(tmp_path / "real/f"))], watched)


def test_what_is_behind_a_link_is_known_by_both_its_names(tmp_path: Path) -> None:
    # The kernel has one watch for both, and what it tells bears either name.
    api, link = tmp_path / "teams/a/api", tmp_path / "services/api"
    api.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to("../teams/a/api")
    watched = {Input("file", str(link / "main.c")): "", Input("names", str(link), ".c"): ""}
    both = {link, *link.parents, api, *api.parents}
    inside = {str(each) for each in both if each.is_relative_to(tmp_path)}
    assert folders(watched, str(tmp_path)) == inside
    for path in (link, link / "main.c", link / "new.c", api, api / "main.c", api / "new.c"):
        assert concerned([(True, str(path))], watched) == [str(path)]


SOURCES = st.lists(st.sampled_from("ab"), max_size=4).map(lambda above: "/".join([*above, "f"]))


@given(st.dictionaries(SOURCES, st.booleans()))
def test_in_the_workspace_folders_above_inputs_are_watched_too(files: dict[str, bool]) -> None:
    with TemporaryDirectory() as name:
        root, tool = Path(name, "home/w"), Path(name, "usr/bin/gcc")
        root.mkdir(parents=True)
        tool.parent.mkdir(parents=True)
        write(root, {path: "" for path, is_there in files.items() if is_there})
        paths = [root / path for path in files]
        above = {each for path in paths for each in path.parents if each.is_relative_to(root)}
        wanted = {tool.parent, *(each for each in above if each.exists())}
        watched = {Input("file", str(path)): "" for path in (*paths, tool)}
        assert folders(watched, str(root)) == set(map(str, wanted))


class _Deed(_Missed):
    """Does something once the watching has begun, and ends it if that goes unnoticed."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__({}, 0)
        self._deed = deed
        self._asked = 0

    def is_set(self) -> bool:
        self._asked += 1
        if self._asked == 1:
            self._deed()
        return self._asked > 30


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        ("teams", "groups", ["teams"]),
        ("teams/a", "teams/b", ["teams/a"]),
        ("teams/a", "aside", ["teams/a"]),
        ("teams/a/services", "teams/a/programs", ["teams/a/services"]),
        ("teams/a/services/api", "teams/a/services/web", ["teams/a/services/api"]),
        ("later", "new", ["new"]),
        ("teams/other", "teams/c", []),
        ("teams/a/docs", "docs", []),
    ],
)
def test_folders_that_are_renamed(old: str, new: str, noticed: list[str], tmp_path: Path) -> None:
    source = "teams/a/services/api/main.c"
    write(tmp_path, {source: "", "teams/other/f": "", "teams/a/docs/f": "", "later/f": ""})
    watched = dict.fromkeys((Input("file", str(tmp_path / each)) for each in (source, "new/f")), "")
    deed = _Deed(lambda: (tmp_path / old).rename(tmp_path / new))
    found = _first_changes(watched, str(tmp_path), deed)
    assert found == [str(tmp_path / each) for each in noticed]


def test_the_inputs_of_an_image_are_its_own_and_not_its_neighbour_s(tmp_path: Path) -> None:
    write(tmp_path)
    it = session(tmp_path)
    for name in (*it.graph.tasks["rootfs:api"].deps, "rootfs:api"):
        it.build(it.graph.tasks[name])
    write_inputs(str(tmp_path / "inputs"), it, ["api"], has_failed=False)
    with open(tmp_path / "inputs", "r+b") as file:
        written = read_inputs(file)
        assert read_inputs(file) is None  # it is empty now
    assert written == (str(tmp_path), inputs_of(it, ["api"]))
    files = {os.path.relpath(each.path, tmp_path) for each in written[1] if each.kind == "file"}
    assert {"services/api/main.go", "services/api/service.toml", "dodo.py", "go.mod"} <= files
    assert not any(path.startswith(("services/web", "gen")) for path in files)
    it.close()


def test_before_anything_is_known_every_file_counts(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "services/api/main.go").write_text("package main\n\nfunc main( {\n")
    it = session(tmp_path)
    files = {
        os.path.relpath(each.path, tmp_path) for each in inputs_of(it, ["api"], has_failed=True)
    }
    assert {"services/api/main.go", "services/web/main.go", "services/api"} <= files
    it.close()


PATHS = st.sampled_from(["/w/a.go", "/w/b.go", "/w/c/d.go", "/w/x", "/w/c"])


@given(
    st.dictionaries(PATHS, st.sampled_from(["", "x"])), st.lists(st.tuples(st.booleans(), PATHS))
)
def test_files_and_folders_above_them_concern_whoever_reads_them(
    files: dict[str, str], changes: list[tuple[bool, str]]
) -> None:
    watched = {Input("file", path): value for path, value in files.items()}
    wanted = {
        path
        for came_or_went, path in changes
        if path in files or (came_or_went and any(each.startswith(f"{path}/") for each in files))
    }
    assert concerned(changes, watched) == sorted(wanted)


def test_what_is_gone_is_gone_once_and_may_come_back(tmp_path: Path) -> None:
    folder, other = tmp_path / "api", tmp_path / "new"
    folder.mkdir()
    for name in ("service.toml", "main.go"):
        (folder / name).write_text("")
    listing, link = Input("names", str(folder), "*"), Input("link", str(folder / "main.go"))
    listed = list_folder(str(folder), "*")
    assert listed is not None
    files = [Input("file", str(folder / name)) for name in ("service.toml", "main.go")]
    watched = {**dict.fromkeys(files, "file"), listing: listed.value, link: ""}
    watched[Input("file", str(other))] = ""
    folder.rename(tmp_path / "aside")
    other.write_text("")
    now = seen_now(watched)
    moment = time.time_ns() + 10**9
    assert changed_since(watched, moment) != []
    assert changed_since(now, moment) == []
    assert folders(now, str(tmp_path)) == {str(tmp_path)}
    assert concerned([(True, str(folder))], now) == [str(folder)]
    (tmp_path / "aside").rename(folder)
    assert changed_since(now, moment) == sorted({str(folder), *(item.path for item in files)})
