"""The Workspace: which services it finds, what it declares, and which faults it collects."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.declare import go_binary, scratch_image
from scratchtasks.plugin.workspace import Workspace

GO = '[binary]\nrule = "go_binary"\n'


def workspace(root: Path, files: Mapping[str, str | bytes], *globs: str) -> Workspace:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Workspace(services=globs, root=str(root))


@pytest.mark.parametrize(
    ("globs", "folders"),
    [
        (("services/*",), ["services/a", "services/b"]),
        (("services/a", "services/*"), ["services/a", "services/b"]),
        (("**",), ["", "deep/er/c", "services/a", "services/b"]),
        (("deep/**",), ["deep/er/c"]),
        ((".",), [""]),
        (("./services/../services/a",), ["services/a"]),
    ],
)
def test_globs(globs: tuple[str, ...], folders: list[str], tmp_path: Path) -> None:
    names = ("services/a", "services/b", "deep/er/c", ".")
    files = {f"{name}/service.toml": f'name = "n{n}"\n{GO}' for n, name in enumerate(names)}
    files["services/none/main.go"] = ""
    found = workspace(tmp_path, files, *globs)
    assert [service.folder for service in found.declared().services] == folders


def test_a_single_glob_may_be_a_string(tmp_path: Path) -> None:
    workspace(tmp_path, {"s/a/service.toml": GO})
    found = Workspace("s/*", root=str(tmp_path)).declared()
    assert [service.name for service in found.services] == ["a"]


def test_the_root_is_where_dodo_py_is(tmp_path: Path) -> None:
    path = str(tmp_path / "dodo.py")
    space = {"__file__": path, "Workspace": Workspace}
    exec("found = Workspace()", space)
    found = space["found"]
    assert isinstance(found, Workspace)
    assert found.root == str(tmp_path)


def test_defaults_of_the_workspace_from_either_file(tmp_path: Path) -> None:
    files = {
        "a/service.toml": GO,
        "pyproject.toml": '[tool.scratchtasks.image]\nuser = "py:7"\n',
    }
    assert workspace(tmp_path, files, "a").declared().services[0].image.user.uid == 7
    files["pyproject.toml"] = '[project]\ndependencies = ["scratchtasks"]\n[tool.doit]\n'
    files["scratch.toml"] = '[image]\nuser = "own:8"\n[cache]\nlimit = "1KiB"\n'
    declared = workspace(tmp_path, files, "a").declared()
    assert declared.services[0].image.user.uid == 8
    assert declared.cache_limit == 1024


@pytest.mark.parametrize("table", ["", 'image.user = "py:7"\n', "cashe = 1\n"])
def test_both_files_at_once_are_an_error(tmp_path: Path, table: str) -> None:
    files = {
        "a/service.toml": GO,
        "pyproject.toml": f"[tool.scratchtasks]\n{table}",
        "scratch.toml": '[cache]\nlimit = "1KiB"\n',
    }
    with pytest.raises(ConfigErrors) as caught:
        workspace(tmp_path, files, "a").declared()
    assert str(caught.value) == (
        "pyproject.toml: tool.scratchtasks: there is a scratch.toml too, and only one of them can"
        " count\n    hint: keep one: put all tables into scratch.toml, say, and take this one out"
    )


def test_pyproject_is_parsed_beside_scratch_toml_only_if_it_must_be(tmp_path: Path) -> None:
    files = {"pyproject.toml": "broken [", "scratch.toml": '[cache]\nlimit = "1KiB"\n'}
    assert workspace(tmp_path, files).declared().cache_limit == 1024  # doit tells of it


def test_every_fault_of_every_file_at_once(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "scratch.toml": "[cashe]\n",
        "scratch.lock": "x = 1\n",
        "b/service.toml": '[binary]\nrule = "go"\n',
        "a/service.toml": b"name = '\xff'\n",
        "c/service.toml": "",
    }
    found = workspace(tmp_path, files, "*")
    with pytest.raises(ConfigErrors) as caught:
        found.declared()
    wheres = [error.where.partition(":")[0] for error in caught.value.errors]
    assert list(dict.fromkeys(wheres)) == [
        "scratch.toml",
        "scratch.lock",
        "a/service.toml",
        "b/service.toml",
        "c/service.toml",
    ]
    (broken,) = (error for error in caught.value.errors if error.where == "a/service.toml")
    assert str(broken) == "a/service.toml: wanted UTF-8, got byte 0xff at 8"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    found = workspace(tmp_path, {"a/service.toml/x": "", "b/x": "", "c/x": ""}, "*")
    os.mkfifo(tmp_path / "b/service.toml")
    (tmp_path / "c/service.toml").symlink_to("nowhere")
    (tmp_path / "scratch.toml").symlink_to("/dev/zero")
    with pytest.raises(ConfigErrors) as caught:
        found.declared()
    assert str(caught.value).splitlines() == [
        "scratch.toml: wanted a file, got a FIFO, socket or device",
        "a/service.toml: wanted a file, got a folder",
        "b/service.toml: wanted a file, got a FIFO, socket or device",
        "c/service.toml: wanted a file, got a link to nothing",
    ]


def test_images_and_rules_of_dodo_py_and_their_faults(tmp_path: Path) -> None:
    good = scratch_image("good", "g", binary=go_binary())
    bad = scratch_image("bad", "b", binary=go_binary(), user="a b")
    assert [s.name for s in Workspace(images=[good], root=str(tmp_path)).declared().services] == [
        "good"
    ]
    with pytest.raises(ConfigErrors) as caught:
        Workspace(images=[bad, good], root=str(tmp_path)).declared()
    assert str(caught.value).startswith("dodo.py: scratch_image('bad'): ")


def test_the_environment_chooses_an_engine_before_the_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = workspace(tmp_path, {"scratch.toml": '[load]\nengine = "podman"\n'})
    assert found.declared().engine == "podman"
    monkeypatch.setenv("SCRATCH_ENGINE", "kind:dev")
    assert found.declared().engine == "kind:dev"
    monkeypatch.setenv("SCRATCH_ENGINE", "kond")
    with pytest.raises(ConfigErrors) as caught:
        found.declared()
    assert str(caught.value) == (
        'SCRATCH_ENGINE: wanted "docker", "podman" or "kind:CLUSTER", got the string "kond"'
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"services": ["/srv/*"]}, "services=…): wanted globs relative to the root, got '/srv/*'"),
        ({"services": "a/../.."}, "services=…): wanted globs relative to the root, got 'a/../..'"),
        ({"services": [1]}, "services=…): wanted globs relative to the root, got 1"),
        ({"after": 1}, "after=…): wanted names of tasks, got 1"),
        ({"rules": ["//:g"]}, "rules=…): wanted what genrule(…) returns, got '//:g'"),
        ({"images": None}, "images=…): wanted what scratch_image(…) returns, got None"),
    ],
)
def test_arguments_of_another_kind(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Workspace(**given)
    assert str(caught.value) == f"dodo.py: Workspace({message}"
