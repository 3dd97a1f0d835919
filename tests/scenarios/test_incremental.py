"""The property that carries most weight: any edits, then `doit`, equals a build from nothing."""

from pathlib import Path

import pytest

from .random_edits import Editor
from .workspaces import LOADER, Site, share_pins


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has fetched the pinned wheels, so that no other has to."""
    site = Site(tmp_path_factory.mktemp("fetched"))
    Editor(site.root, 0)
    site.doit()
    return site.root


@pytest.mark.parametrize(
    ("seed", "steps", "pyproject"),
    [(1, 8, LOADER), (2, 8, LOADER), (3, 8, LOADER), (4, 5, "# doit's own loader")],
)
def test_incremental_builds_equal_clean_builds(
    seed: int, steps: int, pyproject: str, tmp_path: Path, fetched: Path
) -> None:
    site = Site(tmp_path / "ws")
    share_pins(fetched, site.root)
    editor = Editor(site.root, seed, pyproject)
    for step in range(steps):
        ran = site.run("--continue")
        assert "Traceback" not in ran.err, "\n".join([*editor.log, str(ran)])
        clean = site.clean_build(tmp_path / f"clean{step}", "--continue")
        told = f"seed {seed}, step {step}:\n" + "\n".join(editor.log) + f"\n\n{ran}"
        built = site.images(is_whole=ran.code == 0)
        assert {name: built.get(name) for name in clean} == clean, told
        if ran.code == 0:
            assert built == clean, told
            if step % 2:
                again = site.run("--continue")
                assert again.summary == f"{len(clean)} images up to date", f"{told}\n\n{again}"
        elif step % 3 == 0:
            editor.mend()
        for _ in range(editor.random.randrange(1, 4)):
            editor.edit()
        if editor.random.randrange(5) == 0:
            editor.disturb()
