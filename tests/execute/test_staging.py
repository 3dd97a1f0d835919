"""Files of the workspace as entries of an image: modes, owners, links, inputs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.core.label import Label
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.operation import Job, World
from scratchtasks.execute.staging import Staging, stage

OWNERS = {"root": (0, 0), "app": (1001, 1002)}


def staged(world: World, files: Sequence[Any] = (), dirs: Sequence[Any] = ()) -> Staging:
    defaults = {"mode": None, "owner": ""}
    params = {"files": [{**defaults, **each} for each in files], "dirs": list(dirs)}
    action = Action(label=Label("s", "rootfs"), mnemonic="", op="rootfs", params=params)
    blob = world.store.put_bytes(b"made", "text/plain")
    outputs = {"o": blob, "run": blob}
    made = ActionResult(outputs=outputs, facts={"modes": {"o": 0o644, "run": 0o755}})
    fetched = ActionResult(outputs={"file": blob}, facts={"mode": 0o755, "version": "1"})
    job = Job(action, {"file:0": made, "file:1": fetched})
    return stage(job, OWNERS, world)


def shown(entry: FileEntry) -> str:
    """`kind mode uid:gid path`."""
    return f"{entry.kind} {entry.mode:o} {entry.uid}:{entry.gid} {entry.path}"


@pytest.fixture
def web(world: World) -> Path:
    folder = Path(world.root, "web")
    (folder / "js").mkdir(parents=True)
    (folder / "index.html").write_text("hello")
    (folder / "js" / "app.js").write_text("1")
    (folder / "run").write_text("#!/bin/sh")
    (folder / "run").chmod(0o700)
    (folder / "empty").mkdir()
    (folder / "latest").symlink_to("js")
    return folder


def test_a_folder_with_all_that_is_in_it(web: Path, world: World) -> None:
    found = staged(world, [{"src": "web", "dest": "/srv"}])
    assert [shown(entry) for entry in found.entries] == [
        "dir 755 0:0 srv/empty",
        "file 644 0:0 srv/index.html",
        "dir 755 0:0 srv/js",
        "file 644 0:0 srv/js/app.js",
        "symlink 777 0:0 srv/latest",
        "file 755 0:0 srv/run",
    ]
    assert set(found.inputs) == {
        Input("names", "web", "*"),
        Input("names", "web/empty", "*"),
        Input("names", "web/js", "*"),
        Input("link", "web/latest"),
        *(Input("file", f"web/{name}") for name in ("index.html", "js/app.js", "run")),
        *(Input("mode", f"web/{name}") for name in ("index.html", "js/app.js", "run")),
    }
    (page,) = (entry for entry in found.entries if entry.path == "srv/index.html")
    assert (page.size, page.digest) == (5, world.files.digest("web/index.html"))
    assert page.digest is not None
    with found.opener(world.store)(page.digest) as file:
        assert file.read() == b"hello"
    assert {blob.digest for blob in found.contents} == {
        entry.digest for entry in found.entries if entry.kind == "file"
    }


def test_a_mode_is_for_files_and_makes_their_own_no_input(web: Path, world: World) -> None:
    found = staged(world, [{"src": "web", "dest": "/srv", "mode": 0o600, "owner": "app"}])
    assert {shown(entry).rpartition(" ")[0] for entry in found.entries} == {
        "dir 755 1001:1002",
        "file 600 1001:1002",
        "symlink 777 1001:1002",
    }
    assert {item.kind for item in found.inputs} == {"names", "file", "link"}


@pytest.mark.parametrize(
    ("src", "link", "leads_to"),
    [
        ("web/page", "web/page", "elsewhere/page"),
        ("web/there", "web/there", "elsewhere"),
        ("web/there/page", "web/there", "elsewhere"),
        ("web/first/page", "web/first", "elsewhere"),
        ("s/page", "s/page", "elsewhere/page"),
        ("web/broken", "web/broken", "elsewhere/none"),
    ],
)
def test_a_link_out_of_the_workspace_is_refused(
    src: str, link: str, leads_to: str, web: Path, world: World
) -> None:
    """Another machine lacks what it leads to, or has it otherwise."""
    elsewhere = Path(world.root).parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "page").write_text("theirs")
    (web.parent / "s").mkdir()
    for folder in ("web", "s"):
        (web.parent / folder / "page").symlink_to(elsewhere / "page")
    (web / "there").symlink_to("../../elsewhere")
    (web / "first").symlink_to("there")
    (web / "broken").symlink_to(elsewhere / "none")
    with pytest.raises(StageError) as caught:
        staged(world, [{"src": src, "dest": "/x"}])
    assert str(caught.value) == (
        f"//s:rootfs: cannot stage {src}: {link} is a link out of the workspace, "
        f"to {elsewhere.parent / leads_to}\n    hint: copy what the image needs into the workspace"
    )


def test_links_inside_are_followed_and_a_service_may_be_linked(web: Path, world: World) -> None:
    (web / "page").symlink_to("index.html")
    own = Path(world.root).parent / "own"
    own.mkdir()
    (own / "page").write_text("own")
    (own / "again").symlink_to("page")
    Path(world.root, "s").symlink_to(own)
    sources = ("web/page", "web/latest/app.js", "s/page", "s/again")
    found = staged(world, [{"src": src, "dest": f"/{src}"} for src in sources])
    assert [entry.kind for entry in found.entries] == ["file"] * 4


def test_one_file_and_what_a_symlink_leads_to(web: Path, world: World) -> None:
    (web / "page").symlink_to("index.html")
    found = staged(world, [{"src": "web/page", "dest": "/a", "owner": "7:8"}])
    assert [shown(entry) for entry in found.entries] == ["file 644 7:8 a"]
    assert set(found.inputs) == {Input("file", "web/page"), Input("mode", "web/page")}


def test_what_a_genrule_made(world: World) -> None:
    found = staged(world, [{"dep": "file:0", "output": "o", "dest": "/a", "mode": 0o444}])
    assert [shown(entry) for entry in found.entries] == ["file 444 0:0 a"]
    assert found.inputs == ()
    assert found.entries[0].digest is not None
    assert world.store.read(found.entries[0].digest) == b"made"


@pytest.mark.parametrize(
    ("dep", "output", "mode", "staged_as"),
    [
        ("file:0", "run", None, "755"),
        ("file:0", "o", None, "644"),
        ("file:0", "run", 0o600, "600"),
        ("file:1", "file", None, "755"),
    ],
)
def test_what_was_made_keeps_its_executable_bit(
    dep: str, output: str, mode: int | None, staged_as: str, world: World
) -> None:
    found = staged(world, [{"dep": dep, "output": output, "dest": "/a", "mode": mode}])
    assert [shown(entry) for entry in found.entries] == [f"file {staged_as} 0:0 a"]


def test_folders(world: World) -> None:
    found = staged(world, dirs=[{"path": "/var/lib/x", "mode": 0o700, "owner": "app"}])
    assert [shown(entry) for entry in found.entries] == ["dir 700 1001:1002 var/lib/x"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"src": "no", "dest": "/a"},
            "cannot stage no: No such file or directory\n"
            "    hint: src is relative to the service's folder, or a label: of a genrule, one in"
            " Workspace(rules=[…])",
        ),
        (
            {"src": "web/fifo", "dest": "/a"},
            "cannot stage web/fifo: wanted a file, folder or symlink",
        ),
        (
            {"src": "web/other", "dest": "/a"},
            "cannot stage web/other/caf\\udce9: wanted a name in UTF-8\n"
            "    hint: rename it: container tools disagree on others",
        ),
        (
            {"src": "web/run", "dest": "/a", "owner": "apq"},
            "/a: unknown owner 'apq' (wanted a user of the image, or uid:gid)\n"
            "    hint: did you mean 'app'?",
        ),
    ],
)
def test_refusals(wanted: dict[str, str], message: str, web: Path, world: World) -> None:
    os.mkfifo(web / "fifo")
    (web / "other").mkdir()
    (web / "other" / "caf\udce9").touch()
    with pytest.raises(StageError) as caught:
        staged(world, [wanted])
    assert str(caught.value) == f"//s:rootfs: {message}"


def test_content_that_changes_between_staging_and_keeping(web: Path, world: World) -> None:
    found = staged(world, [{"src": "web/index.html", "dest": "/a"}])
    assert found.is_handier_in_one
    (web / "index.html").write_text("other")
    digest = found.entries[0].digest
    assert digest is not None
    changed = f"{web}/index.html: it changed while it was read\n    hint: run doit again"
    with found.opener(world.store)(digest) as file, pytest.raises(StageError) as caught:
        list(iter(lambda: file.read(2), b""))
    assert str(caught.value) == changed
    with pytest.raises(StageError) as caught:
        found.keep(world.store)
    assert str(caught.value) == changed


def test_content_that_is_gone_before_it_is_kept(web: Path, world: World) -> None:
    found = staged(world, [{"src": "web/index.html", "dest": "/a"}])
    (web / "index.html").unlink()
    digest = found.entries[0].digest
    assert digest is not None
    with pytest.raises(StageError) as caught:
        found.opener(world.store)(digest)
    assert str(caught.value) == (
        f"{web}/index.html: cannot be read: No such file or directory\n    hint: run doit again"
    )


def test_large_files_are_kept_one_by_one_and_what_is_kept_is_not_read_again(
    web: Path, world: World
) -> None:
    (web / "index.html").write_bytes(b"x" * 300_000)
    found = staged(world, [{"src": "web/index.html", "dest": "/a"}])
    assert not found.is_handier_in_one
    found.keep(world.store)
    (blob,) = found.contents
    assert world.store.read(blob.digest) == b"x" * 300_000
    again = staged(world, [{"src": "web/index.html", "dest": "/a"}])
    assert again.paths == {}


def test_the_form_does_not_depend_on_what_the_store_has(web: Path, world: World) -> None:
    wanted = [{"src": "web/index.html", "dest": "/a"}]
    world.store.put_bytes(b"hello", "")
    found = staged(world, wanted)
    assert found.paths == {}
    assert found.is_handier_in_one
    digest = found.entries[0].digest
    assert digest is not None
    path = Path(world.store.path(digest))
    path.chmod(0o644)
    path.write_bytes(b"hullo")
    with found.opener(world.store)(digest) as file, pytest.raises(StoreError) as caught:
        list(iter(lambda: file.read(9), b""))
    assert str(caught.value) == f"{path}: blob {digest} is damaged\n    hint: run doit again"


def test_what_only_genrules_made_stays_as_it_is(world: World) -> None:
    found = staged(world, [{"dep": "file:0", "output": "o", "dest": "/a", "mode": 0o444}])
    assert not found.is_handier_in_one


def test_a_folder_can_be_too_deep_for_an_image(web: Path, world: World) -> None:
    dest = "/" + "/".join(["d" * 255] * 14)
    with pytest.raises(StageError) as caught:
        staged(world, [{"src": "web", "dest": f"{dest}/{'e' * 250}"}])
    assert str(caught.value) == (
        f"//s:rootfs: wanted a path of at most 3840 bytes, got 3841 in '/{'d' * 29}…'"
    )


@pytest.mark.parametrize(("src", "held"), [(".", ".scratch"), ("dist", "dist"), ("./dist", "dist")])
def test_an_image_cannot_hold_what_builds_write(src: str, held: str, world: World) -> None:
    Path(world.root, "dist/api").mkdir(parents=True)
    Path(world.scratch).mkdir(exist_ok=True)
    with pytest.raises(StageError) as caught:
        staged(world, [{"src": src, "dest": "/srv"}])
    assert str(caught.value) == (
        f"//s:rootfs: cannot stage {src}: it holds {held}, which builds write to\n"
        "    hint: stage the folders in it that the image needs"
    )
