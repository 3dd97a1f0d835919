"""Go binaries as they come out: same bytes anywhere, one go command, failures kept apart."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.action import ActionResult
from scratchtasks.core.errors import ActionFailed, ScratchError
from scratchtasks.core.platform import Platform
from scratchtasks.execute.plan import run_probes
from scratchtasks.execute.process import Finished

from .golang_workspace import (
    AMD64,
    Recording,
    Run,
    WorldAt,
    binary_of,
    go,
    go_actions,
    go_sum,
    publish,
    write,
)

MOD = "module example.com/mono\n\ngo 1.21\n"


def _hello(word: str) -> str:
    return f'package main\n\nfunc main() {{ println("{word}") }}\n'


def _build(
    world_at: WorldAt,
    shown: list[bytes],
    root: Path,
    packages: Mapping[str, str],
    *,
    env: Mapping[str, str] | None = None,
    platform: Platform = AMD64,
    tags: Sequence[str] = (),
    ldflags: Sequence[str] = (),
) -> tuple[Run, dict[str, ActionResult | ScratchError]]:
    """One run that builds a binary for each of *packages* (package by service folder)."""
    pairs = {
        folder: go_actions(folder, package, platform=platform, tags=tags, ldflags=ldflags)
        for folder, package in packages.items()
    }
    run = Run(world_at(root, env), [action for pair in pairs.values() for action in pair], shown)
    run_probes(run.engine, [listed.name for listed, _ in pairs.values()])
    results: dict[str, ActionResult | ScratchError] = {}
    ready = []
    for folder, (_, built) in pairs.items():
        error = run.engine.verdict(built.name).error
        if error is None:
            ready.append((folder, built.name))
        else:
            results[folder] = error
    done = run.engine.run([name for _, name in ready]) if ready else {}
    results.update({f: done[name] if name in done else run.engine.build(name) for f, name in ready})
    run.close()
    return run, results


def _bytes(run: Run, result: ActionResult | ScratchError) -> bytes:
    assert isinstance(result, ActionResult), result
    return binary_of(run, result)


def _output(tmp_path: Path, program: bytes) -> str:
    path = tmp_path / "program"
    path.write_bytes(program)
    path.chmod(0o755)
    done = subprocess.run([path], check=True, capture_output=True, text=True)
    path.unlink()
    return done.stdout + done.stderr


def test_the_bytes_are_the_same_from_any_folder_and_in_any_environment(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    files = {
        "go.mod": MOD,
        "services/api/main.go": 'package main\n\nimport _ "embed"\n\n//go:embed "a b.txt"\n'
        'var text string\n\nvar version = "none"\n\nfunc main() { println(text, version) }\n',
        "services/api/a b.txt": "embedded",
        "services/api/evil.go": '//go:build evil\n\npackage main\n\nfunc init() { panic("x") }\n',
    }
    hostile_file = tmp_path / "goenv"
    hostile_file.write_text("GOFLAGS=-tags=evil\nGOAMD64=v3\nGOEXPERIMENT=nosuch\n")
    hostile = {
        **os.environ,
        "GOFLAGS": "-tags=evil",
        "CGO_ENABLED": "1",
        "GOAMD64": "v3",
        "GOOS": "plan9",
        "GOEXPERIMENT": "nosuch",
        "GODEBUG": "panicnil=1",
        "GOROOT": "/nowhere",
        "GOENV": str(hostile_file),
    }
    programs = []
    for folder, env in (("one", None), ("zwei wörk space", hostile)):
        root = tmp_path / folder
        write(root, files)
        run, results = _build(
            world_at, shown, root, {"services/api": "."}, env=env, ldflags=["-X main.version=1.2"]
        )
        programs.append(_bytes(run, results["services/api"]))
    assert programs[0] == programs[1]
    assert _output(tmp_path, programs[0]) == "embedded 1.2\n"
    assert shown == []


def test_a_header_that_is_in_nothing_but_the_build_id_counts(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    """Nobody reads it without cgo, and a build from nothing gives other bytes all the same."""
    files = {"go.mod": MOD, "a/main.go": _hello("a")}
    programs = []
    for number, name in enumerate(("go.sum", "a/x.h", "a/x.h", "a/y.hpp")):
        files[name] = "" if name == "go.sum" else f"// {number}\n"
        built = []
        for root in (tmp_path / "ws", tmp_path / str(number)):
            write(root, files)
            run, results = _build(world_at, shown, root, {"a": "."})
            built.append(_bytes(run, results["a"]))
        assert built[0] == built[1], name
        programs.append(built[0])
    assert len(set(programs)) == 4


def test_swigs_files_count_though_go_names_none_of_them(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    """Without cgo their text is in nothing; that they are there links runtime/cgo."""
    root, copy = tmp_path / "ws", tmp_path / "copy"
    write(root, {"go.mod": MOD, "a/main.go": _hello("a")})
    programs = []
    for text in ("", "%module x\n", "//go:build ignore\n\n%module x\n"):
        if text:
            write(root, {"a/x.swig": text})
        built = []
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".scratch"))
        for place in (root, copy):
            run, results = _build(world_at, shown, place, {"a": "."})
            built.append(_bytes(run, results["a"]))
        shutil.rmtree(copy)
        assert built[0] == built[1]
        programs.append(built[0])
    assert programs[0] == programs[2] != programs[1]


def test_a_folder_may_begin_with_a_dot(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    write(tmp_path, {"go.mod": MOD, ".cmd/a/main.go": _hello("a"), "..b/main.go": _hello("b")})
    run, results = _build(world_at, shown, tmp_path, {".cmd/a": ".", "..b": "."})
    said = [_output(tmp_path, _bytes(run, results[folder])) for folder in (".cmd/a", "..b")]
    assert said == ["a\n", "b\n"]


def test_programs_of_one_module_are_made_by_one_go_command_each_way(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    write(
        root,
        {
            "go.mod": MOD,
            "services/a/main.go": _hello("a"),
            "cmd/b/main.go": _hello("b"),
            "services/c/c.go": _hello("c"),
        },
    )
    packages = {"services/a": ".", "services/b": "../../cmd/b", "services/c": "./"}
    run, results = _build(world_at, shown, root, packages)
    assert [_output(tmp_path, _bytes(run, results[f"services/{x}"])) for x in "abc"] == [
        "a\n",
        "b\n",
        "c\n",
    ]
    assert run.go_commands() == ["version", "list", "build"]

    again, _ = _build(world_at, shown, root, {})
    again.engine.actions = run.engine.actions
    assert again.engine.verdict("//services/b:binary@linux/amd64").fresh
    assert again.processes.calls == []


def test_one_program_may_be_wanted_twice(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": MOD, "cmd/b/main.go": _hello("b"), "a/README": "", "c/README": ""})
    run, results = _build(world_at, shown, root, {"a": "../cmd/b", "c": "../cmd/b"})
    assert [_output(tmp_path, _bytes(run, results[x])) for x in "ac"] == ["b\n", "b\n"]


def test_programs_of_one_name_do_not_overwrite_each_other(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    names = ("a/cmd/server", "b/cmd/server", "b/cmd/server/v2")
    write(root, {"go.mod": MOD, **{f"{name}/main.go": _hello(name) for name in names}})
    run, results = _build(world_at, shown, root, dict.fromkeys(names, "."))
    for name in names:
        assert _output(tmp_path, _bytes(run, results[name])) == f"{name}\n"
    assert run.go_commands() == ["version", "list", "build", "build", "build"]


def test_a_program_that_does_not_compile_leaves_the_others_alone(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    bad = "package main\n\nfunc main() { nope() }\n"
    write(root, {"go.mod": MOD, "good/main.go": _hello("good"), "bad/main.go": bad})
    run, results = _build(world_at, shown, root, {"bad": ".", "good": "."})
    assert _output(tmp_path, _bytes(run, results["good"])) == "good\n"
    assert isinstance(results["bad"], ActionFailed)
    assert str(results["bad"]) == (
        "//bad:binary: go build failed (linux/amd64)\n    hint: see the compiler's message"
    )
    assert shown == [b"# example.com/mono/bad\nbad/main.go:3:15: undefined: nope\n"]
    assert os.listdir(root / ".scratch/tmp") == []


def test_what_fails_while_loading_leaves_the_others_alone(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": MOD, "good/main.go": _hello("good"), "bad/main.go": _hello("bad")})
    actions = [*go_actions("good"), *go_actions("bad")]
    run = Run(world_at(root), actions, shown)
    names = ["//good:binary@linux/amd64", "//bad:binary@linux/amd64"]
    jobs = [job for name in names if (job := run.engine.verdict(name).job)]
    # The file changes after go list has seen it.
    write(root, {"bad/main.go": 'package main\n\nimport "example.com/mono/gone"\n'})
    outcomes = run.engine.operation(actions[1]).run(jobs, run.world)
    assert [type(outcomes[name]).__name__ for name in names] == ["Done", "ActionFailed"]
    assert len(shown) == 1
    assert shown[0].startswith(b"bad/main.go:3:8: ")


def test_a_fault_that_go_list_finds_is_that_programs_alone(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    write(
        root,
        {
            "go.mod": MOD,
            "good/main.go": _hello("good"),
            "bad/main.go": 'package main\n\nimport _ "example.com/mono/gone"\n\nfunc main() {}\n',
            "lib/lib.go": "package lib\n",
            "empty/README": "",
            "cgo/main.go": 'package main\n\nimport "C"\n\nfunc main() {}\n',
        },
    )
    packages = {"good": ".", "bad": ".", "lib": ".", "empty": ".", "cgo": ".", "none": "./cmd"}
    run, results = _build(world_at, shown, root, packages)
    assert _output(tmp_path, _bytes(run, results["good"])) == "good\n"
    assert {folder: str(results[folder]) for folder in ("bad", "lib", "none")} == {
        "bad": "//bad:binary.list: bad/main.go:3:8: cannot find module providing package "
        "example.com/mono/gone: import lookup disabled by -mod=readonly\n"
        "    hint: go mod tidy in the workspace root",
        "lib": "//lib:binary.list: example.com/mono/lib is not a program "
        "(wanted package main, got lib)",
        "none": "//none:binary.list: no such folder: none/cmd\n"
        "    hint: package is relative to the folder of service.toml",
    }
    assert str(results["empty"]).startswith("//empty:binary.list: no Go files in ")
    assert str(results["cgo"]) == (
        f"//cgo:binary.list: build constraints exclude all Go files in {root}/cgo\n"
        '    hint: there is no cgo: files that import "C" do not count, nor those for other'
        " platforms"
    )
    assert run.go_commands().count("list") == 1


def test_a_go_command_that_was_killed_is_not_trusted(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": MOD, "a/main.go": _hello("a")})
    real = Recording.run

    def killed(self: Recording, argv: Sequence[str], **how: Any) -> Finished:
        done = real(self, argv, **how)
        return Finished(-9, done.stdout, done.stderr) if argv[1] == "build" else done

    monkeypatch.setattr(Recording, "run", killed)
    _, results = _build(world_at, shown, root, {"a": "."})
    assert str(results["a"]) == ("go build: was ended by signal 9\n    hint: is memory short?")


def test_without_a_go_mod_the_error_says_what_to_do(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    write(tmp_path / "ws", {"api/main.go": _hello("api")})
    _, results = _build(world_at, shown, tmp_path / "ws", {"api": "."})
    assert str(results["api"]) == (
        "//api:binary.list: no go.mod in api or a folder above it\n"
        "    hint: go mod init example.com/name"
    )


def test_a_proxys_password_is_not_shown(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    proxy = tmp_path / "proxy"
    publish(proxy, "example.com/dep", "v1.0.0", {"dep.go": "package dep\n"})
    files = {
        "go.mod": f"{MOD}\nrequire example.com/dep v1.0.0\n",
        "go.sum": go_sum(proxy, ("example.com/dep", "v1.0.0")),
        "a/main.go": 'package main\n\nimport _ "example.com/dep"\n\nfunc main() {}\n',
    }
    write(tmp_path / "ws", files)
    env = {**os.environ, "GOMODCACHE": str(tmp_path / "none"), "GOSUMDB": "off"}
    env["GOPROXY"] = "https://me:s3c/ret@127.0.0.1:1/x"
    _, results = _build(world_at, shown, tmp_path / "ws", {"a": "."}, env=env)
    said = f"{results['a']} {b' '.join(shown).decode()}"
    assert "127.0.0.1:1/x" in said
    assert "s3c" not in said


def test_a_go_mod_for_a_newer_go(tmp_path: Path, world_at: WorldAt, shown: list[bytes]) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": "module x\n\ngo 1.99.1\n", "a/main.go": _hello("a")})
    _, results = _build(world_at, shown, root, {"a": "."})
    assert str(results["a"]) == (
        "//a:binary.list: go list failed (linux/amd64)\n"
        "    hint: no other Go is fetched here: put Go 1.99.1 or newer on PATH"
    )


def test_a_go_mod_that_go_cannot_read_is_shown_once(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": "modul x\n", "a/main.go": _hello("a"), "b/main.go": _hello("b")})
    _, results = _build(world_at, shown, root, {"a": ".", "b": "."})
    assert str(results["b"]) == (
        "//b:binary.list: go list failed (linux/amd64)\n    hint: see Go's message"
    )
    assert len(shown) == 1
    assert b"go.mod:1: unknown directive: modul" in shown[0]


@pytest.mark.parametrize("machine", ["linux/arm64", "linux/arm/v7"])
def test_other_architectures_are_compiled_across(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes], machine: str
) -> None:
    root = tmp_path / "ws"
    write(root, {"go.mod": MOD, "a/main.go": _hello("a")})
    platform = Platform(*machine.split("/"))
    run, results = _build(world_at, shown, root, {"a": "."}, platform=platform)
    (tmp_path / "a").write_bytes(_bytes(run, results["a"]))
    info = go(tmp_path, "version", "-m", "a", env={})
    wanted = {"linux/arm64": "GOARM64=v8.0", "linux/arm/v7": "GOARM=7"}[machine]
    assert "\tCGO_ENABLED=0\n" in info
    assert f"\t{wanted}\n" in info


def test_tags_choose_files(tmp_path: Path, world_at: WorldAt, shown: list[bytes]) -> None:
    root = tmp_path / "ws"
    files = {
        "go.mod": MOD,
        "a/plain.go": "//go:build !loud\n\n" + _hello("plain"),
        "a/loud.go": "//go:build loud && more\n\n" + _hello("loud"),
    }
    write(root, files)
    run, results = _build(world_at, shown, root, {"a": "."}, tags=["loud", "more"])
    assert _output(tmp_path, _bytes(run, results["a"])) == "loud\n"


def test_vendored_modules_are_used_and_seen(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root, proxy = tmp_path / "ws", tmp_path / "proxy"
    publish(proxy, "example.com/dep", "v1.0.0", {"dep.go": 'package dep\n\nvar Name = "dep"\n'})
    env = {
        "GOPROXY": proxy.as_uri(),
        "GOSUMDB": "off",
        "GOMODCACHE": str(tmp_path / "cache"),
        "GOFLAGS": "-modcacherw",
    }
    write(
        root,
        {
            "go.mod": MOD + "\nrequire example.com/dep v1.0.0\n",
            "go.sum": go_sum(proxy, ("example.com/dep", "v1.0.0")),
            "a/main.go": 'package main\n\nimport "example.com/dep"\n\n'
            "func main() { println(dep.Name) }\n",
        },
    )
    go(root, "mod", "vendor", env=env)
    write(root, {"vendor/example.com/dep/dep.go": 'package dep\n\nvar Name = "vendored"\n'})
    offline = {**os.environ, "GOPROXY": "off", "GOMODCACHE": str(tmp_path / "empty")}
    run, results = _build(world_at, shown, root, {"a": "."}, env=offline)
    assert _output(tmp_path, _bytes(run, results["a"])) == "vendored\n"

    write(root, {"vendor/example.com/dep/dep.go": 'package dep\n\nvar Name = "patched"\n'})
    run, results = _build(world_at, shown, root, {"a": "."}, env=offline)
    assert _output(tmp_path, _bytes(run, results["a"])) == "patched\n"


def test_modules_of_a_go_work_are_made_together(
    tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    root = tmp_path / "ws"
    main = 'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Name, "%s") }\n'
    write(
        root,
        {
            "go.work": 'go 1.21\n\nuse ./a // first\nuse (\n\t"./b"\n\t./lib\n)\n',
            "a/go.mod": "module example.com/a\n\ngo 1.21\n",
            "a/main.go": main % "a",
            "b/go.mod": "module example.com/b\n\ngo 1.21\n",
            "b/cmd/b/main.go": main % "b",
            "lib/go.mod": "module example.com/lib\n\ngo 1.21\n",
            "lib/lib.go": 'package lib\n\nvar Name = "lib"\n',
        },
    )
    run, results = _build(world_at, shown, root, {"a": ".", "b": "./cmd/b"})
    assert _output(tmp_path, _bytes(run, results["a"])) == "lib a\n"
    assert _output(tmp_path, _bytes(run, results["b"])) == "lib b\n"
    assert run.go_commands() == ["version", "list", "build"]
    before = run.engine.verdict("//a:binary@linux/amd64").key

    write(root, {"b/go.mod": "module example.com/b\n\ngo 1.21\n\n// nothing new\n"})
    run, _ = _build(world_at, shown, root, {"a": "."})
    assert run.go_commands()[0] == "list"
    assert run.engine.verdict("//a:binary@linux/amd64").key == before
