"""What changes while a compiler is at work, and is none of the sources that it is known to read."""

import subprocess
import sys
from pathlib import Path

import pytest

from .workspaces import DODO, LOADER, SERVICE, Ran, Site, site_of

RUN = """
import os
import subprocess
import sys
import time

builds = 0


class Watched(subprocess.Popen):
    def __init__(self, argv, *args, **more):
        global builds
        is_build = argv[0].endswith("/go") and argv[1] == "build"
        builds += is_build
        if is_build and builds == 1:
            before()
        super().__init__(argv, *args, **more)
        if is_build and builds == 1:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            after()
"""
MAIN = """
subprocess.Popen = Watched
from doit.doit_cmd import DoitMain
code = DoitMain().run(["-n", "2"])  # with several workers no compiler starts ahead of the rest
print(builds)
sys.exit(code)
"""
MOD = "module example.com/shop\n\ngo 1.21\n\ngodebug default=go1.21\n"
FILES = {
    "go.mod": MOD,
    "services/api/main.go": (
        'package main\n\nimport "embed"\n\n//go:embed data\nvar data embed.FS\n\n'
        'func main() {\n\tnames, _ := data.ReadDir("data")\n\tprintln(len(names), "one")\n}\n'
    ),
    "services/api/data/a.txt": "a\n",
    "services/api/service.toml": SERVICE,
    "dodo.py": DODO,
    "pyproject.toml": LOADER,
    "scratch.toml": '[image]\nessentials = ["tmp"]\n',
}
MAIN_GO = "services/api/main.go"

CHANGES = {
    "a new source": ("services/api/new.go", "package main\n\nfunc init() { println(1) }\n"),
    "a new file to embed": ("services/api/data/b.txt", "b\n"),
    "go.mod": ("go.mod", MOD.replace("default=go1.21", "default=go1.22")),
    "go.work": ("go.work", "go 1.21\n\ngodebug default=go1.22\n\nuse .\n"),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = site_of(tmp_path / "ws", FILES)
    site.doit()
    site.write({MAIN_GO: FILES[MAIN_GO].replace("one", "two")})
    return site


def run(site: Site, before: str, after: str = "pass") -> Ran:
    """Run doit, and the statements *before* and *after* the first `go build`."""
    hooks = f"\ndef before():\n    {before}\n\ndef after():\n    {after}\n"
    return run_by(RUN + hooks + MAIN, site)


def run_by(program: str, site: Site, *words: str) -> Ran:
    """Run the Python *program* in the workspace."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("path", "text"), CHANGES.values(), ids=CHANGES)
def test_what_comes_meanwhile_is_not_kept_as_if_it_had_not(
    site: Site, tmp_path: Path, path: str, text: str
) -> None:
    assert run(site, f"open({path!r}, 'w').write({text!r})").code == 0
    assert site.images() == site.clean_build(tmp_path / "with")
    if path in FILES:
        site.write({path: FILES[path]})
    else:
        (site.root / path).unlink()
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "without")


@pytest.mark.parametrize(("path", "text"), CHANGES.values(), ids=CHANGES)
def test_what_comes_and_goes_meanwhile_is_in_no_image(
    site: Site, tmp_path: Path, path: str, text: str
) -> None:
    restore = f"open({path!r}, 'w').write({FILES.get(path, '')!r})"
    away = restore if path in FILES else f"os.unlink({path!r})"
    ran = run(site, f"time.sleep(0.05); open({path!r}, 'w').write({text!r})", away)
    assert ran.code == 0, str(ran)
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_a_folder_that_goes_and_comes_back_meanwhile_is_in_no_image(
    site: Site, tmp_path: Path
) -> None:
    """All in it is as old as it was."""
    site.write({"other/b.txt": "b\n", "other/c.txt": "c\n"})
    swap = "os.rename('services/api/data', 'aside'); os.rename('other', 'services/api/data')"
    back = "os.rename('services/api/data', 'other'); os.rename('aside', 'services/api/data')"
    ran = run(site, f"time.sleep(0.05); {swap}", back)
    assert ran.code == 0, str(ran)
    assert site.images() == site.clean_build(tmp_path / "clean")


AWAY = """
import os
import subprocess
import sys

import scratchtasks.execute.genrule as genrule

path = sys.argv[1]
tries = 0


class Watched(subprocess.Popen):
    def __init__(self, argv, *args, **more):
        is_list = argv[0].endswith("/go") and argv[1] == "list"
        if is_list:
            go_away()
        super().__init__(argv, *args, **more)
        if is_list:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            come_back()


def go_away():
    global tries
    tries += 1
    if tries == 1:
        os.rename(path, ".scratch/away")


def come_back():
    if tries == 1:
        os.rename(".scratch/away", path)


def match(*args, real=genrule.match):
    go_away()
    try:
        return real(*args)
    finally:
        come_back()


subprocess.Popen = Watched
genrule.match = match
from doit.doit_cmd import DoitMain
code = DoitMain().run([])
print(tries)
sys.exit(code)
"""
WORDS = {
    **FILES,
    "services/api/help.go": 'package main\n\nfunc init() { println("help") }\n',
    "services/api/service.toml": SERVICE
    + '[image]\nfiles = [{ src = "//gen:words", dest = "/w" }]',
    "gen/a.txt": "a\n",
    "gen/b.txt": "b\n",
    "gen/make.sh": 'out=$1; shift; : > own.tmp; cat "$@" > "$out/w"; rm own.tmp\n',
    "dodo.py": (
        "from scratchtasks import Workspace, genrule\n\n"
        'words = genrule(name="words", folder="gen", srcs=["*.txt"], outs=["w"],\n'
        '                cmd=["sh", "make.sh", "{out}", "{srcs}"])\n'
        'task_images = Workspace(services=["services/*"], rules=[words])\n'
    ),
}


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        (
            "services/api/help.go",
            {MAIN_GO: FILES[MAIN_GO].replace('embed"\n', 'embed"\nimport _ "os"\n', 1)},
        ),
        ("services/api/new.go", {"services/api/new.go": "package main\n\nvar new = 1\n"}),
        ("gen/b.txt", {"gen/a.txt": "other\n"}),
    ],
    ids=["a source", "a new source", "a source of a genrule"],
)
def test_what_is_away_while_it_is_looked_for_is_an_input(
    tmp_path: Path, path: str, edit: dict[str, str]
) -> None:
    """It would never be looked at again."""
    site = site_of(tmp_path / "ws", WORDS)
    site.doit()
    site.write(edit)
    ran = run_by(AWAY, site, path)
    assert ran.code == 0, str(ran)
    assert int(ran.out.splitlines()[-1]) > 1
    assert site.images() == site.clean_build(tmp_path / "clean")
    with open(site.root / path, "a", encoding="utf-8") as file:
        file.write("// more\nfunc init() { println(7) }\n")
    site.doit()
    assert site.images() == site.clean_build(tmp_path / "more")


def test_a_command_that_writes_beside_what_it_reads_is_believed(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", WORDS)
    assert site.doit("rule:gen/words").actions == ["//gen:words Genrule"] * 2
    site.write({"gen/a.txt": "other\n"})
    assert site.doit("rule:gen/words").actions == ["//gen:words Genrule"]
