"""A compiler that is started before anything is analysed: what it gives counts only if it is what
a run that had waited would have made, and else nothing of it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .memories import same_size, settle
from .workspaces import SERVICE, TWO_SERVICES, Ran, Site, lone_go, site_of

RUN = """
import subprocess
import sys

ANALYSIS = "scratchtasks.plugin.session"


class Watched(subprocess.Popen):
    def __init__(self, argv, *args, **more):
        if argv[0].endswith("/go"):
            when = "late" if ANALYSIS in sys.modules else "early"
            sys.stderr.write(f"went: {argv[1]} {when}\\n")
        super().__init__(argv, *args, **more)


class Before:
    def __init__(self, module, work):
        self.module, self.work = module, work

    def find_spec(self, name, *_):
        if name == self.module:
            sys.meta_path.remove(self)
            self.work()


def meanwhile():
    pass
"""
MAIN = """
subprocess.Popen = Watched
sys.meta_path.insert(0, Before(ANALYSIS, meanwhile))
program, *words = sys.argv[1:]
if program == "scratch":
    from scratchtasks.plugin.main import run
else:
    from doit.doit_cmd import DoitMain
    run = DoitMain().run
sys.exit(run(words))
"""
"""Tells of each go command, and whether it came before the analysis."""

FILES = {
    **TWO_SERVICES,
    "lib/lib_test.go": "package lib\n",
    "services/job/main.go": lone_go("job"),
    "services/job/service.toml": SERVICE,
    "services/old/main.go": lone_go("old"),
    "services/old/service.toml": SERVICE,
}
API = "services/api/main.go"
EARLY, LATE = "build early", "build late"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Four services, up to date."""
    site = site_of(tmp_path_factory.mktemp("headstart") / "ws", FILES)
    site.doit()
    return site


@pytest.fixture
def site(built: Site) -> Site:
    """The same, with the sources of before, and everything old enough to be believed."""
    for path in built.root.glob("services/*/*.go"):
        if path.relative_to(built.root).as_posix() not in FILES:
            path.unlink()
    built.write(FILES)
    for name in ("go.sum", "services/api/x"):
        (built.root / name).unlink(missing_ok=True)
    settle(built)
    return built


def run(site: Site, *words: str, before: str = "", meanwhile: str = "", **env: str) -> Ran:
    """Run a program, or `doit`, after the code *before*, and *meanwhile* just before the analysis;
    edits are old enough to be believed."""
    time.sleep(0.06)
    body = "".join(f"    {line}\n" for line in meanwhile.splitlines())
    hook = f"def meanwhile():\n    import os, time\n{body}\n" if meanwhile else ""
    done = subprocess.run(
        [sys.executable, "-c", RUN + before + hook + MAIN, *(words or ("doit",))],
        cwd=site.root,
        env=site.environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not list((site.root / ".scratch/tmp").iterdir())
    return Ran(done.returncode, done.stdout, done.stderr)


def went(ran: Ran) -> list[str]:
    """What go commands were started, and when."""
    lines = ran.err.splitlines()
    return [line.removeprefix("went: ") for line in lines if line.startswith("went: ")]


def is_right(site: Site, folder: Path) -> bool:
    """Whether all images are those of a build from nothing."""
    return site.images() == site.clean_build(folder / "clean")


@pytest.mark.parametrize("words", [("doit",), ("doit", "image:api"), ("scratch",)], ids=" ".join)
def test_an_edit_is_compiled_before_the_analysis(
    site: Site, tmp_path: Path, words: tuple[str, ...]
) -> None:
    site.write({API: FILES[API].replace('"none"', f'"{words}"'.replace(" ", ""))})
    ran = run(site, *words)
    assert (ran.code, went(ran)) == (0, [EARLY]), str(ran)
    assert "GoCompile" in ran.out
    assert is_right(site, tmp_path)


def test_an_edit_with_its_time_put_back_is_one(site: Site, tmp_path: Path) -> None:
    site.write({API: FILES[API].replace("none", "four")})
    run(site)
    settle(site)
    same_size(site.root / API, "four", "five")
    ran = run(site)
    assert (ran.code, went(ran)) == (0, [EARLY]), str(ran)
    assert is_right(site, tmp_path)


def test_what_was_built_before_is_not_compiled(site: Site) -> None:
    site.write({API: FILES[API].replace("none", "away")})
    run(site)
    settle(site)
    site.write({API: FILES[API]})
    ran = run(site)
    assert (ran.code, went(ran)) == (0, []), str(ran)


NOT_ALONE: dict[str, dict[str, str]] = {
    "what two programs are made of": {"lib/lib.go": 'package lib\n\nconst Word = "more"\n',
                                      "services/web/main.go": lone_go("more")},
    "an import": {API: FILES[API].replace('"os"\n', '"os"\n\t_ "sort"\n')},
    "a new file": {"services/api/more.go": "package main\n\nfunc init() { println(1) }\n"},
    "flags": {"services/api/service.toml": SERVICE + 'ldflags = ["-X main.version=7"]\n'},
    "flags and a source": {
        "services/api/service.toml": SERVICE + 'ldflags = ["-X main.version=8"]\n',
        API: FILES[API].replace("none", "flag"),
    },
    "go.mod and a source": {
        "go.mod": FILES["go.mod"].replace("1.21", "1.22"),
        API: FILES[API].replace("none", "mods"),
    },
    "dodo.py and a source": {
        "dodo.py": FILES["dodo.py"].replace("[", '["services/a*", '),
        API: FILES[API].replace("none", "dodo"),
    },
    "a file of the image": {"services/web/static/index.html": "<p>again</p>\n"},
}  # fmt: skip


@pytest.mark.parametrize("files", NOT_ALONE.values(), ids=NOT_ALONE)
def test_anything_else_waits_for_the_analysis(
    site: Site, tmp_path: Path, files: dict[str, str]
) -> None:
    (site.root / "services/old/main.go").write_text(lone_go("last"))
    assert run(site).code == 0  # that one was compiled last: nobody looks at others first
    settle(site)
    site.write(files)
    ran = run(site)
    assert ran.code == 0, str(ran)
    assert went(ran).count(LATE) <= 1  # they are built together
    assert EARLY not in went(ran)
    assert is_right(site, tmp_path)


SCANNED = "scan"
TELL_OF_THE_SCAN = """
import scratchtasks.plugin.memory as memory
look = memory.stale_services
def scan(*given):
    sys.stderr.write("went: scan\\n")
    return look(*given)
memory.stale_services = scan
"""


@pytest.fixture
def near(site: Site) -> Site:
    """The same, after an edit of api."""
    site.write({API: FILES[API].replace("none", f"near{time.time_ns()}")})
    assert run(site).code == 0
    settle(site)
    return site


@pytest.mark.parametrize("how", ["in place", "by a new file in its place"])
@pytest.mark.parametrize("words", [("doit",), ("doit", "image:api"), ("scratch",)], ids=" ".join)
def test_what_was_compiled_last_is_looked_at_first(
    near: Site, tmp_path: Path, words: tuple[str, ...], how: str
) -> None:
    path = near.root / API
    text = path.read_text().replace("near", "".join((*words, how)).replace(" ", ""))
    if how == "in place":
        path.write_text(text)
    else:
        (tmp_path / "new").write_text(text)
        os.replace(tmp_path / "new", path)
    ran = run(near, *words, before=TELL_OF_THE_SCAN)
    assert (ran.code, went(ran)) == (0, [EARLY, SCANNED]), str(ran)
    assert is_right(near, tmp_path)


MORE: dict[str, dict[str, str]] = {
    "another program": {"services/web/main.go": lone_go("both")},
    "a file of another image": {"services/web/static/index.html": "<p>both</p>\n"},
}


@pytest.mark.parametrize("files", MORE.values(), ids=MORE)
def test_where_more_was_edited_the_images_are_right(
    near: Site, tmp_path: Path, files: dict[str, str]
) -> None:
    near.write({API: FILES[API].replace("none", f"more{time.time_ns()}"), **files})
    ran = run(near)
    assert (ran.code, went(ran)[0]) == (0, EARLY), str(ran)
    assert is_right(near, tmp_path)


def test_an_edit_that_is_undone_at_once_is_none(near: Site) -> None:
    text, path = (near.root / API).read_text(), near.root / API
    (near.root / API).write_text(text.replace("near", "away"))
    undo = f"{TELL_OF_THE_SCAN}\ndef scan(*given):\n    open({str(path)!r}, 'w').write({text!r})\n"
    undo += "    return look(*given)\nmemory.stale_services = scan\n"
    ran = run(near, before=undo)
    assert (ran.code, went(ran)) == (0, [EARLY]), str(ran)
    assert "4 images up to date" in ran.out


TELL_OF_DOIT = """
sys.meta_path.insert(0, Before("doit", lambda: sys.stderr.write("went: doit\\n")))
"""


@pytest.mark.parametrize("words", [("image:api",), ("load:api",), ("up", "api"), ("binary:api",)])
def test_scratch_begins_before_it_imports_doit(
    near: Site, tmp_path: Path, words: tuple[str, ...]
) -> None:
    nowhere = f"unix://{tmp_path}/socket"
    near.write({API: FILES[API].replace("none", f"word{time.time_ns()}")})
    ran = run(near, "scratch", *words, before=TELL_OF_DOIT, DOCKER_HOST=nowhere)
    assert went(ran) == [EARLY, "doit"], str(ran)
    assert "GoCompile" in ran.out
    assert run(near).code == 0
    assert is_right(near, tmp_path)


@pytest.mark.parametrize("words", [("load:api",), ("up", "api"), ("rootfs:api", "load:web")])
def test_who_loads_does_not_wait_either(near: Site, tmp_path: Path, words: tuple[str, ...]) -> None:
    # Nothing is remembered for that environment.
    nowhere = f"unix://{tmp_path}/socket"
    near.write({API: FILES[API].replace("none", f"load{time.time_ns()}")})
    ran = run(near, "doit", *words, DOCKER_HOST=nowhere)
    assert went(ran) == [EARLY], str(ran)
    assert "GoCompile" in ran.out
    assert run(near).code == 0
    assert is_right(near, tmp_path)


def test_several_workers_wait_for_the_analysis(site: Site) -> None:
    site.write({API: FILES[API].replace("none", "many")})
    ran = run(site, "doit", "-n", "2")
    assert (ran.code, went(ran)) == (0, [LATE]), str(ran)


def test_another_environment_is_as_good(near: Site, tmp_path: Path) -> None:
    """No variable of the user's decides about bytes."""
    near.write({API: FILES[API].replace("none", f"else{time.time_ns()}")})
    ran = run(near, GOAMD64="v3", GOFLAGS="-race")
    assert (ran.code, went(ran)) == (0, [EARLY]), str(ran)
    assert is_right(near, tmp_path)


# It has been compiled by then: what was read is what was there before.
WRONG = {
    "another edit": f"""
time.sleep(1)
open({API!r}, "w").write({FILES[API].replace("none", "anew")!r})
""",
    "another edit in place": f"""
info = os.stat({API!r})
time.sleep(1)
with open({API!r}, "r+") as file:
    text = file.read().replace("once", "late")
    file.seek(0)
    file.write(text)
os.utime({API!r}, ns=(info.st_atime_ns, info.st_mtime_ns))
""",
    "an edit that is undone": f"""
text = open({API!r}).read()
open({API!r}, "w").write("no Go")
time.sleep(0.5)
open({API!r}, "w").write(text)
""",
    "another package": """
time.sleep(1)
open("lib/lib.go", "w").write('package lib\\n\\nconst Word = "edit"\\n')
""",
    "a package that is put in its place": """
time.sleep(1)
os.rename("lib", "gone")
os.mkdir("lib")
for name in ("lib.go", "lib_test.go"):
    os.rename(f"gone/{name}", f"lib/{name}")
os.rmdir("gone")
""",
    "go.mod": """
time.sleep(0.5)
text = open("go.mod").read()
open("go.mod", "w").write(text)
""",
    "a variable": 'os.environ["GOPRIVATE"] = "example.com/*"',
    "flags": """
open("services/api/service.toml", "a").write('ldflags = ["-X main.version=9"]\\n')
""",
}


@pytest.mark.parametrize("meanwhile", WRONG.values(), ids=WRONG)
def test_what_was_compiled_too_early_is_thrown_away(
    site: Site, tmp_path: Path, meanwhile: str
) -> None:
    # Not as it was in any test before: that would be in the cache.
    site.write({API: FILES[API].replace("none", "once") + f"// {time.time_ns()}\n"})
    ran = run(site, meanwhile=meanwhile)
    assert ran.code == 0, str(ran)
    assert went(ran)[0] == EARLY
    assert went(ran)[-1] == LATE
    assert is_right(site, tmp_path)


def test_what_does_not_compile_is_told_once(site: Site) -> None:
    site.write({API: FILES[API].replace("none", '" + 1')})
    ran = run(site)
    assert (ran.code, went(ran)) == (1, [EARLY]), str(ran)
    assert ran.err.count("# example.com") == ran.err.count("unexpected literal") == 1, str(ran)
    assert run(site).code == 1
    site.write({API: FILES[API].replace("none", "good")})
    assert run(site).code == 0


def test_a_fault_that_is_mended_meanwhile_is_no_fault(site: Site, tmp_path: Path) -> None:
    site.write({API: FILES[API].replace("none", '" + 1')})
    mended = FILES[API].replace("none", "mend")
    ran = run(site, meanwhile=f"time.sleep(0.5)\nopen({API!r}, 'w').write({mended!r})")
    assert (ran.code, went(ran)) == (0, [EARLY, LATE]), str(ran)
    assert is_right(site, tmp_path)


@pytest.mark.parametrize("program", ["doit", "scratch"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_ends_it(site: Site, number: int, program: str) -> None:
    site.write({API: FILES[API].replace("none", f"{program}{number}")})
    ran = run(site, program, meanwhile=f"os.kill(os.getpid(), {number})\ntime.sleep(9)")
    assert (ran.code, went(ran)) == (128 + number, [EARLY]), str(ran)
    assert not goes_in(site.root)
    assert run(site).code == 0


def test_a_run_that_waits_for_another_does_not_begin(site: Site, tmp_path: Path) -> None:
    """It has looked at all, and the other one has changed that."""
    site.write({API: FILES[API].replace("none", "lock")})
    hold = (
        "import fcntl, os, sys, time\n"
        "def hold():\n"
        "    ready, told = os.pipe()\n"
        "    if os.fork():\n"
        "        os.read(ready, 1)\n"
        "        return\n"
        "    fd = os.open('.scratch/lock', os.O_RDWR)\n"
        "    fcntl.flock(fd, fcntl.LOCK_EX)\n"
        "    os.write(told, b'.')\n"
        "    time.sleep(1)\n"
        f"    open({API!r}, 'w').write({FILES[API].replace('none', 'lost')!r})\n"
        "    os._exit(0)\n"
        "sys.meta_path.insert(0, Before('scratchtasks.plugin.headstart', hold))\n"
    )
    told = run(site, before=hold)
    assert (told.code, went(told)) == (0, [LATE]), str(told)
    assert "waiting for it" in told.err
    assert is_right(site, tmp_path)


def test_where_it_cannot_be_begun_it_is_begun_later(site: Site) -> None:
    """No thread is to be had, for a while."""
    site.write({API: FILES[API].replace("none", "slow")})
    early = (
        "import threading\n"
        "real = threading.Thread.start\n"
        "def start(self):\n"
        "    if ANALYSIS not in sys.modules and self.name == 'process':\n"
        "        raise RuntimeError('no thread')\n"
        "    real(self)\n"
        "threading.Thread.start = start\n"
    )
    told = run(site, before=early)
    assert (told.code, went(told)) == (0, [LATE]), str(told)


def goes_in(root: Path) -> list[str]:
    """The go commands that run in the workspace *root*."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(root):
                found.append(pid)
        except OSError:
            continue
    return found
