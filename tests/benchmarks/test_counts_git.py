"""A workspace whose flags hold what git says: what a run with nothing to do may cost there."""

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
    site.doit()  # files as young as the clock's tick are read once more
    return site


def commit(root: Path) -> None:
    """A commit of all that is staged, or of nothing."""
    run([*GIT, "commit", "-q", "--allow-empty", "-m", "Test"], root)


def noop(site: Site, argv: list[str]) -> Counts:
    """Count a run that finds the image up to date."""
    finished, counts = count(argv, site.root, site.environment())
    assert finished.out.startswith("1 image up to date")
    return counts


@pytest.mark.parametrize("template", ["{git.sha}", "{git.short}"])
def test_nothing_to_do_starts_no_process_where_flags_hold_the_commit(
    template: str, tmp_path: Path
) -> None:
    site = committed(tmp_path, template)
    assert noop(site, DOIT).commands == ()
    assert noop(site, SCRATCH).commands == ()


def test_whether_files_differ_from_the_commit_is_asked_of_git_alone(tmp_path: Path) -> None:
    """`describe --dirty` looks at every file of the index, as git alone knows how."""
    site = committed(tmp_path, "{git.describe}")
    for argv in (DOIT, SCRATCH):
        [command] = noop(site, argv).commands
        assert command[:2] == ("git", "describe")
