"""Generated trees: the same seed gives the same files, and edits are undone."""

from pathlib import Path

import pytest

from benchmarks.generators.go_monorepo import GoMonorepo
from benchmarks.generators.rust_workspace import RustWorkspace
from benchmarks.generators.tree import MARK, grown, mark_of
from benchmarks.process import Wrong, run


def test_the_same_seed_gives_the_same_files_and_another_gives_others() -> None:
    first, again = (dict(GoMonorepo(services=3).files()) for _ in range(2))
    assert first == again
    assert dict(GoMonorepo(services=3, seed=5).files()) != first


def test_a_service_has_a_hundred_files_in_eight_folders() -> None:
    files = [path for path, _ in GoMonorepo(services=2).files() if "svc-0001/" in path]
    assert 99 <= len(files) <= 102
    assert len({path.rpartition("/")[0] for path in files}) == 8


def test_each_service_of_a_large_tree_has_a_user_of_its_own() -> None:
    large, small = (dict(GoMonorepo(services=2, plenty=each).files()) for each in (True, False))
    assert 'user = "svc-0001:2001"' in large["services/svc-0001/service.toml"]
    assert 'user = "app:1001"' in small["services/svc-0001/service.toml"]


def test_each_service_can_be_edited_alone_and_all_by_one_library() -> None:
    marked = [path for path, text in GoMonorepo(services=2).files() if MARK in text]
    assert marked == [
        "lib/shared/shared.go",
        "services/svc-0000/main.go",
        "services/svc-0001/main.go",
    ]
    assert len(mark_of(123)) == len(MARK)


def test_a_crate_is_edited_the_same_way() -> None:
    marked = [path for path, text in RustWorkspace(1).files() if MARK in text]
    assert marked == ["crates/shared/src/lib.rs", "services/rs-00/src/main.rs"]


def test_a_tree_is_written_once_and_brought_back(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree = grown(root, {"size": 1}, [("a/b.txt", f"{MARK}\n"), ("c.txt", "c\n")])
    assert run(["git", "status", "--porcelain"], root).out == ""
    assert tree.files() == 2
    before = (root / "c.txt").stat().st_ino
    with tree.edited("a/b.txt") as edits:
        edits.write(7)
        assert (root / "a/b.txt").read_text() == "edit-000000007\n"
    assert (root / "a/b.txt").read_text() == f"{MARK}\n"
    edits.write(8)  # and the benchmark was killed
    (root / "left.txt").write_text("")
    grown(root, {"size": 1}, [])
    assert (root / "a/b.txt").read_text() == f"{MARK}\n"
    assert not (root / "left.txt").exists()
    assert (root / "c.txt").stat().st_ino == before
    assert grown(root, {"size": 2}, [("c.txt", "d\n")]).files() == 1


def test_a_folder_that_is_no_tree_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    with pytest.raises(Wrong, match=r"is no generated tree, and not empty$"):
        grown(tmp_path, {}, [("c.txt", "c\n")])
    assert (tmp_path / "mine.txt").exists()
