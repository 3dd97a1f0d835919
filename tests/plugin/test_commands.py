"""doit's commands that are ours: why and cache."""

import subprocess
import sys
from pathlib import Path

import pytest

from .shop import write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def doit(root: Path, *args: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "doit", *args]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("word", ["api", "image:api", "//services/api:image"])
def test_why(word: str, root: Path) -> None:
    code, out, err = doit(root, "why", word)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1].startswith("//services/api:image: //")
    assert lines[-1].endswith(" is to be rebuilt: it was never built here")
    assert "//services/api:binary: it was never built here" in lines
    assert not (root / "dist").exists()


def test_why_of_all_images(root: Path) -> None:
    doit(root)
    code, out, _ = doit(root, "why")
    assert code == 0
    assert [line.partition(": ")[2] for line in out.splitlines()] == ["up to date"] * 8


def test_why_of_nothing_there_is(root: Path) -> None:
    code, out, err = doit(root, "why", "apj")
    assert (code, out) == (3, "")
    assert "unknown task 'apj'; did you mean 'api'?" in err


def test_cache_shows_what_there_is_and_keeps_what_is_used(root: Path) -> None:
    doit(root)
    code, before, _ = doit(root, "cache")
    assert code == 0
    assert before.startswith("results ")
    code, out, err = doit(root, "cache", "--collect", "--limit", "1KiB")
    assert (code, err) == (0, "")
    assert out.startswith("removed 0 blobs")
    write(root, {"gen/a.txt": "b\n"})
    doit(root)
    code, out, err = doit(root, "cache", "--collect", "--limit", "1KiB")
    assert not out.startswith("removed 0 blobs")
    code, out, _ = doit(root)
    assert out.startswith("2 images up to date")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--limit", "much"), "cache: --limit: wanted a size such as \"5GiB\", got 'much'"),
        (("extra",), "cache: takes no arguments, got 'extra'"),
    ],
)
def test_cache_refuses(args: tuple[str, ...], message: str, root: Path) -> None:
    code, out, err = doit(root, "cache", *args)
    assert (code, out) == (3, "")
    assert message in err


@pytest.mark.parametrize("command", ["why", "cache"])
def test_with_doits_own_loader(command: str, root: Path) -> None:
    write(root, {"pyproject.toml": ""})
    code, _, err = doit(root, command)
    assert code == 3
    assert "Traceback" not in err
