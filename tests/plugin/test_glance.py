"""`scratch` says that there is nothing to do without doit, and leaves all else to it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.memories import settle
from tests.scenarios.workspaces import QUICK, Ran, Site, site_of

DODO = "from scratchtasks import Workspace\nprint('dodo')\nw = Workspace(services=['*'])\n"
FILES = {
    "dodo.py": DODO,
    "pyproject.toml": '[tool.doit]\nloader = "scratch"\n',
    "scratch.toml": QUICK,
    "web/service.toml": '[image]\nentrypoint = ["/srv/web"]\n'
    'files = [{ src = "web", dest = "/srv/web", mode = "0755" }]\n',
    "web/web": "",
}
RUN = """
import sys
from scratchtasks.plugin.main import run
code = run([])
print("by", "doit" if "doit" in sys.modules else "scratch")
sys.exit(code)
"""
DONE = "1 image up to date"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One image, up to date for a while."""
    site = site_of(tmp_path / "ws", FILES)
    site.env["PWD"] = str(site.root)
    site.doit()
    settle(site)
    return site


def scratch(site: Site, **env: str) -> Ran:
    """Run `scratch` in a folder below; the last line says who did it."""
    told = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=site.root / "web",
        env=site.environment(**{"PWD": str(site.root / "web"), **env}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(told.returncode, told.stdout, told.stderr)


def test_nothing_to_do_is_said_without_doit(site: Site) -> None:
    ran = scratch(site)
    dodo, summary, by = ran.out.splitlines()
    assert (ran.code, dodo, by, ran.err) == (0, "dodo", "by scratch", "")
    assert summary.rpartition(", ")[0] == DONE == site.doit().summary


def test_nobody_reads(site: Site) -> None:
    site.write({"dodo.py": DODO.replace("print('dodo')\n", "")})
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        told = subprocess.run(
            [sys.executable, "-c", "from scratchtasks.plugin.main import main; main()"],
            cwd=site.root,
            env=site.environment(),
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (told.returncode, told.stderr) == (0, b"")


EDITS: dict[str, dict[str, str]] = {
    "an input": {"web/web": "edited"},
    "its declaration": {"web/service.toml": FILES["web/service.toml"] + "env = { A = 'b' }\n"},
    "another service": {"api/service.toml": FILES["web/service.toml"], "api/web": ""},
    "dodo.py": {"dodo.py": DODO.replace("'*'", "'web'")},
}


@pytest.mark.parametrize("edited", EDITS.values(), ids=EDITS)
def test_what_is_to_do_is_done_by_doit(site: Site, edited: dict[str, str]) -> None:
    site.write(edited)
    ran = scratch(site)
    assert ran.code == 0
    assert ran.out.startswith("dodo\n")
    assert ran.out.count("dodo\n") == 1  # what was imported is not again
    assert ran.out.endswith("by doit\n")
    assert site.images() == site.clean_build(site.root.parent / "clean", "image")


LEFT_TO_DOIT: dict[str, dict[str, str]] = {
    "a task": {"dodo.py": f"{DODO}def task_x():\n    return {{'actions': None}}\n"},
    "its configuration": {"dodo.py": f"{DODO}DOIT_CONFIG = {{'verbosity': 2}}\n"},
    "another maker": {
        "dodo.py": f"{DODO}class More:\n    pass\n"
        "more = More()\nmore.create_doit_tasks = lambda: None\n"
    },
    "doit itself": {"dodo.py": f"import doit\n{DODO}"},
    "doit.cfg": {"doit.cfg": "[GLOBAL]\nverbosity = 2\n"},
    "pyproject.toml": {"pyproject.toml": '[tool.doit]\nloader = "scratch"\nverbosity = 2\n'},
    "its command": {"pyproject.toml": FILES["pyproject.toml"] + "[tool.doit.commands.run]\n"},
}


@pytest.mark.parametrize("more", LEFT_TO_DOIT.values(), ids=LEFT_TO_DOIT)
def test_what_may_mean_more_is_left_to_doit(site: Site, more: dict[str, str]) -> None:
    site.write(more)
    site.doit()
    settle(site)
    ran = scratch(site)
    assert (ran.code, ran.out.splitlines()[-1], ran.err) == (0, "by doit", "")
    assert f"\n{DONE}, " in ran.out


def test_another_dodo_file_is_left_to_doit(site: Site) -> None:
    site.write({"more.py": f"{DODO}DOIT_CONFIG = {{'default_tasks': []}}\n"})
    ran = scratch(site, DOIT_FILE="more.py")
    assert (ran.code, ran.out, ran.err) == (0, "dodo\nby doit\n", "")


@pytest.mark.parametrize("variable", ["SCRATCH_LOCKED", "SCRATCH_OFFLINE"])
def test_switches_are_left_to_doit(site: Site, variable: str) -> None:
    assert scratch(site, **{variable: "1"}).out.endswith("by doit\n")
    ran = scratch(site, **{variable: "perhaps"})
    assert ran.code == 3
    assert ran.err.endswith(f"{variable}: wanted 1 or 0, got 'perhaps'\n")


FAULTS: dict[str, tuple[str, str]] = {
    "two": (DODO + "v = Workspace()\n", "dodo.py: wanted one Workspace, got 2: v, w"),
    "broken": (DODO + "1 / 0\n", "ZeroDivisionError: division by zero"),
    "nobody": (DODO.replace("['*']", "['*'], after=['gen']"), "there is no task of your own 'gen'"),
}


@pytest.mark.parametrize(("dodo", "said"), FAULTS.values(), ids=FAULTS)
def test_faults_are_told_by_doit(site: Site, dodo: str, said: str) -> None:
    site.write({"dodo.py": dodo})
    ran = scratch(site)
    assert ran.err.count(said) == 1
    assert (ran.code, ran.err) == (3, site.run().err)


def test_another_run_is_waited_for(site: Site) -> None:
    with held(site.root / ".scratch/lock"):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            cwd=site.root,
            env=site.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        line = process.stderr.readline().decode()
    out, _ = process.communicate(timeout=60)
    assert line.startswith("another doit is at work here")
    assert out.endswith(b"by doit\n")


LOOKING = """
from dodo import w
from pathlib import Path
assert w.memory.ask()
assert w.memory.stale() == set()
Path("web/web").write_text("edited meanwhile")
assert w.memory.ask()
assert w.memory.stale() == set()
assert not w.memory.ask(["web"])
"""


def test_what_was_looked_at_is_not_looked_at_again(site: Site) -> None:
    subprocess.run(
        [sys.executable, "-c", LOOKING], cwd=site.root, env=site.environment(), check=True
    )


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """*lock*, as if a run were at work."""
    with open(lock, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
