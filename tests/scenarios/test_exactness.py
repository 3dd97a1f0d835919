"""Only what is read counts: nothing is rebuilt for other files, and nothing is missed."""

import os
from pathlib import Path

import pytest

from .workspaces import ETC, LOADER, QUICK, SERVICE, TWO_SERVICES, Site, lone_go, site_of

EMBED = """package main

import (
	"embed"
	"os"
)

//go:embed assets/*.txt
var assets embed.FS

func main() { data, _ := assets.ReadFile("assets/a.txt"); os.Stdout.Write(data) }
"""
FILES = {
    **TWO_SERVICES,
    "services/page/main.go": EMBED,
    "services/page/assets/a.txt": "a\n",
    "services/page/service.toml": SERVICE,
}


WEB_IMAGE = ["//services/web:image Image", "//services/web:rootfs Rootfs"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """FILES, built; tests put back what they change."""
    site = site_of(tmp_path_factory.mktemp("exact") / "ws", FILES)
    site.doit()
    return site


def rebuilt(*names: str) -> list[str]:
    """The actions that rebuild the images *names*, binaries included."""
    return sorted(
        f"//services/{name}:{action}"
        for name in names
        for action in ("binary GoCompile", "image Image", "rootfs Rootfs")
    )


UNREAD = (
    "README.md",
    "services/api/README.md",
    "services/api/main_test.go",
    "services/api/testdata/input.txt",
    "services/api/Dockerfile",
    "services/page/assets/notes.md",
    "services/page/assets/deep/b.txt",
    "services/web/other/main.go",
    "lib/lib_test.go",
    "lib/sub/sub.go",
    "tools/main.go",
    "services/Makefile",
    ".git/HEAD",
    "conftest.py",
)


def test_files_that_nothing_reads_rebuild_nothing(built: Site) -> None:
    for text in ("package other\n", "package another\n"):
        built.write(dict.fromkeys(UNREAD, text))
        assert built.doit().summary == "3 images up to date", built.run("why").out
    for name in UNREAD:
        (built.root / name).unlink()
    assert built.doit().summary == "3 images up to date"


def test_touching_everything_rebuilds_nothing(built: Site) -> None:
    for name in FILES:
        os.utime(built.root / name)
    assert built.doit().summary == "3 images up to date"


@pytest.mark.parametrize(
    ("edit", "users"),
    [
        ({"lib/lib.go": 'package lib\n\nconst Word = "new"\n'}, ["api"]),
        ({"lib/more.go": "package lib\n\nvar More = 1\n"}, ["api"]),
        ({"services/web/main.go": lone_go("new")}, ["web"]),
        ({"services/web/more.go": "package main\n\nvar more = 1\n"}, ["web"]),
        ({"services/page/assets/a.txt": "new\n"}, ["page"]),
        ({"services/page/assets/b.txt": "new\n"}, ["page"]),
        ({"services/page/service.toml": SERVICE + 'tags = ["x"]\n'}, ["page"]),
    ],
)
def test_what_is_read_rebuilds_exactly_its_users(
    edit: dict[str, str], users: list[str], built: Site
) -> None:
    before = built.images()
    built.write(edit)
    ran = built.doit()
    assert ran.actions == rebuilt(*users)
    changed = {name for name, digest in built.images().items() if before[name] != digest}
    assert changed == set(users)
    for name in edit:
        if name in FILES:
            built.write({name: FILES[name]})
        else:
            (built.root / name).unlink()
    assert built.doit().actions == []
    assert built.images() == before


def test_a_staged_file_moves_one_layer_and_compiles_nothing(built: Site) -> None:
    before = built.layers("web")
    built.write({"services/web/static/new.html": "new\n"})
    assert built.doit().actions == WEB_IMAGE
    after = built.layers("web")
    assert {kind for kind in after if after[kind] != before[kind]} == {"files"}
    (built.root / "services/web/static/new.html").unlink()
    assert built.doit().actions == []


def test_the_executable_bit_of_a_staged_file_counts_and_no_other(built: Site) -> None:
    page = built.root / "services/web/static/index.html"
    for mode, actions in ((0o600, []), (0o755, WEB_IMAGE), (0o644, [])):
        page.chmod(mode)
        assert built.doit().actions == actions


def test_the_executable_bit_of_what_a_genrule_copies_counts(tmp_path: Path) -> None:
    files = {
        "dodo.py": """from scratchtasks import Workspace, genrule

copied = genrule(name="copied", srcs=["in"], outs=["in"], cmd=["cp", "{srcs}", "{out}"])
task_images = Workspace(services=["services/*"], rules=[copied])
""",
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK,
        "in": "",
        "services/web/run": "",
        "services/web/service.toml": '[image]\nentrypoint = ["/run"]\nfiles = [\n'
        '    { src = "run", dest = "/run", mode = "0755" }, { src = "//:copied", dest = "/in" },\n'
        "]\n",
    }
    site = site_of(tmp_path / "ws", files)
    site.doit()
    images = site.images()
    (site.root / "in").chmod(0o755)
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "clean")
    assert site.images() != images
    (site.root / "in").chmod(0o600)
    assert site.doit().actions == []
    assert site.images() == images


def test_an_edit_that_gives_the_same_result_stops_there(tmp_path: Path) -> None:
    """Early cut-off: the generator runs again, says the same, and the image is left alone."""
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, **GENERATED})
    site.doit()
    images = site.images()
    site.write({"gen/make.sh": "# a comment\n" + GENERATED["gen/make.sh"]})
    ran = site.doit()
    assert ran.actions == ["//gen:words Genrule"]
    assert ran.summary == "2 images up to date"
    assert site.images() == images
    site.write({"gen/words.txt": "two\n"})
    assert site.doit().actions == ["//gen:words Genrule", *WEB_IMAGE]


COLLECTED = {
    "dodo.py": """from scratchtasks import Workspace, genrule

words = genrule(
    name="words", folder="", srcs=["gen/*/x.txt", "*/deep/y.txt"], outs=["w"],
    cmd=["sh", "-c", 'cat "$@" > "$0/w"', "{out}", "{srcs}"],
)
task_images = Workspace(services=["services/*"], rules=[words])
""",
    "gen/m/x.txt": "m\n",
    "gen/n/other": "",
    "gen/deep/y.txt": "gen\n",
    "lib/other": "",
    "services/page/main.go": EMBED.replace("assets/*.txt", "assets/*/x.txt assets/*/t/y.txt"),
    "services/page/service.toml": '[binary]\nrule = "go_binary"\n\n[image]\n'
    'files = [{ src = "//:words", dest = "/srv/words" }]\n',
    "services/page/assets/m/x.txt": "m\n",
    "services/page/assets/m/t/y.txt": "m\n",
    "services/page/assets/n/other": "",
}


def test_a_file_that_comes_where_a_sign_and_a_name_match_is_noticed(tmp_path: Path) -> None:
    """Each folder was there before, without that file: its listing alone shows no more folders."""
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, **COLLECTED})
    site.doit()
    assert site.doit().summary == "3 images up to date"
    for number, (name, action) in enumerate(
        {
            "gen/n/x.txt": "//:words Genrule",
            "lib/deep/y.txt": "//:words Genrule",
            "services/page/assets/n/x.txt": "//services/page:binary GoCompile",
            "services/page/assets/n/t/y.txt": "//services/page:binary GoCompile",
        }.items()
    ):
        site.write({name: f"{name}\n"})
        assert action in site.doit().actions
        assert site.images() == site.clean_build(tmp_path / str(number))


GENERATED = {
    "dodo.py": """from scratchtasks import Workspace, genrule

words = genrule(
    name="words", folder="gen", srcs=["*"], outs=["w"], cmd=["sh", "make.sh", "{out}/w"]
)
task_images = Workspace(services=["services/*"], rules=[words])
""",
    "gen/make.sh": 'cat words.txt > "$1"\n',
    "gen/words.txt": "one\n",
    "services/web/service.toml": '[binary]\nrule = "go_binary"\n\n[image]\n'
    'files = [{ src = "//gen:words", dest = "/srv/words" }]\n',
}


def test_go_mod_counts_by_what_it_says_for_a_program(built: Site) -> None:
    """A line that reaches no program makes Go look again, and compiles nothing."""
    built.write({"go.mod": FILES["go.mod"] + "\n// a comment\n"})
    ran = built.doit()
    assert {action.split()[1] for action in ran.actions} <= {"GoList"}
    assert ran.summary == "3 images up to date"
    built.write({"go.mod": FILES["go.mod"]})
    assert built.doit().actions == []


def test_why_names_the_file_that_changed(built: Site) -> None:
    built.write({"lib/lib.go": 'package lib\n\nconst Word = "changed"\n'})
    said = built.doit("why", "api").out.splitlines()
    built.write({"lib/lib.go": FILES["lib/lib.go"]})
    assert said == [
        f"{ETC}: up to date",
        "//services/api:binary: lib/lib.go changed",
        *(
            f"//services/api:{name}: //services/api:binary@linux/amd64 is to be rebuilt: "
            "lib/lib.go changed"
            for name in ("rootfs", "image")
        ),
    ]
    assert "//services/api:image: up to date" in built.doit("why", "api").out


def test_why_says_nothing_of_files_that_stand_as_they_did(tmp_path: Path) -> None:
    dodo = """from scratchtasks import Workspace, genrule

task_images = Workspace(rules=[genrule(
    name="all", srcs=["*.sql"], outs=["o"], cmd=["sh", "-c", "cat *.sql > $0/o", "{out}"],
    env={"K": "1"},
)])
"""
    site = site_of(tmp_path / "ws", {"dodo.py": dodo, "pyproject.toml": LOADER, "a.sql": "a"})
    site.doit("rule")
    site.write({"b.sql": "b"})
    site.doit("rule")
    for change, reason in (
        ({"a.sql": "A"}, "a.sql changed"),
        ({"dodo.py": dodo.replace('"1"', '"2"')}, 'params.env.K changed from "1" to "2"'),
    ):
        site.write(change)
        assert site.doit("why", "rule:all").out == f"//:all: {reason}\n"
        site.doit("rule")


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
def test_a_file_that_becomes_a_link_to_itself_is_staged_as_one(loader: str, tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "pyproject.toml": loader})
    site.doit("image")
    page = site.root / "services/web/static/index.html"
    page.unlink()
    page.symlink_to(page.name)
    site.doit("image")
    assert site.images() == site.clean_build(tmp_path / "clean", "image")
