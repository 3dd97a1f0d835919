"""What a run with nothing to do may import: the command line starts dozens of times a day."""

import subprocess
import sys
from pathlib import Path

from tests.scenarios.memories import settle
from tests.scenarios.workspaces import QUICK, site_of

OURS = {
    "scratchtasks",
    *(f"scratchtasks.{room}" for room in ("core", "plugin", "store")),
    *(f"scratchtasks.core.{name}" for name in ("digest", "errors", "frozen", "names")),
    *(
        f"scratchtasks.plugin.{name}"
        for name in (
            *("backend", "display", "events", "loader", "memo", "memory", "near", "recall"),
            *(
                "reporter",
                "selection",
                "service_folders",
                "sources",
                "summary",
                "switches",
                "workspace",
            ),
        )
    ),
    *(f"scratchtasks.store.{name}" for name in ("atomic", "notes", "scan", "signature")),
}
"""Our modules; one more is a decision, and costs every run 0.3 to 5 ms."""

OTHERS = {"atexit", "dodo", "gc", "marshal", "tomllib"}
"""What doit has not imported by itself."""

RUN = """
import sys
import doit.doit_cmd
before = {*sys.modules, "__mp_main__"}
doit.doit_cmd.DoitMain().run([])
print(*(name for name in sys.modules if name not in before))
"""


AT_A_GLANCE = """
import re, sys
before = {*sys.modules}
from scratchtasks.plugin.main import run
run([])
print(*(name for name in sys.modules if name not in before))
"""
"""pip's start script imports re."""

HEAVY = {"doit", "dataclasses", "inspect", "pathlib", "pickle", "sqlite3", "subprocess", "tempfile"}


def test_a_run_with_nothing_to_do_imports_this_and_no_more(tmp_path: Path) -> None:
    ours, others = imported_by(RUN, tmp_path)
    assert ours <= OURS
    assert others - OURS <= OTHERS


def test_scratch_finds_nothing_to_do_without_doit(tmp_path: Path) -> None:
    ours, others = imported_by(AT_A_GLANCE, tmp_path)
    by_doit = {
        f"scratchtasks.plugin.{name}" for name in ("backend", "events", "loader", "reporter")
    }
    assert ours <= OURS - by_doit | {"scratchtasks.plugin.glance", "scratchtasks.plugin.main"}
    assert others.isdisjoint(HEAVY)


def imported_by(program: str, folder: Path) -> tuple[set[str], set[str]]:
    """What *program*, a run with nothing to do, imports: of ours, and packages of others."""
    site = site_of(
        folder / "ws",
        {
            "dodo.py": "from scratchtasks import Workspace\nw = Workspace(services=['*'])\n",
            "pyproject.toml": '[tool.doit]\nloader = "scratch"\n',
            "scratch.toml": QUICK,
            "web/service.toml": '[image]\nentrypoint = ["/srv/web"]\n'
            'files = [{ src = "web", dest = "/srv/web", mode = "0755" }]\n',
            "web/web": "",
        },
    )
    site.doit()
    settle(site)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(ran.stdout.splitlines()[-1].split())
    ours = {name for name in imported if name.startswith("scratchtasks")}
    return ours, {name.partition(".")[0] for name in imported - ours}
