"""The loader: whose configuration counts, which actions a selection means, one call for many."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from doit.cmdparse import DefaultUpdate
from doit.exceptions import InvalidDodoFile
from doit.task import DelayedLoader, Task

from scratchtasks.core.errors import GraphError
from scratchtasks.plugin.loader import ScratchLoader
from scratchtasks.plugin.order import actions_of, load_together, push_together, reached
from scratchtasks.plugin.words import check_words

from .shop import FILES, session, write

PUSHED = '[push]\nrepository = "registry.example.com/web"\n'
API = ["//services/api:binary#list@linux/amd64", "//services/api:binary@linux/amd64"]
WEB = [name.replace("api", "web") for name in API]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "dodo", raising=False)
    return tmp_path


def loader(config: dict[str, Any] | None = None, **options: Any) -> ScratchLoader:
    """Ours, with doit's configuration *config* and *options* of the command line."""
    found = ScratchLoader()
    found.config = config or {}
    values = DefaultUpdate()
    values.add_defaults({"dodoFile": "dodo.py", "cwdPath": None, "seek_file": False})
    values.add_defaults({"backend": "dbm"})
    for name, value in options.items():
        values[name] = value
    found.setup(values)
    return found


@pytest.mark.parametrize(
    ("theirs", "dodo", "name", "value"),
    [
        ({}, "", "par_type", "thread"),
        ({}, "", "dep_file", ".scratch/doit.db"),
        ({}, "", "default_tasks", ["image"]),
        ({"GLOBAL": {"default_tasks": ["binary"]}}, "", "default_tasks", ["binary"]),
        ({"GLOBAL": {"default_tasks": "binary load"}}, "", "default_tasks", ["binary", "load"]),
        ({}, 'DOIT_CONFIG = {"default_tasks": ["x"]}', "default_tasks", ["x"]),
        (
            {"GLOBAL": {"default_tasks": ["binary"]}},
            'DOIT_CONFIG = {"default_tasks": ["x"]}',
            "default_tasks",
            ["x"],
        ),
        ({}, 'DOIT_CONFIG = {"par_type": "process"}', "par_type", "process"),
        ({}, 'DOIT_CONFIG = {"verbosity": 2}', "backend", "scratch"),
    ],
)
def test_whose_configuration_counts(
    theirs: dict[str, Any], dodo: str, name: str, value: object, root: Path
) -> None:
    write(root, {"dodo.py": f"{FILES['dodo.py']}\n{dodo}\n"})
    assert loader(theirs).load_doit_config()[name] == value


@pytest.mark.parametrize("section", ["GLOBAL", "run"])
def test_what_their_files_set_is_not_set_by_us(section: str, root: Path) -> None:
    config = loader({section: {"dep_file": "x.db", "reporter": "json"}}).load_doit_config()
    assert "dep_file" not in config
    assert "reporter" not in config


@pytest.mark.parametrize(
    ("theirs", "dodo"),
    [({"GLOBAL": {"backend": "dbm"}}, ""), ({}, 'DOIT_CONFIG = {"backend": "sqlite3"}')],
)
def test_our_database_is_for_no_other_backend(
    theirs: dict[str, Any], dodo: str, root: Path
) -> None:
    write(root, {"dodo.py": f"{FILES['dodo.py']}\n{dodo}\n"})
    assert "dep_file" not in loader(theirs).load_doit_config()
    assert "dep_file" in loader(theirs, backend="scratch").load_doit_config()


@pytest.mark.parametrize("backend", ["dbm", "json", "sqlite3"])
def test_a_backend_on_the_command_line_goes_before_ours(backend: str, root: Path) -> None:
    assert "dep_file" not in loader(backend=backend).load_doit_config()


def test_a_dodo_file_without_a_workspace_is_doits_own_affair(root: Path) -> None:
    write(root, {"dodo.py": 'def task_x():\n    return {"actions": ["true"]}\n'})
    found = loader()
    assert found.load_doit_config() == {}
    assert [
        task.name for task in found.load_tasks(SimpleNamespace(name="run", execute_tasks=False), [])
    ] == ["x"]


def test_one_workspace_under_two_names(root: Path) -> None:
    write(root, {"dodo.py": f"{FILES['dodo.py']}\nalso = task_images\n"})
    assert loader().workspace is not None


def test_two_workspaces_are_refused(root: Path) -> None:
    write(root, {"dodo.py": f"{FILES['dodo.py']}\nmore = Workspace()\n"})
    with pytest.raises(InvalidDodoFile, match=r"wanted one Workspace, got 2: more, task_images$"):
        loader()


WEB_IMAGE = ["//services/web:rootfs@linux/amd64", "//services/web:image"]

USERS = [
    Task("plain", ["true"]),
    Task("after", ["true"], task_dep=["binary:api"]),
    Task("reads", ["true"], file_dep=["dist/web/index.json"]),
    Task("wild", ["true"], task_dep=["binary:*"]),
    Task("chain", ["true"], task_dep=["after"], targets=["chain.txt"]),
    Task("setup", ["true"], setup=["binary:web"]),
]


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        ([], []),
        (["plain"], []),
        (["unknown"], []),
        (["binary:api"], API),
        (["binary"], [*API, *WEB]),
        (["binary:w*"], WEB),
        (["rule"], ["//gen:words"]),
        (["after"], API),
        (["chain"], API),
        (["chain.txt"], API),
        (["wild"], [*API, *WEB]),
        (["setup"], WEB),
        (["reads"], ["//gen:words", *WEB, *WEB_IMAGE]),
        (["dist/web/index.json"], ["//gen:words", *WEB, *WEB_IMAGE]),
        (["load:a*"], [*API, "//services/api:rootfs@linux/amd64"]),
        (["load:api"], [*API, "//services/api:rootfs@linux/amd64"]),
        (
            ["load"],
            [
                "//gen:words",
                *API,
                *WEB,
                "//services/api:rootfs@linux/amd64",
                "//services/web:rootfs@linux/amd64",
            ],
        ),
    ],
)
def test_the_actions_behind_a_selection(words: list[str], actions: list[str], root: Path) -> None:
    made = session(root)
    found = actions_of(made, reached(made, words, USERS))
    assert sorted(name for name in found if not name.startswith("//:")) == sorted(actions)
    assert len(set(found)) == len(found)


RUN = SimpleNamespace(
    name="run",
    execute_tasks=False,
    doc_usage="[TASK/TARGET...]",
    loader=SimpleNamespace(cmd_names=["list", "watch"]),
)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("image:apy", "did you mean 'image:api'?"),
        ("imgae:api", "did you mean 'image:api'?"),
        ("imgae", "did you mean 'image'?"),
        ("api", "did you mean 'image:api'?"),
        ("services/web/", "did you mean 'image:web'?"),
        ("delpoy", "did you mean 'deploy'?"),
        ("load:wbe", "did you mean 'load:web'?"),
        ("push:api", "api has no [push] table"),
        ("image:", "did you mean 'image'?"),
        ("image:payments-gateway", "`doit list --all` shows all"),
    ],
)
def test_a_word_that_is_nearly_one_of_ours(word: str, hint: str, root: Path) -> None:
    dodo = 'def task_deploy():\n    return {"actions": ["true"]}\n'
    write(root, {"dodo.py": f"{FILES['dodo.py']}\n{dodo}"})
    with pytest.raises(InvalidDodoFile) as caught:
        loader().load_tasks(RUN, [word])
    assert str(caught.value) == f"{word}: there is no such task\n    hint: {hint}"


THEIRS = """
def task_options():
    return {"actions": ["true"], "params": [{"name": "to", "short": "t", "default": ""}]}

def task_theirs():
    yield {"name": "x", "actions": ["true"], "targets": ["theirs.txt"]}
"""


@pytest.mark.parametrize(
    "words",
    [
        ["image:api", "image", "load:web", "binary:w*", "theirs.txt", "theirs:x"],
        ["dist/api/index.json", "nothing-like-it"],
        ["options", "-t", "imgae"],  # the value of an option
    ],
)
def test_words_that_are_left_to_doit(words: list[str], root: Path) -> None:
    write(root, {"dodo.py": f"{FILES['dodo.py']}\n{THEIRS}"})
    assert loader().load_tasks(RUN, words)


def test_the_first_word_may_be_meant_for_a_command(root: Path) -> None:
    with pytest.raises(InvalidDodoFile) as caught:
        loader().load_tasks(RUN, ["wathc", "api"])
    assert str(caught.value) == "wathc: there is no such task\n    hint: did you mean 'watch'?"
    assert loader().load_tasks(RUN, ["image:api", "wathc"])


def test_what_is_loaded_is_built_before(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = session(root)

    def built(*words: str) -> list[str]:
        cmd = SimpleNamespace(sel_tasks=list(words))
        load_together(found, cmd, ())
        assert cmd.sel_tasks[-len(words) :] == list(words)
        before: list[str] = cmd.sel_tasks[: -len(words)]
        return before

    assert built("load") == ["rootfs:api", "rootfs:web"]
    assert built("load:w*", "image:web", "load:api") == ["rootfs:web", "rootfs:api"]
    # A thousand names of services are not compared with a thousand words.
    monkeypatch.delattr("fnmatch.fnmatchcase")
    assert built("load:web", "load:nope", "load:web") == ["rootfs:web"]


def test_what_is_loaded_behind_a_users_task_is_built_behind_it(root: Path) -> None:
    found = session(root)
    theirs = [
        Task("gen", ["true"], targets=["gen.go"]),
        Task("deploy", ["true"], task_dep=["load:web", "load:api"]),
        Task("both", ["true"], task_dep=["gen", "load:web"]),
    ]

    def ordered(*words: str) -> str:
        cmd = SimpleNamespace(sel_tasks=list(words))
        load_together(found, cmd, theirs)
        return " ".join(cmd.sel_tasks)

    assert ordered("load:web", "gen", "load:api", "load:web") == (
        "rootfs:web load:web gen rootfs:api rootfs:web load:api load:web"
    )
    assert ordered("gen.go", "load:api") == "gen.go rootfs:api load:api"
    assert ordered("g*", "load:w*") == "g* rootfs:web load:w*"
    assert ordered("deploy") == "rootfs:web rootfs:api deploy"
    assert ordered("both") == "both"  # it may write what is loaded
    found.after = ("gen",)  # which comes before all of ours
    assert ordered("both") == "rootfs:web both"


def test_a_users_task_between_pushes_comes_before_them(root: Path) -> None:
    write(root, {"services/web/service.toml": FILES["services/web/service.toml"] + PUSHED})
    found = session(root)
    theirs = [Task("gen", ["true"]), Task("deploy", ["true"], task_dep=["push:web"])]

    def ordered(*words: str) -> str:
        cmd = SimpleNamespace(sel_tasks=list(words))
        push_together(found, cmd, theirs)
        return " ".join(cmd.sel_tasks)

    assert ordered("image", "push:web", "g*", "push:api", "gen") == "image g* push:web push:api gen"
    assert ordered("push:api", "gen", "deploy") == "gen push:api deploy"
    assert ordered("push:api", "deploy", "gen", "image") == "push:api deploy gen image"
    assert ordered("gen", "load:web", "gen") == "gen load:web gen"


def test_words_may_be_targets_of_tasks_that_doit_makes_later(root: Path) -> None:
    later = Task("later", ["true"], loader=DelayedLoader(lambda: None))
    check_words(["imgae"], session(root), [later])
    with pytest.raises(GraphError, match="imgae: there is no such task"):
        check_words(["imgae"], session(root), [])


def test_commands_with_words_of_another_kind(root: Path) -> None:
    manifests = SimpleNamespace(name="run", execute_tasks=False, doc_usage="-f PATH...")
    assert loader().load_tasks(manifests, ["imgae"])


def test_a_group_or_wildcard_that_no_service_is_in(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "doit", "push", "smoke", "fetch", "smoke:a*"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "scratchtasks: smoke: no service has a [smoke] table\n"
        "scratchtasks: push: no service has a [push] table\n"
        "scratchtasks: fetch: no service takes anything from another image or from Debian\n"
        "scratchtasks: smoke:a*: no service of that name has a [smoke] table\n"
    )


@pytest.mark.parametrize("word", ["image:worker-*", "smoke:worker-*", "wor*"])
def test_a_wildcard_that_means_nothing(root: Path, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "doit", "image", word], cwd=root, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"ERROR: {word}: no task has such a name\n    hint: `doit list --all` shows all\n"
    )
