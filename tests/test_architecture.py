"""The house rules that are easy to break without noticing: who imports whom, and how much."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scratchtasks"
TESTS = ROOT / "tests"

ROOMS = {
    "core": set[str](),
    "config": {"core"},
    "declare": {"core", "config"},
    "rules": {"core"},
    "analysis": {"core", "rules"},
    "oci": {"core"},
    "store": {"core"},
    "registry": {"core", "oci", "store"},
    "execute": {"core", "oci", "store", "registry"},
    "sinks": {"core", "oci", "store", "registry"},
    "manifests": {"core"},
    "refresh": {"core", "config", "store"},
}
"""Each room and the rooms it may import; `plugin`, and the front door, may import all."""

ALL = {"plugin", "__init__"}

LAZY = {
    "backports",
    "certifi",
    "cryptography",
    "deflate",
    "docker",
    "elftools",
    "packaging",
    "pip",
    "requests",
    "tomli",
    "urllib3",
    "watchfiles",
    "yaml",
}
"""Imported inside the functions that use them: the command line starts dozens of times a day."""

PACKAGE_FILES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted(TESTS.rglob("*.py"))
BENCHMARK_FILES = sorted((ROOT / "benchmarks").rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Import:
    """One import of *target*, a dotted module; *is_lazy* inside a function or TYPE_CHECKING."""

    path: Path
    line: int
    target: str
    is_lazy: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.target}"


def module_of(path: Path) -> str:
    """The dotted name of the module in *path*."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room of one of our modules."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """Every import in *path*, resolved to a module (or to a name in one)."""
    tree = ast.parse(path.read_text())
    return tuple(_imports(tree, path, is_lazy=False))


def _imports(node: ast.AST, path: Path, *, is_lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(path, child.lineno, name.name, is_lazy)
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, path)
            for name in child.names:
                yield Import(path, child.lineno, f"{base}.{name.name}", is_lazy)
        else:
            is_inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            yield from _imports(child, path, is_lazy=is_lazy or is_inside)


def _base(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def ours() -> dict[str, Path]:
    """Our modules by dotted name."""
    return {module_of(path): path for path in PACKAGE_FILES}


def inner_edges() -> dict[str, dict[str, Import]]:
    """For each of our modules, the ones it imports, and where."""
    modules = ours()
    edges: dict[str, dict[str, Import]] = {module: {} for module in modules}
    for module, path in modules.items():
        for each in imports_of(path):
            target = each.target if each.target in modules else each.target.rpartition(".")[0]
            if target in modules and target != module:
                edges[module].setdefault(target, each)
    return edges


def chain_to(room: str, forbidden: str) -> str:
    """How a module of *room* comes to one of the room *forbidden*: `a → b → c`, or ""."""
    edges = inner_edges()
    paths = [[module] for module in edges if room_of(module) == room]
    seen = {path[0] for path in paths}
    for path in paths:  # grows while it is walked
        for target in edges[path[-1]]:
            if room_of(target) == forbidden:
                return " → ".join([*path, target])
            if target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return ""


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(module) for module in ours()}
    assert rooms == {*ROOMS, *ALL}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_of_its_row(room: str) -> None:
    allowed = {*ROOMS[room], room}
    strangers = [
        str(each)
        for module, targets in inner_edges().items()
        if room_of(module) == room
        for target, each in targets.items()
        if room_of(target) not in allowed
    ]
    assert strangers == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_reaches_another_by_a_detour(room: str) -> None:
    for other in {*ROOMS, *ALL} - ROOMS[room] - {room}:
        assert chain_to(room, other) == ""


def test_the_readme_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| `(\w+)(?:/|\.py)` \|[^|]*\|([^|]*)\|$", (ROOT / "README.md").read_text(), re.M
    )
    table = {
        room: {word.strip() for word in cell.split(",")} - {"nothing of ours"}
        for room, cell in rows
    }
    assert table == {**ROOMS, "plugin": {"all"}}


def outer(path: Path) -> Iterator[tuple[Import, str]]:
    """The imports of *path* from other packages than ours, and those packages."""
    for each in imports_of(path):
        top = each.target.partition(".")[0]
        if top != "scratchtasks":
            yield each, top


def dependencies() -> set[str]:
    """The packages that pyproject.toml says we need, as they are imported."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in lines}
    imported = {"backports-zstd": "backports", "pyelftools": "elftools", "pyyaml": "yaml"}
    return {imported.get(name, name) for name in names}


def test_only_plugin_imports_doit_and_nobody_a_package_we_do_not_depend_on() -> None:
    known = sys.stdlib_module_names | dependencies() | {"compression"}  # new in 3.14
    strangers = [
        str(each)
        for path in PACKAGE_FILES
        for each, top in outer(path)
        if top not in known or (top == "doit" and room_of(module_of(path)) != "plugin")
    ]
    assert strangers == []


def test_core_rules_and_analysis_use_the_standard_library_alone() -> None:
    strangers = [
        str(each)
        for path in PACKAGE_FILES
        if room_of(module_of(path)) in ("core", "rules", "analysis", "store", "declare")
        for each, top in outer(path)
        if top not in sys.stdlib_module_names
    ]
    assert strangers == []


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    eager = [
        str(each)
        for path in PACKAGE_FILES
        for each, top in outer(path)
        if top in LAZY and not each.is_lazy
    ]
    assert eager == []


def test_only_plugin_reads_the_environment() -> None:
    words = {"environ", "environb", "getenv", "getenvb", "expandvars", "expanduser", "putenv"}
    readers = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in PACKAGE_FILES
        if room_of(module_of(path)) != "plugin"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in words
        and isinstance(node.value, ast.Name | ast.Attribute)
        and ast.unparse(node.value) in ("os", "os.path")
    ]  # fmt: skip
    assert readers == []


def test_pure_rooms_touch_neither_disk_nor_processes() -> None:
    world = {"os", "pathlib", "subprocess", "shutil", "tempfile", "socket", "glob", "io"}
    touching = [
        str(each)
        for path in PACKAGE_FILES
        if room_of(module_of(path)) in ("rules", "analysis", "config", "declare", "refresh")
        for each, top in outer(path)
        if top in world
    ]
    assert touching == []


@pytest.mark.parametrize(
    ("files", "limit"), [(PACKAGE_FILES, 400), (TEST_FILES, 600), (BENCHMARK_FILES, 350)]
)
def test_files_stay_small(files: list[Path], limit: int) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > limit
    }
    assert long == {}


def test_no_rooms_or_classes_for_odds_and_ends() -> None:
    odds = re.compile(
        r"utils?|helpers?|common|misc|managers?|context|base|\w+(Manager|Helper|Util)"
    )
    names = [
        *(module for module in ours()),
        *(
            f"{module_of(path)}.{node.name}"
            for path in PACKAGE_FILES
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef)
        ),
    ]
    assert [name for name in names if any(odds.fullmatch(part) for part in name.split("."))] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in [*PACKAGE_FILES, *TEST_FILES, *BENCHMARK_FILES]
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


_NO_OP = """
import os, sys
os.chdir({root!r})
from doit.doit_cmd import DoitMain
code = DoitMain().run([])
print(code, *sorted(name.partition(".")[0] for name in sys.modules), file=sys.stderr)
"""


def test_a_run_with_nothing_to_do_imports_nothing_heavy(tmp_path: Path) -> None:
    files = {
        "dodo.py": "from scratchtasks import Workspace\n"
        'task_images = Workspace(services=["services/*"])\n',
        "pyproject.toml": '[tool.doit]\nloader = "scratch"\n',
        "scratch.toml": '[image]\nessentials = ["accounts", "tmp"]\n',
        "go.mod": "module example.com/shop\n\ngo 1.21\n",
        "services/api/main.go": "package main\n\nfunc main() {}\n",
        "services/api/service.toml": '[binary]\nrule = "go_binary"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    argv = [sys.executable, "-c", _NO_OP.format(root=str(tmp_path))]
    subprocess.run(argv, check=True, capture_output=True)
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "1 image up to date" in done.stdout
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0"
    strangers = {name for name in modules if name not in sys.stdlib_module_names}
    # deflate's version is part of every image's key; mypyc is how tomli was compiled.
    strangers -= {"dodo", "doit", "scratchtasks", "cloudpickle", "tomli", "deflate", "__main__"}
    assert {name for name in strangers if not re.search(r"^_|__mypyc$|^sitecustom", name)} == set()
    assert {"asyncio", "http", "ssl", "socketserver", "xml"} & set(modules) == set()
