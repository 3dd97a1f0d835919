"""Which edits concern an image: by its exact inputs, not by where they are."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.action import Input
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
    assert folders(watched) == {str(tmp_path), str(tmp_path / "real")}
    assert concerned([(False, str(tmp_path / "real/f"))], watched)


def test_the_inputs_of_an_image_are_its_own_and_not_its_neighbour_s(tmp_path: Path) -> None:
    write(tmp_path)
    it = session(tmp_path)
    for name in (*it.graph.tasks["rootfs:api"].deps, "rootfs:api"):
        it.build(it.graph.tasks[name])
    write_inputs(str(tmp_path / "inputs"), it, ["api"], has_failed=False)
    found = read_inputs(str(tmp_path / "inputs"))
    assert found == inputs_of(it, ["api"])
    files = {os.path.relpath(each.path, tmp_path) for each in found if each.kind == "file"}
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
    assert read_inputs(str(tmp_path / "none")) == {}
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
    assert folders(now) == {str(tmp_path)}
    assert concerned([(True, str(folder))], now) == [str(folder)]
    (tmp_path / "aside").rename(folder)
    assert changed_since(now, moment) == sorted({str(folder), *(item.path for item in files)})
