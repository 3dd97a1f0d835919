"""Which files steer a Go module, and which folders a go:embed pattern reaches."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.action import Input
from scratchtasks.execute.golang.embed import embedded_listings
from scratchtasks.execute.golang.place import Place, find_place, outside, steering_files
from scratchtasks.execute.operation import Job, World
from scratchtasks.store.files import FileStates

from ..trees import toggle
from .golang_workspace import WorldAt, go_actions, write

TREE = ["static", "static/css", "static/css/deep"]

EMBEDDED = {
    "static": TREE,
    "all:static": [*TREE, "static/.well-known", "static/_draft"],
    "static/css": ["static/css", "static/css/deep"],
    "static/a.txt": [],
    "*.txt": ["."],
    "static/*": [*TREE, "static/.well-known", "static/_draft"],
    "static/c*s/*.css": ["static", "static/css"],
    "*/css/[a-d]?ep": [".", "static/css", "static/css/deep"],
    r"s[^\]x]atic/css": [".", "static/css", "static/css/deep"],
    "missing/*.txt": [],
}


@pytest.mark.parametrize("pattern", EMBEDDED)
def test_a_pattern_is_seen_through_the_folders_it_reaches(tmp_path: Path, pattern: str) -> None:
    for folder in ("static/css/deep", "static/.well-known", "static/_draft", "other"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path, {"static/a.txt": ""})
    (tmp_path / "static" / "loop").symlink_to(tmp_path)
    found = {
        os.path.relpath(path, tmp_path)
        for path, names in embedded_listings(str(tmp_path), [pattern])
        if names == "*"
    }
    # A glob may reach one folder too many, never one too few.
    assert set(EMBEDDED[pattern]) <= found
    assert found <= {*EMBEDDED[pattern], "static"}


EMBEDDABLE = (
    *("a.txt", "d/a.txt", "d/b.txt", "d/t/a.txt", "e/a.txt", "e/t/a.txt", "e/t/go.mod", "e/go.mod"),
    "e/t/_a.txt",
)
EMBEDS = (
    *("*.txt", "d", "all:e", "*/a.txt", "*/t", "*/t/a.txt", "*/t/*", "e/*/a.txt", "?/[st]/a.txt"),
    *("d/a.txt", "link", "*/t/t", "d/t/a.txt"),
)


@given(
    before=st.sets(st.sampled_from(EMBEDDABLE), min_size=2),
    patterns=st.lists(st.sampled_from(EMBEDS), min_size=1, max_size=2),
)
@settings(max_examples=30)
def test_whatever_go_embeds_anew_shows_in_a_listing(
    before: set[str], patterns: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is added or deleted: if Go's answer is another one, so is that of a listing or of
    a file that was embedded."""
    root = tmp_path_factory.mktemp("embeds")
    main = f'package main\n\nimport "embed"\n\n//go:embed {" ".join(patterns)}\nvar _ embed.FS\n'
    write(root, {"go.mod": "module x\n\ngo 1.21\n", "main.go": main})
    (root / "link").symlink_to("d")
    for name in before:
        toggle(root / name)
    first = _embedded(root)
    if first is None:
        return  # nothing is remembered of a program that Go refuses
    files = FileStates(str(root), str(root / ".db"))
    inputs = {Input("names", *each) for each in embedded_listings(str(root), patterns)}
    inputs |= {Input("file", name) for name in first}
    values = files.observe_all(inputs)
    for name in EMBEDDABLE:
        toggle(root / name)
        if _embedded(root) != first:
            files.forget_scan()
            assert files.observe_all(inputs) != values, name
        toggle(root / name)


def _embedded(root: Path) -> list[str] | None:
    """The files that Go embeds into the program in *root*; None when it refuses to."""
    argv = ["go", "list", "-f", "{{range .EmbedFiles}}{{println .}}{{end}}", "."]
    env = {**os.environ, "GOFLAGS": "", "GOWORK": "off", "PWD": str(root)}
    done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True)
    return None if done.returncode else done.stdout.split()


def _place(world: World, folder: str, package: str = ".") -> Place:
    return find_place(Job(go_actions(folder, package)[0]), world)


def _steering(world: World, place: Place) -> list[str]:
    return sorted(os.path.relpath(path, world.root) for path in steering_files(place, world))


def test_a_module_is_steered_by_its_own_files_and_those_it_names(
    tmp_path: Path, world_at: WorldAt
) -> None:
    world = world_at(tmp_path / "ws")
    mod = """module "example.com/x" // use ./no
replace (
\texample.com/a v1.0.0 => ./a // => ./no
\texample.com/b => "../b"
\texample.com/c => example.com/d v1.0.0
)
replace example.com/e => `/abs/e`
exclude example.com/f v1.0.0
"""
    write(world.root, {"svc/go.mod": mod, "svc/cmd/x/main.go": ""})
    place = _place(world, "svc", "./cmd/x")
    assert (place.cwd, place.argument) == (f"{world.root}/svc", "./cmd/x")
    assert (place.work, place.mod) == ("off", "readonly")
    assert _steering(world, place) == sorted(
        [
            "b/go.mod",
            "go.work",
            "svc/a/go.mod",
            "svc/go.mod",
            "svc/go.sum",
            "svc/go.work",
            "svc/vendor/modules.txt",
            os.path.relpath("/abs/e/go.mod", world.root),
        ]
    )


def test_a_go_work_is_steered_by_all_its_modules(tmp_path: Path, world_at: WorldAt) -> None:
    world = world_at(tmp_path / "ws")
    write(
        world.root,
        {
            "go.work": "go 1.21\nuse (\n\t./a\n\tb\n)\nreplace example.com/r => ./r\n",
            "a/go.mod": "module example.com/a\n",
            "b/go.mod": "module example.com/b\nreplace example.com/s => ../s\n",
            "vendor/modules.txt": "",
        },
    )
    place = _place(world, "services/a", "../../a")
    assert (place.cwd, place.argument, place.mod) == (world.root, "./a", "vendor")
    assert _steering(world, place) == [
        "a/go.mod",
        "a/go.sum",
        "a/go.work",
        "a/vendor/modules.txt",
        "b/go.mod",
        "b/go.sum",
        "go.work",
        "go.work.sum",
        "r/go.mod",
        "s/go.mod",
        "vendor/modules.txt",
    ]


def test_the_users_gowork_is_obeyed(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "ws"
    write(root, {"go.work": "use ./a\n", "a/go.mod": "module example.com/a\n"})
    off = world_at(root, {"GOWORK": "off"})
    assert (_place(off, "a").work, _place(off, "a").cwd) == ("off", f"{root}/a")
    assert outside(off) == {"GOWORK": "off", "go.work above": ""}

    other = world_at(root, {"GOWORK": f"{tmp_path}/other.work"})
    place = _place(other, "a")
    assert (place.work, place.cwd) == (f"{tmp_path}/other.work", f"{root}/a")
    assert outside(other) == {"GOWORK": f"{tmp_path}/other.work", "go.work above": ""}
    assert f"{tmp_path}/other.work.sum" in steering_files(place, other)


def test_a_go_work_above_the_workspace_is_key_material(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "repo" / "ws"
    write(root, {"a/go.mod": "module example.com/a\n"})
    assert outside(world_at(root, {})) == {"GOWORK": "", "go.work above": ""}
    write(tmp_path, {"go.work": "use ./repo/ws/a\n"})
    world = world_at(root, {})
    assert outside(world) == {"GOWORK": "", "go.work above": "../.."}
    place = _place(world, "a")
    assert (place.work, place.cwd) == (f"{tmp_path}/go.work", f"{root}/a")
