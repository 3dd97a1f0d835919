"""doit's own commands, options and words, over our tasks."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from .workspaces import (
    DODO,
    ETC,
    LOADER,
    QUICK,
    TWO_SERVICES,
    Site,
    main_go,
    shop,
    site_of,
)

LIB = 'package lib\n\nconst Word = "{word}"\n'
BINARY = ["//services/api:binary GoCompile"]
IMAGE = [f"{ETC} Stage", *BINARY, "//services/api:image Image", "//services/api:rootfs Rootfs"]


Saying = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def saying(tmp_path_factory: pytest.TempPathFactory) -> Saying:
    """The images of a shop whose library says a word, built from nothing, once for each word."""

    @cache
    def images(word: str) -> dict[str, str]:
        site = shop(tmp_path_factory.mktemp("saying"))
        site.write({"lib/lib.go": LIB.format(word=word)})
        site.doit()
        return site.images()

    return images


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        (["binary:api"], BINARY),
        (["image:api"], IMAGE),
        (["//services/api:binary"], BINARY),
        (["//services/api:image"], IMAGE),
        (["//services/api:rootfs"], [action for action in IMAGE if "image" not in action]),
        (["binary:a*"], BINARY),
        (["layer"], [f"{ETC} Stage"]),
        (["binary"], [*BINARY, "//services/web:binary GoCompile"]),
        (["dist/api/index.json"], IMAGE),
        ([".scratch/stamps/services/api/image.json"], IMAGE),
        (["//services/api:binary", "image:api"], IMAGE),
    ],
)
def test_words_that_select(words: list[str], actions: list[str], tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert site.doit(*words).actions == sorted(actions)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("//services/apj:image", "did you mean '//services/api:image'?"),
        ("image:nope", "image:nope"),
        ("nope", "nope"),
        ("//", "//: there is no such target"),
        ("wathc api", "ERROR: wathc: there is no such task\n    hint: did you mean 'watch'?\n"),
    ],
)
def test_words_that_nothing_answers_to(word: str, message: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    ran = site.run(*word.split())
    assert ran.code == 3
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (site.root / "dist").exists()


def test_an_empty_word_is_one_line(tmp_path: Path) -> None:
    site = shop(tmp_path)
    for words in (("",), ("list", "image:api", "")):
        ran = site.run(*words)
        message = "ERROR: wanted a task, got '': is a variable of a script not set?\n"
        assert (ran.code, ran.out, ran.err) == (3, "", message)


def test_list_is_by_name_with_labels_and_builds_nothing(tmp_path: Path) -> None:
    site = shop(tmp_path)
    listed = site.doit("list", "--all").out
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in listed.splitlines())
    assert [name for name in rows if not name.startswith("load")] == [
        "binary",
        "binary:api",
        "binary:web",
        "fetch",
        "image",
        "image:api",
        "image:web",
        "layer",
        f"layer:{ETC[3:]}",
        "push",
        "rootfs",
        "rootfs:api",
        "rootfs:web",
        "smoke",
    ]
    assert rows["binary:api"] == "//services/api:binary: static binary api"
    assert rows["image"] == "build all images"
    assert not (site.root / "dist").exists()


def test_list_tells_the_state(tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert state_of(site, "image:api") == "R"
    site.doit()
    assert state_of(site, "image:api") == "U"
    site.write({"lib/lib.go": LIB.format(word="x")})
    assert state_of(site, "image:api") == "R"
    assert state_of(site, "image:web") == "U"


def state_of(site: Site, name: str) -> str:
    """The letter that `doit list --status` shows for a task."""
    lines = site.doit("list", "--all", "--status").out.splitlines()
    (letter,) = (line.split()[0] for line in lines if line.split()[1] == name)
    return letter


def test_info_says_why_in_plain_words(tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert "it was never built here" in site.run("info", "binary:api").out
    assert "    - asks the engine each time what it lacks (" in site.run("info", "load:api").out
    site.doit()
    site.write({"lib/lib.go": LIB.format(word="x")})
    told = site.run("info", "binary:api").out
    assert "lib/lib.go changed" in told
    assert " object at 0x" not in told
    site.doit()
    site.doit("forget", "binary:api")
    assert "doit has no record of it" in site.run("info", "binary:api").out


@pytest.mark.parametrize("options", [("-a", "-v", "2"), ("-n", "3"), ("-n", "2", "-P", "process")])
def test_options_of_run(options: tuple[str, ...], tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit("run", *options)
    images = site.images()
    assert site.doit("run", *options).actions == []
    assert site.images() == images
    assert site.doit().summary == "2 images up to date"
    assert site.doit("-a").actions == []  # always asked, but there is nothing to make


def test_another_dodo_file_and_another_folder(tmp_path: Path) -> None:
    site = shop(tmp_path)
    (site.root / "dodo.py").rename(site.root / "builds.py")
    assert site.doit("-f", "builds.py").actions != []
    assert site.doit("-f", "builds.py").summary == "2 images up to date"


@pytest.mark.parametrize("below", ["", "services/api", "services/web/static"])
def test_started_in_a_subfolder(below: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    argv = [sys.executable, "-c", "from scratchtasks.plugin.main import main; main()"]
    done = subprocess.run(
        argv, cwd=site.root / below, env=site.environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    images = site.images()
    ran = site.doit("-k", below=below)
    assert ran.summary == "2 images up to date"
    assert site.images() == images
    assert not list(site.root.glob("services/**/.scratch"))
    assert not list(site.root.glob("services/**/.doit*"))


def test_scratch_takes_a_label_of_the_folder_it_is_started_in(tmp_path: Path) -> None:
    site = shop(tmp_path)
    code = "import sys; from scratchtasks.plugin.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, ":binary"],
        cwd=site.root / "services/api",
        env=site.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().startswith("//services/api:binary  GoCompile")


def test_without_our_loader_results_are_right_and_it_says_so_once(
    saying: Saying, tmp_path: Path
) -> None:
    site = shop(tmp_path)
    (site.root / "pyproject.toml").write_text("")
    ran = site.doit()
    assert ran.err == (
        "scratchtasks: doit's own loader is at work: results are right, but it is slower; put"
        ' `loader = "scratch"` under [tool.doit] in pyproject.toml, or use `scratch` in a'
        " subfolder\n"
    )
    assert site.images() == saying("lib")
    assert site.doit().actions == []
    assert site.doit("//services/api:image").actions == []
    site.write({"lib/lib.go": LIB.format(word="one")})
    assert "//services/api:image Image" in site.doit("image:api").actions
    assert site.images() == saying("one")


USERS = """
import os


def task_notes():
    return {
        "actions": ["cp services/web/main.go notes.txt"],
        "file_dep": ["services/web/main.go"],
        "targets": ["notes.txt"],
        "task_dep": ["image:api"],
    }


def task_sum():
    def count(targets):
        with open(targets[0], "w") as file:
            file.write(str(os.path.getsize("dist/api/index.json")))

    return {"actions": [count], "file_dep": ["dist/api/index.json"], "targets": ["sum.txt"]}
"""


def test_tasks_of_the_users_own_live_beside_ours(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO + USERS})
    ran = site.doit("notes", "sum")
    assert ran.actions == IMAGE
    assert (site.root / "notes.txt").read_text() == TWO_SERVICES["services/web/main.go"]
    size = (site.root / "dist/api/index.json").stat().st_size
    assert (site.root / "sum.txt").read_text() == str(size)
    assert site.doit().actions == [
        "//services/web:binary GoCompile",
        "//services/web:image Image",
        "//services/web:rootfs Rootfs",
    ]
    assert ".  notes" not in site.doit("notes").out
    assert "-- sum" in site.doit("sum").out


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_what_doit_ignores_is_not_made_with_others(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    site = shop(tmp_path)
    site.doit("ignore", "binary:api")
    assert "//services/api:binary GoCompile" not in site.doit(*options).actions
    assert list(site.images()) == ["web"]
    site.doit("forget", "binary:api")
    site.doit(*options)
    assert list(site.images()) == ["api", "web"]


RESULTS = """
from doit.tools import result_dep

def task_tell():
    return {
        "actions": ["echo %(key)s > told.txt"],
        "getargs": {"key": ("image:web", "scratchtasks")},
        "uptodate": [result_dep("image:web")],
    }
"""


def test_a_task_of_the_users_own_runs_when_an_image_is_another(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO + RESULTS})
    assert ".  tell" in site.doit("tell").out
    first = (site.root / "told.txt").read_text()
    assert "-- tell" in site.doit("tell").out
    site.write({"services/web/static/index.html": "<p>another</p>\n"})
    assert ".  tell" in site.doit("tell").out
    assert (site.root / "told.txt").read_text() not in ("", first)


def test_a_task_of_the_users_own_may_run_doit(saying: Saying, tmp_path: Path) -> None:
    nested = (
        f'def task_again():\n    return {{"actions": ["{sys.executable} -m doit image:api"]}}\n'
    )
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": DODO + nested})
    site.doit("again", "image:web")
    assert site.images() == saying("lib")


def test_the_users_configuration_goes_before_ours(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"pyproject.toml": LOADER + 'default_tasks = ["binary:web"]\ndep_file = "x.db"\n'})
    assert site.doit().actions == ["//services/web:binary GoCompile"]
    assert (site.root / "x.db").exists()
    site.write({"dodo.py": DODO + 'DOIT_CONFIG = {"default_tasks": ["binary:api"]}\n'})
    assert site.doit().actions == BINARY


NESTED = """
import sys
from scratchtasks import Workspace, genrule

outer = genrule(
    name="outer", folder="gen", outs=["o"],
    cmd=["sh", "-c", f"cd ..; {sys.executable} -m doit rule:gen/inner >&2; echo x >$0", "{out}/o"],
)
inner = genrule(name="inner", folder="gen", outs=["o"], cmd=["sh", "-c", "echo y >$0", "{out}/o"])
task_images = Workspace(services=["services/*"], rules=[outer, inner])
"""


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("-n", "2", "-P", "process")])
def test_a_genrule_may_run_doit(options: tuple[str, ...], tmp_path: Path) -> None:
    files = {"dodo.py": NESTED, "pyproject.toml": LOADER, "scratch.toml": QUICK, "gen/x": ""}
    site = site_of(tmp_path / "ws", files)
    ran = site.doit(*options, "rule:gen/outer")
    assert "waiting" not in ran.err
    assert site.doit("rule").summary == "2 tasks up to date"


GENERATES = """
def task_generate():
    def write():
        with open("lib/lib.go", "w") as file, open("word.txt") as word:
            file.write(f'package lib\\n\\nconst Word = "{word.read()}"\\n')

    return {"actions": [write]}
"""


DELAYED = "import doit\n\n\n@doit.create_after()" + GENERATES


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
@pytest.mark.parametrize("words", [["generate", "image"], []], ids=["named", "default"])
@pytest.mark.parametrize("theirs", [GENERATES, DELAYED], ids=["at once", "delayed"])
def test_what_a_users_task_writes_is_in_the_images_built_after_it(
    theirs: str, words: list[str], loader: str, saying: Saying, tmp_path: Path
) -> None:
    site = shop(tmp_path)
    default = '\nDOIT_CONFIG = {"default_tasks": ["generate", "image"]}\n'
    site.write({"dodo.py": DODO + theirs + default, "pyproject.toml": loader})
    (site.root / "lib/lib.go").unlink()
    for word in ("one", "two"):
        site.write({"word.txt": word})
        site.doit(*words)
        assert site.images() == saying(word)


def test_what_a_users_task_has_made_stale_is_compiled_by_one_call(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"dodo.py": DODO + GENERATES, "word.txt": "one"})
    site.write({"services/web/main.go": main_go("web")})
    site.doit()
    ran = site.doit("generate", "image")
    assert ran.actions == sorted(
        f"//services/{name}:{what}"
        for name in ("api", "web")
        for what in ("binary GoCompile", "rootfs Rootfs", "image Image")
    )
    times = re.findall(r":binary  GoCompile \(.*\)  (.*)", ran.out)
    assert len(times) == 2
    assert len(set(times)) == 1  # as it is told of all that one call makes


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
def test_a_users_task_that_writes_sources_may_come_before_all_of_ours(
    loader: str, saying: Saying, tmp_path: Path
) -> None:
    site = shop(tmp_path)
    dodo = DODO.replace('["services/*"]', '["services/*"], after=["generate"]') + GENERATES
    site.write({"dodo.py": dodo, "pyproject.toml": loader})
    for word in ("one", "two", "three"):
        site.write({"word.txt": word})
        site.doit("-n", "3", "image:api", "image:web")
        assert site.images() == saying(word)


def test_what_comes_before_all_of_ours_has_to_be_there(tmp_path: Path) -> None:
    site = shop(tmp_path)
    dodo = DODO.replace('["services/*"]', '["services/*"], after="generte"') + GENERATES
    site.write({"dodo.py": dodo})
    for words in ((), ("list",)):
        ran = site.run(*words)
        assert ran.code == 3
        assert ran.err == (
            "ERROR: dodo.py: Workspace(after=…): there is no task of your own 'generte'\n"
            "    hint: did you mean 'generate'?\n"
        )


def test_services_that_are_not_there(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"dodo.py": DODO.replace('"services/*"', '"services/*", "jobs/*"')})
    ran = site.doit()
    assert ran.summary == "2 images, 2 rebuilt"
    assert ran.err == (
        "scratchtasks: no service.toml in jobs/*\n"
        "    hint: each service is a folder with that file; Workspace(services=[…]) in dodo.py has"
        " globs of those folders\n"
    )
    site.write({"dodo.py": DODO.replace('"services/*"', '"services/*", "services/nope"')})
    ran = site.run()
    assert ran.code == 3
    assert ran.err == (
        "ERROR: dodo.py: services: there is no services/nope/service.toml\n"
        "    hint: each service is a folder with that file\n"
    )


def test_what_runs_leave_is_no_source(tmp_path: Path) -> None:
    site = shop(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=site.root, check=True)
    site.doit()
    untracked = subprocess.run(
        ["git", "status", "--porcelain"], cwd=site.root, check=True, capture_output=True, text=True
    )
    assert "?? dist/\n" in untracked.stdout
    assert ".scratch" not in untracked.stdout
    assert list((site.root / ".scratch").glob("clock*")) == []


def test_a_service_that_is_gone_leaves_dist_and_so_does_what_is_cleaned(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    shutil.rmtree(site.root / "services/web")
    site.doit()
    assert sorted(os.listdir(site.root / "dist")) == ["api", "images.json"]
    site.doit("clean")
    assert not (site.root / "dist").exists()
    assert site.doit().summary == "1 image, 1 from cache"
