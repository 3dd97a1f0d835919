"""`scratch`: finds the workspace from any folder, and is doit from there on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratchtasks.plugin.main import find_workspace, from_root, run

_STOCK = (
    '[tool.doit]\nloader = "stock"\n'
    '[tool.doit.plugins.loader]\nstock = "doit.cmd_base:DodoTaskLoader"\n'
)


def _scratch(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from scratchtasks.plugin.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"dodo.py": "from scratchtasks import Workspace\n"},
        {"dodo.py": "import rules\n", "scratch.toml": ""},
        {"dodo.py": "import rules\n", "pyproject.toml": '[tool.doit]\nloader = "scratch"\n'},
        {"dodo.py": "import rules\n", "doit.cfg": "[GLOBAL]\nloader = scratch\n"},
    ],
)
def test_what_makes_a_workspace(tmp_path: Path, files: dict[str, str]) -> None:
    root = _tree(tmp_path / "a b é", files)
    deep = root / "services" / "api"
    deep.mkdir(parents=True)
    assert find_workspace(str(root)) == str(root)
    assert find_workspace(str(deep)) == str(root)
    assert find_workspace(str(tmp_path)) is None


@pytest.mark.parametrize(
    "files",
    [
        {"dodo.py": "def task_x(): ...\n"},
        {"scratch.toml": ""},
        {"dodo.py": "\n", "pyproject.toml": '[tool.scratch]\n[tool.doit]\nloader = "x"\n'},
        {"dodo.py": "\n", "pyproject.toml": "scratch = [broken\n"},
        {"dodo.py": "\n", "pyproject.toml": 'tool = "scratch"\n'},
        {"dodo.py": "\n", "doit.cfg": "scratch without a section\n"},
        {"dodo.py/x": "scratchtasks", "scratch.toml": ""},
    ],
)
def test_other_folders_are_walked_past(tmp_path: Path, files: dict[str, str]) -> None:
    root = _tree(tmp_path, {"dodo.py": "import scratchtasks\n"})
    inner = _tree(tmp_path / "inner", files)
    assert find_workspace(str(inner)) == str(root)


def test_the_nearest_workspace_wins(tmp_path: Path) -> None:
    dodo = {"dodo.py": "import scratchtasks\n"}
    _tree(tmp_path, dodo)
    inner = _tree(tmp_path / "inner", dodo)
    assert find_workspace(str(inner)) == str(inner)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("image:api", "image:api"),
        ("image", "image"),
        (":image", "//services/api:image"),
        ("//services/web:image", "//services/web:image"),
        ("//...", "//..."),
        ("./service.toml", "services/api/service.toml"),
        ("cmd/main.go", "services/api/cmd/main.go"),
        ("cmd/new.go", "cmd/new.go"),
        ("../../dist/api", "dist/api"),
        ("service.toml", "service.toml"),
        ("--backend=x/y", "--backend=x/y"),
        ("-n", "-n"),
        ("a=b", "a=b"),
        ("/etc/hosts", "/etc/hosts"),
        (":", ":"),
    ],
)
def test_arguments_typed_in_a_subfolder(tmp_path: Path, typed: str, meant: str) -> None:
    folder = _tree(tmp_path / "services" / "api", {"service.toml": "", "cmd/main.go": ""})
    assert from_root(typed, str(folder), str(tmp_path)) == meant


def test_a_package_label_at_the_root(tmp_path: Path) -> None:
    assert from_root(":image", str(tmp_path), str(tmp_path)) == "//:image"


_DODO = """\
# scratchtasks
import os
def task_where(): return {"actions": [lambda: print(os.getcwd())], "verbosity": 2}
def task_made(): return {"actions": ["touch %(targets)s"], "targets": ["services/api/made/x"]}
def task_bad(): return {"actions": [lambda: False]}
def task_ill(): return {"actions": [lambda: 1 / 0]}
"""


def test_doit_runs_at_the_root_with_its_exit_codes(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"dodo.py": _DODO, "pyproject.toml": _STOCK})
    deep = root / "services" / "api"
    (deep / "made").mkdir(parents=True)
    assert _scratch(deep, "where") == (0, f".  where\n{root}\n", "")
    (deep / "made" / "x").touch()
    assert _scratch(deep, "made/x")[:2] == (0, ".  made\n")
    assert _scratch(deep, "bad")[0] == 1
    assert _scratch(deep, "ill")[0] == 2
    code, _, err = _scratch(deep, "nosuch")
    assert code == 3
    assert 'Type "scratch list" to see available tasks' in err
    assert not (deep / ".doit.db").exists()


def test_our_loader_is_on_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doit.doit_cmd import DoitMain

    seen = []

    def note(doit: DoitMain, arguments: list[str]) -> int:
        seen.append((doit.BIN_NAME, doit.config["GLOBAL"]["loader"], arguments, os.getcwd()))
        return 2

    monkeypatch.setattr(DoitMain, "run", note)
    _tree(tmp_path, {"dodo.py": "import scratchtasks\n", "a/b": ""})
    monkeypatch.chdir(tmp_path / "a")
    monkeypatch.setenv("PWD", str(tmp_path / "a"))
    assert run([":image", "-n", "2"]) == 2
    assert os.environ["PWD"] == str(tmp_path)
    (tmp_path / "pyproject.toml").write_text(_STOCK)
    assert run([]) == 2
    assert seen == [
        ("scratch", "scratch", ["//a:image", "-n", "2"], str(tmp_path)),
        ("scratch", "stock", [], str(tmp_path)),
    ]


def test_without_a_workspace(tmp_path: Path) -> None:
    assert _scratch(tmp_path, "list") == (
        3,
        "",
        "scratch: no workspace here or above (wanted a dodo.py that imports scratchtasks)\n",
    )
    code, out, err = _scratch(tmp_path, "--version")
    assert (code, out.split()[0], err) == (0, "scratchtasks", "")


def test_a_folder_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["list"]) == 3
    assert capsys.readouterr().err == "scratch: the current folder was removed\n"


def test_a_broken_pyproject_is_one_line(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"dodo.py": "# scratchtasks\n", "pyproject.toml": "a = [\n"})
    assert _scratch(root, "list") == (
        3,
        "",
        f"scratch: {root}/pyproject.toml: Invalid value (at end of document)\n",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[GLOBAL\n", "File contains no section headers. file: 'doit.cfg', line: 1 '[GLOBAL\\n'"),
        ("\udcff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_broken_doit_cfg_is_one_line(text: str, fault: str, tmp_path: Path) -> None:
    root = _tree(tmp_path, {"dodo.py": "# scratchtasks\n", "pyproject.toml": _STOCK})
    (root / "doit.cfg").write_text(text, errors="surrogateescape")
    (root / "scratch.toml").touch()
    assert _scratch(root, "list") == (3, "", f"scratch: {root}/doit.cfg: {fault}\n")


def test_nothing_heavy_is_imported_to_start() -> None:
    code = (
        "import sys; before = set(sys.modules); import scratchtasks.plugin.main;"
        "new = set(sys.modules) - before - {'scratchtasks', 'typing'};"
        "print(sorted(name for name in new if not name.startswith('scratchtasks.plugin')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"doit", "tomllib", "configparser", "importlib.metadata", "sqlite3"}
    assert not heavy & set(eval(done.stdout))
