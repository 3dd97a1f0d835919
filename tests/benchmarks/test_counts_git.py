"""A workspace whose flags hold what git says: what a run with nothing to do may cost there."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.counting import Counts, count
from benchmarks.process import run
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, Site, lone_go

DOIT = ["-m", "doit"]
SCRATCH = ["-c", "from scratchtasks.plugin.main import main; main()"]
GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com")


def committed(root: Path, template: str) -> Site:
    """A service whose version is *template*, committed, built and at rest."""
    site = Site(root)
    site.write(
        {
            "dodo.py": DODO,
            "pyproject.toml": LOADER,
            "scratch.toml": QUICK,
            "go.mod": GO_MOD,
            ".gitignore": ".scratch/\ndist/\n__pycache__/\n.doit.db*\n",
            "services/api/main.go": lone_go("api"),
            "services/api/service.toml": f'{SERVICE}ldflags = ["-X main.version={template}"]\n',
        }
    )
    run(["git", "init", "-q"], root)
    run(["git", "add", "."], root)
    commit(root)
    site.doit()
    time.sleep(1)  # git writes its index anew while files are as young as that
    for _ in range(2):
        site.doit()  # files as young as the clock's tick are read once more
        time.sleep(0.06)
    return site


def commit(root: Path) -> None:
    """A commit of all that is staged, or of nothing."""
    run([*GIT, "commit", "-q", "--allow-empty", "-m", "Test"], root)


def noop(site: Site, argv: list[str]) -> Counts:
    """Count a run that finds the image up to date."""
    finished, counts = count(argv, site.root, site.environment())
    assert finished.out.startswith("1 image up to date")
    return counts


@pytest.mark.parametrize("template", ["{git.sha}", "{git.short}", "{git.describe}"])
def test_nothing_to_do_starts_no_process_where_flags_hold_what_git_says(
    template: str, tmp_path: Path
) -> None:
    site = committed(tmp_path, template)
    assert noop(site, DOIT).commands == ()
    assert noop(site, SCRATCH).commands == ()


def test_git_is_asked_where_a_file_that_it_tracks_has_moved(tmp_path: Path) -> None:
    site = committed(tmp_path, "{git.describe}")
    os.utime(tmp_path / ".gitignore")
    [command] = noop(site, DOIT).commands
    assert command[:2] == ("git", "describe")
