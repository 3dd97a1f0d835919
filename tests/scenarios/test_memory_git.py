"""What git says is a part of what images are made of: asked, or watched without asking."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .memories import looks, settle
from .test_named import analyzed
from .workspaces import Site, shop


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """TWO_SERVICES, built."""
    site = shop(tmp_path_factory.mktemp("memory"))
    site.doit()
    return site


def git(folder: Path, *args: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)


def repository(template: Site, folder: Path, value: str) -> Site:
    """A copy in *folder*, at its first commit; api is compiled with the template *value*."""
    site = template.copy_to(folder)
    service = f'[binary]\nrule = "go_binary"\nldflags = ["-X main.version={{{value}}}"]\n'
    site.write({"services/api/service.toml": service, "NOTES": "none", ".gitignore": ".scratch\n"})
    git(site.root, "init", "-b", "main")
    git(site.root, "add", "NOTES")
    git(site.root, "commit", "-m", "first")
    site.doit()
    return site


def test_what_git_says_of_the_tree_is_never_that_of_before(template: Site, tmp_path: Path) -> None:
    site = repository(template, tmp_path / "ws", "git.describe")
    changes: list[Callable[[], object]] = [
        lambda: git(site.root, "commit", "--allow-empty", "-m", "second"),
        lambda: git(site.root, "tag", "-a", "v1", "-m", "v1"),
        lambda: site.write({"NOTES": "of no image"}),
        lambda: git(site.root, "reset", "--hard", "HEAD~"),
    ]
    for change in changes:
        settle(site)
        before = site.images()
        change()
        assert analyzed(site)[1] == 1
        after = site.images()
        assert (after["api"] != before["api"], after["web"] == before["web"]) == (True, True)


def test_what_git_says_counts_for_a_service_that_was_not_asked_about(
    template: Site, tmp_path: Path
) -> None:
    site = repository(template, tmp_path / "ws", "git.describe")
    settle(site)
    before = site.images()
    git(site.root, "commit", "--allow-empty", "-m", "second")
    assert site.doit("image:web").summary == "1 image up to date"
    assert site.doit().summary == "2 images, 1 rebuilt, 1 up to date"
    assert site.images()["api"] != before["api"]


NO_GIT = """
import subprocess
def refuse(*args, **more):
    raise AssertionError(args)
subprocess.Popen = refuse
"""


@pytest.mark.parametrize("value", ["git.sha", "git.short"])
def test_the_commit_is_known_without_git(value: str, template: Site, tmp_path: Path) -> None:
    site = repository(template, tmp_path / "ws", value)
    commit = ("commit", "--allow-empty", "-m")
    moves: dict[str, list[tuple[str, ...]]] = {
        "a commit": [(*commit, "second")],
        "a commit on another branch": [("checkout", "-b", "other"), (*commit, "third")],
        "no branch": [("checkout", "--detach", "main")],
        "a branch that is another's name": [
            ("symbolic-ref", "refs/heads/alias", "refs/heads/other"),
            ("symbolic-ref", "HEAD", "refs/heads/alias"),
        ],
        "a commit on it": [(*commit, "fourth")],
    }
    for move, commands in moves.items():
        settle(site)
        assert not looks(site, before=NO_GIT), move
        git(site.root, "pack-refs", "--all")
        settle(site)
        assert not looks(site, before=NO_GIT), move
        before = site.images()
        for command in commands:
            git(site.root, *command)
        assert analyzed(site)[1] == 1, move
        after = site.images()
        assert after["api"] != before["api"], move
        assert after["web"] == before["web"], move


def test_the_commit_of_a_linked_work_tree_is_known_without_git(
    template: Site, tmp_path: Path
) -> None:
    site = repository(template, tmp_path / "main", "git.sha")
    git(site.root, "add", ".")
    git(site.root, "commit", "-m", "all")
    git(site.root, "worktree", "add", "-b", "linked", str(tmp_path / "linked"))
    linked = Site(tmp_path / "linked", site.env)
    linked.doit()
    settle(linked)
    assert not looks(linked, before=NO_GIT)
    before = linked.images()
    git(linked.root, "commit", "--allow-empty", "-m", "second")
    assert looks(linked)
    assert linked.images()["api"] != before["api"]


@pytest.mark.parametrize("value", ["git.sha", "git.describe"])
def test_a_folder_that_git_passes_over_hides_no_commit(
    value: str, template: Site, tmp_path: Path
) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    site = template.copy_to(tmp_path / "ws")
    service = f'[binary]\nrule = "go_binary"\nldflags = ["-X main.version={{{value}}}"]\n'
    site.write({"services/api/service.toml": service})
    (site.root / ".git").mkdir()
    site.doit()
    settle(site)
    before = site.images()
    git(tmp_path, "commit", "--allow-empty", "-m", "second")
    assert looks(site)
    assert site.images()["api"] != before["api"]


def test_a_work_tree_that_is_new_below_another_is_seen(template: Site, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init")
    git(outer, "commit", "--allow-empty", "-m", "outer")
    site = template.copy_to(outer / "ws")
    service = '[binary]\nrule = "go_binary"\nldflags = ["-X main.version={git.sha}"]\n'
    site.write({"services/api/service.toml": service})
    site.doit()
    settle(site)
    before = site.images()
    git(site.root, "init")
    git(site.root, "commit", "--allow-empty", "-m", "inner")
    assert looks(site)
    assert site.images()["api"] != before["api"]
