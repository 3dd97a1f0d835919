"""C and C++ binaries, with the real zig and gcc."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.c import CBuild
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import World
from scratchtasks.execute.verdict import Verdict
from scratchtasks.execute.zig import find_zig
from scratchtasks.store import proven

from .conftest import ziglang_beside
from .golang_workspace import Silent, write

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

FILES = {
    "tools/hello/src/main.c": '#include <stdio.h>\n#include <assert.h>\n#include "say.h"\n'
    "int main(int n, char **a) { assert(n < 9); puts(SAY); puts(__FILE__); return 0; }\n",
    "tools/hello/src/say.h": '#include "word.h"\n#define SAY "say " WORD\n',
    "tools/hello/include/word.h": '#define WORD "one"\n',
    "tools/hello/README.md": "hello\n",
}


@pytest.fixture
def zig_world(tmp_path: Path, world_at: Callable[..., World], zig_cache: Path) -> World:
    return with_zig(world_at(tmp_path / "ws"), zig_cache)


def with_zig(world: World, zig_cache: Path) -> World:
    os.symlink(zig_cache, os.path.join(world.scratch, "zig"))
    path = f"{ziglang_beside(zig_cache)}{os.pathsep}{world.env['PATH']}"
    return replace(world, env={**world.env, "PATH": path})


def c_action(platform: Platform = AMD64, **params: Any) -> Action:
    defaults = {"srcs": ["src/*.c"], "cflags": ["-Iinclude"], "ldflags": [], "cc": "", "cxx": ""}
    return Action(
        label=Label("tools/hello", "binary"),
        mnemonic="CCompile",
        op="c_build",
        params={"folder": "tools/hello", "name": "hello", **defaults, **params},
        platform=platform,
    )


def verdict(world: World, action: Action) -> Verdict:
    world.files.forget_scan()
    return engine(world, action).verdict(action.name)


def engine(world: World, action: Action) -> Engine:
    return Engine(world, {action.name: action}, {"c_build": CBuild()}, Silent())


def build(world: World, action: Action) -> bytes:
    world.files.forget_scan()
    result = engine(world, action).build(action.name)
    assert isinstance(result, ActionResult)
    return world.store.read(result.outputs["binary"].digest)


def failure(world: World, action: Action) -> str:
    with pytest.raises(ScratchError) as caught:
        build(world, action)
    return str(caught.value)


def execute(binary: bytes, world: World, *before: str) -> list[str]:
    path = Path(world.root, "program")
    path.write_bytes(binary)
    path.chmod(0o755)
    done = subprocess.run([*before, path], check=True, capture_output=True)
    return done.stdout.decode().splitlines()


def test_c_is_the_same_from_any_folder(
    tmp_path: Path, world_at: Callable[..., World], zig_cache: Path
) -> None:
    binaries = []
    for name in ("one", "a longer, ünusual name"):
        world = with_zig(world_at(tmp_path / name), zig_cache)
        write(world.root, FILES)
        binaries.append(build(world, c_action(cflags=["-Iinclude", "-g"])))
    assert binaries[0] == binaries[1]
    assert os.fsencode(tmp_path) not in binaries[0]
    assert execute(binaries[0], world) == ["say one", "src/main.c"]
    assert len(binaries[0]) < 64 * 1024, "its libc is built for debugging"


def test_what_was_read_is_known_exactly(zig_world: World) -> None:
    write(zig_world.root, FILES)
    action = c_action()
    build(zig_world, action)
    record = verdict(zig_world, action).record
    assert {item.path for item in record if item.kind == "file"} == {
        "tools/hello/src/main.c",
        "tools/hello/src/say.h",
        "tools/hello/include/word.h",
    }
    searched = {item.path for item in record if item.kind == "names"}
    assert searched == {"tools/hello/src", "tools/hello/include", "tools/hello"}
    assert Input("names", "tools/hello/src", "word.h|.gch|.pch") in record
    assert Input("names", "tools/hello/src", ".c") in record


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({"tools/hello/README.md": "other\n"}, True),
        ({"tools/hello/other/new.h": "\n"}, True),
        ({"tools/hello/include/word.h": '#define WORD "two"\n'}, False),
        ({"tools/hello/src/word.h": '#define WORD "shadow"\n'}, False),
        ({"tools/hello/include/more.h": "\n", "tools/hello/src/.say.h.swp": "\n"}, True),
        ({"tools/hello/src/more.c": "int more;\n"}, False),
    ],
)
def test_what_makes_it_stale(zig_world: World, change: dict[str, str], fresh: bool) -> None:
    write(zig_world.root, FILES)
    action = c_action()
    build(zig_world, action)
    write(zig_world.root, change)
    assert verdict(zig_world, action).fresh is fresh


def test_a_source_that_comes_behind_a_literal_name_is_watched_for(zig_world: World) -> None:
    write(zig_world.root, {**FILES, "tools/hello/parts/p/impl.c": "", "tools/hello/parts/q/x": ""})
    action = c_action(srcs=["src/*.c", "parts/*/impl.c"])
    assert Input("file", "tools/hello/parts/q/impl.c") in verdict(zig_world, action).record


def test_no_cache_of_zigs_own_is_trusted(zig_world: World) -> None:
    write(zig_world.root, FILES)
    header = Path(zig_world.root, "tools/hello/include/word.h")
    said = []
    for word in ("one", "two", "six"):
        header.write_text(f'#define WORD "{word}"\n')
        os.utime(header, (1, 1))  # size and mtime stay
        said.append(execute(build(zig_world, c_action()), zig_world)[0])
    # A header that comes earlier on the include path than the one that was used.
    write(zig_world.root, {"tools/hello/first/word.h": '#define WORD "new"\n'})
    action = c_action(cflags=["-Ifirst", "-Iinclude"])
    said.append(execute(build(zig_world, action), zig_world)[0])
    Path(zig_world.root, "tools/hello/first/word.h").unlink()
    said.append(execute(build(zig_world, action), zig_world)[0])
    assert said == ["say one", "say two", "say six", "say new", "say six"]


def test_cpp_and_c_together_for_arm64(zig_world: World) -> None:
    sources = {
        "tools/hello/src/a.cpp": '#include <stdexcept>\n#include <iostream>\nextern "C" int f();\n'
        'int main() { try { throw std::runtime_error("thrown"); }\n'
        'catch (std::exception &e) { std::cout << e.what() << f() << "\\n"; } }\n',
        "tools/hello/src/b.c": "int f(void) { return 7; }\n",
    }
    write(zig_world.root, sources)
    srcs = ["src/*.c", "src/*.cpp"]
    assert execute(build(zig_world, c_action(srcs=srcs)), zig_world) == ["thrown7"]
    arm = build(zig_world, c_action(srcs=srcs, platform=ARM64))
    assert arm[:4] == b"\x7fELF"
    assert arm[0x12:0x14] == b"\xb7\0"


def test_c_and_cpp_without_optimization(zig_world: World, tmp_path: Path) -> None:
    # zig would check such sources for undefined behaviour, and link no runtime for that.
    write(
        Path(zig_world.root),
        {
            "tools/hello/src/main.c": "int twice(int);\nint main(int n, char **a) "
            "{ return twice(n + 1) << n; }\n",
            "tools/hello/src/twice.cpp": 'extern "C" int twice(int n) { return 2 * n; }\n',
        },
    )
    program = tmp_path / "program"
    program.write_bytes(build(zig_world, c_action(srcs=["src/*"], cflags=["-O0"])))
    program.chmod(0o755)
    assert subprocess.run([program], check=False).returncode == 8


def test_errors_reach_the_user_once_and_name_the_sources(
    zig_world: World, shown: list[bytes]
) -> None:
    write(zig_world.root, FILES)
    bad = {
        "tools/hello/src/bad.c": "#error broken one\n",
        "tools/hello/src/worse.c": "#error broken two\n",
    }
    write(zig_world.root, bad)
    message = "//tools/hello:binary: src/bad.c, src/worse.c did not compile"
    assert failure(zig_world, c_action()) == message
    text = b"".join(shown).decode()
    assert text.count("error: broken one") == 1
    assert text.count("error: broken two") == 1


def test_linking_errors(zig_world: World) -> None:
    write(zig_world.root, {"tools/hello/src/a.c": "int f(void); int main(void) { return f(); }\n"})
    assert failure(zig_world, c_action()) == "//tools/hello:binary: linking hello failed"


def test_a_glob_that_matches_nothing(zig_world: World) -> None:
    assert failure(zig_world, c_action(srcs=["lib/*.c"])) == (
        "//tools/hello:binary: no file matches 'tools/hello/lib/*.c'"
    )


def test_a_header_among_the_sources(world: World) -> None:
    write(world.root, FILES)
    assert failure(world, c_action(cc="gcc", srcs=["src/*"])) == (
        "//tools/hello:binary: srcs: 'tools/hello/src/say.h' is no source of C, C++ or assembly\n"
        "    hint: headers are found by #include; objects and libraries belong into ldflags"
    )


def test_a_library_of_the_workspace_is_an_input(zig_world: World) -> None:
    main = "int f(void); int main(void) { return f(); }\n"
    write(zig_world.root, {"tools/hello/src/a.c": main, "vendor/f.c": "int f(void) { return 0; }"})
    folder = Path(zig_world.root, "vendor")
    subprocess.run(["gcc", "-c", "f.c", "-o", "f.o"], cwd=folder, check=True)
    subprocess.run(["ar", "rcs", "libf.a", "f.o"], cwd=folder, check=True)
    for ldflags in (["-L../../vendor", "-lf"], ["../../vendor/libf.a"]):
        action = c_action(ldflags=ldflags)
        build(zig_world, action)
        assert Input("file", "vendor/libf.a") in verdict(zig_world, action).record


def test_a_compiler_of_the_users_own(tmp_path: Path, world_at: Callable[..., World]) -> None:
    binaries = []
    for name in ("one", "two"):
        world = world_at(tmp_path / name)
        write(world.root, FILES)
        action = c_action(cc="gcc", cflags=["-Iinclude", "-flto"])
        binaries.append(build(world, action))
    assert binaries[0] == binaries[1]
    assert execute(binaries[0], world) == ["say one", "src/main.c"]
    # The machine's static libc is in the binary, so it is an input.
    names = {os.path.basename(item.path) for item in verdict(world, action).record}
    assert {"libc.a", "stdio.h", "main.c"} <= names


def test_a_compiler_of_the_users_own_that_nobody_may_run(world: World) -> None:
    write(world.root, FILES)
    script = Path(world.root, "tools/hello/cc.sh")
    script.write_text('#!/bin/sh\nexec gcc "$@"\n')
    message = failure(world, c_action(cc="./cc.sh"))
    assert message.startswith("//tools/hello:binary: cc './cc.sh' was not found\n")
    # Its bytes do not tell: the stat counts for what a run remembers.
    assert {os.path.normpath(path) for path in world.files.looks} == {str(script)}


def test_a_flag_that_puts_the_program_elsewhere(world: World, tmp_path: Path) -> None:
    write(world.root, {**FILES, "tools/hello/src/main.c": "int main(void) { return 0; }\n"})
    flags = ["-o", str(tmp_path / "elsewhere")]
    assert failure(world, c_action(cc="gcc", ldflags=flags)) == (
        "//tools/hello:binary: what was linked is not where it should be\n"
        "    hint: leave `-o FILE`, and what only asks the linker, out of ldflags"
    )


def test_a_dynamic_result_is_refused(world: World) -> None:
    write(world.root, FILES)
    action = c_action(cc="gcc", ldflags=["-dynamic", "-no-pie", "-Wl,-Bdynamic"])
    action = replace(action, params={**action.params, "cc": "./cc.sh"})
    script = Path(world.root, "tools/hello/cc.sh")
    script.write_text('#!/bin/sh\nfor a do shift; [ "$a" = -static ] || set -- "$@" "$a"; done\n'
                      'exec gcc "$@"\n')  # fmt: skip
    script.chmod(0o755)
    assert failure(world, action).startswith(
        "//tools/hello:binary: not static: needs the loader /lib64/ld-linux-x86-64.so.2"
    )


@pytest.mark.parametrize("cc", ["gcc", ""])
def test_a_source_may_be_called_like_a_flag(cc: str, zig_world: World) -> None:
    say = "#include <stdio.h>\nint main(void) { puts(__FILE__); return f(); }\n"
    sources = {"-f.c": "int f(void) { return 0; }\n", "@say.c": f"int f(void);\n{say}"}
    write(zig_world.root, {f"tools/hello/{name}": text for name, text in sources.items()})
    action = c_action(srcs=["-f.c", "@*.c"], cflags=[], cc=cc)
    (said,) = execute(build(zig_world, action), zig_world)
    assert said.removeprefix("./") == "@say.c"
    assert verdict(zig_world, action).fresh
    write(zig_world.root, {"tools/hello/@say.c": f"{sources['@say.c']}int more = 1;\n"})
    assert not verdict(zig_world, action).fresh


@pytest.mark.parametrize(
    ("compilers", "message"),
    [
        (
            {"cc": "gcc-of-mine"},
            "//tools/hello:binary: cc 'gcc-of-mine' was not found\n"
            "    hint: install gcc-of-mine, or leave cc out to use zig",
        ),
        (
            {"cxx": "g++"},
            "//tools/hello:binary: cxx names a compiler of your own, but cc does not\n"
            "    hint: there are C sources: name cc too, or leave both to zig",
        ),
    ],
)
def test_compilers_that_do_not_fit(world: World, compilers: dict[str, Any], message: str) -> None:
    write(world.root, FILES)
    assert failure(world, c_action(**compilers)) == message


def tool(folder: Path, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zig").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "zig").chmod(0o755)
    return str(folder)


def test_no_zig(
    tmp_path: Path, world_at: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scratchtasks.execute.packaged.find_package", lambda name: None)
    hint = "\n    hint: pip install 'scratchtasks[zig]', or put zig 0.12 or newer on PATH"
    world = world_at(tmp_path / "ws", {"PATH": "/nowhere"})
    write(world.root, FILES)
    start = "//tools/hello:binary: zig, which compiles C here, was not found"
    assert failure(world, c_action()) == start + hint
    old = tool(tmp_path / "bin", "echo 0.11.0")
    world = replace(world, env={"PATH": old})
    too_old = f"; {old}/zig is too old (wanted 0.12 or newer, got 0.11.0)"
    assert failure(world, c_action()) == start + too_old + hint


def test_the_zig_on_path_comes_first(tmp_path: Path, world_at: Callable[..., World]) -> None:
    path = tool(tmp_path / "bin", "echo 0.99.0")
    world = world_at(tmp_path / "ws", {"PATH": path})
    zig = find_zig(world, "//x:y")
    assert (zig.path, zig.version) == (f"{path}/zig", "0.99.0")


@pytest.mark.parametrize(
    "text",
    [
        '.incbin \\"../../data/d.txt\\"',
        '.incbin \\"" NAME "\\"',
    ],
)
def test_what_the_assembler_includes_is_an_input(text: str, world: World) -> None:
    root = Path(world.root)
    name = "../../data/d.txt" if "NAME" not in text else "src/d.txt"
    source = (
        '#include <stdio.h>\n#define NAME "src/d.txt"\nextern const char d[];\n'
        f'__asm__(".section .rodata\\nd: {text}\\n.byte 0\\n.previous\\n");\n'
        "int main(void) { puts(d); return 0; }\n"
    )
    write(root, {"tools/hello/src/main.c": source, f"tools/hello/{name}": "one"})
    action = c_action(cc="gcc", cflags=[])
    assert b"one\0" in build(world, action)
    assert verdict(world, action).fresh
    write(root, {f"tools/hello/{name}": "two"})
    assert b"two\0" in build(world, action)


ZIG = """case $1 in version) echo 0.99.0; exit ;; esac
libc=$ZIG_GLOBAL_CACHE_DIR/o/libc
mkdir -p "${libc%/*}"
[ -e "$libc" ] || echo whole >"$libc"
[ "$(cat "$libc")" = whole ] || exit
shift 3
exec gcc "$@"
"""
"""Like zig it makes a libc once, and believes in what it finds later."""


def test_a_libc_that_a_power_loss_has_eaten_is_made_again(
    tmp_path: Path, world_at: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tool(tmp_path / "bin", ZIG)
    world = world_at(tmp_path / "ws", {"PATH": f"{path}:{os.environ['PATH']}"})
    write(world.root, FILES)
    build(world, c_action())
    libc = Path(world.scratch, "zig/o/libc")
    libc.write_text("whol")
    monkeypatch.setattr(proven, "boot_id", lambda: "another")
    build(world, c_action(cflags=["-Iinclude", "-g"]))
    assert libc.read_text() == "whole\n"
