"""What a run with nothing to do may import: the command line starts dozens of times a day."""

import subprocess
import sys
from pathlib import Path

from tests.scenarios.test_memory import settle
from tests.scenarios.workspaces import QUICK, site_of

OURS = {
    "scratchtasks",
    *(f"scratchtasks.{room}" for room in ("core", "plugin", "store")),
    *(f"scratchtasks.core.{name}" for name in ("digest", "errors", "frozen", "names")),
    *(
        f"scratchtasks.plugin.{name}"
        for name in (
            *("backend", "display", "events", "loader", "memo", "memory", "recall", "reporter"),
            *("selection", "switches", "workspace"),
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


def test_a_run_with_nothing_to_do_imports_this_and_no_more(tmp_path: Path) -> None:
    site = site_of(
        tmp_path / "ws",
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
        [sys.executable, "-c", RUN],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(ran.stdout.splitlines()[-1].split())
    assert {name for name in imported if name.startswith("scratchtasks")} <= OURS
    assert {name.partition(".")[0] for name in imported} - OURS <= OTHERS
