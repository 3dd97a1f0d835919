"""Options that nobody has, of doit's own commands and behind tasks: one line, with the nearest."""

import subprocess
import sys
from pathlib import Path

import pytest

from scratchtasks.plugin.loader import ScratchLoader
from scratchtasks.plugin.mistyped import fault_of, is_doit

from .shop import write

USERS = """
def task_greet():
    name = {"name": "name", "short": "n", "default": ""}
    return {"actions": ["echo %(name)s > greeted"], "params": [name]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    write(root)
    dodo = root / "dodo.py"
    dodo.write_text(dodo.read_text() + USERS)
    return root


def doit(root: Path, *words: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "doit", *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nosuch", "run: option --nosuch not recognized\n    hint: see `doit help run`"),
        (
            "--reprter json image",
            "run: option --reprter not recognized\n    hint: did you mean '--reporter'?",
        ),
        ("-x", "run: option -x not recognized\n    hint: see `doit help run`"),
        ("-n", "run: option -n requires argument"),
        (
            "--locked clean --dryrun",
            "clean: option --dryrun not recognized\n    hint: did you mean '--dry-run'?",
        ),
        ("info --x", "info: option --x not recognized\n    hint: see `doit help info`"),
        (
            "push --dryrun",
            "push: option --dryrun not recognized\n    hint: did you mean '--dry-run'?",
        ),
        (
            "push image:api --jsn=1",
            "image:api: option --jsn not recognized\n    hint: did you mean '--json'?",
        ),
        (
            "image --dry-run",
            "image: option --dry-run not recognized\n    hint: it is an option of `push`",
        ),
        (
            "image -n4",
            "image: option -n not recognized\n    hint: options of `run` go ahead of tasks",
        ),
        (
            "image --process 4",
            "image: option --process not recognized\n    hint: options of `run` go ahead of tasks",
        ),
        (
            "image --offlin",
            "image: option --offlin not recognized\n    hint: did you mean '--offline'?",
        ),
        (
            "list image:api -s",
            "image:api: option -s not recognized\n    hint: options of `list` go ahead of tasks",
        ),
    ],
)
def test_an_option_that_nobody_has(root: Path, words: str, said: str) -> None:
    assert doit(root, *words.split()) == (3, "", f"ERROR: {said}\n")


def test_options_of_a_task_of_the_user_are_left_to_doit(root: Path) -> None:
    assert doit(root, "greet", "-n", "you")[0] == 0
    assert (root / "greeted").read_text() == "you\n"


@pytest.mark.parametrize(
    "words",
    ["", "--help", "--version", "-n 4", "--process=4 image", "-f dodo.py list --all", "why --x"],
)
def test_right_options_and_those_of_plugins(words: str) -> None:
    assert fault_of(words.split(), ScratchLoader()) == ""


@pytest.mark.parametrize(
    ("program", "is_it"),
    [
        ("/usr/bin/doit", True),
        ("scratch", True),
        ("/lib/doit/__main__.py", True),
        ("/lib/pytest/__main__.py", False),
        ("-c", False),
    ],
)
def test_a_program_that_imports_doit_has_options_of_its_own(program: str, is_it: bool) -> None:
    assert is_doit([program, "--x"]) is is_it
