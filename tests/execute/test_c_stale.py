"""Whatever changes, a build in the changed tree gives what a clean build of a copy gives."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.frozen import dataclass
from scratchtasks.execute.operation import World

from .golang_workspace import write
from .test_c import build, c_action, failure, verdict, with_zig

HOME = "tools/hello"
MAIN = f"{HOME}/src/main.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """*change* is made to the tree of *files* (below the service's folder); None removes."""

    files: dict[str, str]
    change: dict[str, str | None]
    cflags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    srcs: tuple[str, ...] = ("src/*.c",)


def main(*lines: str) -> str:
    return "\n".join(("#include <stdio.h>", *lines, "int main(void) { puts(SAY); return 0; }\n"))


def say(word: str) -> str:
    return f'#define SAY "{word}"\n'


def blob(name: str) -> str:
    body = f"{{ puts({name}); return 0; }}"
    return f"#include <stdio.h>\nextern const char {name}[];\nint main(void) {body}\n"


IF_THERE = '#if __has_include({0})\n#include {0}\n#else\n#define SAY "none"\n#endif'

CASES = {
    "a folder of an earlier -I": Case(
        files={"src/main.c": main('#include "sub/x.h"'), "b/sub/x.h": say("old"), "a/z": ""},
        cflags=("-Ia", "-Ib"),
        change={"a/sub/x.h": say("new")},
    ),
    "a name without suffix": Case(
        files={"src/main.c": main("#include <words>"), "b/words": say("old"), "a/z": "", "b/z": ""},
        cflags=("-Ia", "-Ib"),
        change={"a/words": say("new")},
    ),
    "a tab and another blank in a name": Case(
        files={
            "src/main.c": main('#include "a\tb\u3000c.h"'),
            "src/a\tb\u3000c.h": say("old"),
        },
        change={"src/a\tb\u3000c.h": say("new")},
    ),
    "a backslash in a name": Case(
        files={"src/main.c": main('#include "a\\b.h"'), "b/a\\b.h": say("old"), "a/z": ""},
        cflags=("-Ia", "-Ib"),
        change={"b/a\\b.h": say("new")},
    ),
    "a name with any suffix": Case(
        files={"src/main.c": main('#include "w.txt"'), "b/w.txt": say("old"), "a/z": "", "b/z": ""},
        cflags=("-iquote", "a", "-isystem", "b"),
        change={"a/w.txt": say("new")},
    ),
    "beside the source": Case(
        files={"src/main.c": main('#include "in/x.c"'), "b/in/x.c": say("old")},
        cflags=("-Ib",),
        change={"src/in/x.c": say("new")},
    ),
    "beside a header": Case(
        files={
            "src/main.c": main('#include "one.h"'),
            "b/one.h": '#include "two.h"\n',
            "c/two.h": say("old"),
        },
        cflags=("-Ib", "-Ic"),
        change={"b/two.h": say("new")},
    ),
    "beside, by a macro's name": Case(
        files={"src/main.c": main('#define X "x.h"', "#include X"), "b/x.h": say("old")},
        cflags=("-Ib",),
        change={"src/x.h": say("new")},
    ),
    "another place of a standard header": Case(
        files={"src/main.c": main("#ifndef SAY", '#define SAY "old"', "#endif"), "a/z": ""},
        cflags=("-Ia",),
        change={"a/stdio.h": say("new") + "#include_next <stdio.h>\n"},
    ),
    "up and into another folder": Case(
        files={"src/main.c": main('#include "../q/x.h"'), "b/q/x.h": say("old"), "b/a/z": ""},
        cflags=("-Ib/a",),
        change={"q/x.h": say("new")},
    ),
    "__has_include, quoted": Case(
        files={"src/main.c": main(IF_THERE.format('"opt/y.h"')), "a/z": "", "b/z": ""},
        cflags=("-Ia", "-Ib"),
        change={"b/opt/y.h": say("new")},
    ),
    "__has_include, angled": Case(
        files={
            "src/main.c": main(IF_THERE.format("<opt/y.h>")),
            "a/z": "",
            "b/z": "",
            "b/opt/y.h": say("old"),
        },
        cflags=("-Ia", "-Ib"),
        change={"b/opt/y.h": None},
    ),
    "__has_include of what is not included": Case(
        files={
            "src/main.c": main(
                '#if __has_include("y.h")', say("old"), "#else", say("new"), "#endif"
            ),
            "a/y.h": "",
        },
        cflags=("-Ia",),
        change={"a/y.h": None},
    ),
    "__has_include by a macro's name": Case(
        files={"src/main.c": main('#define Y "opt/y.h"', IF_THERE.format("Y")), "b/o.h": ""},
        cflags=("-Ib",),
        change={"b/opt/y.h": say("new")},
    ),
    "__has_include in a flag": Case(
        files={"src/main.c": main("#if Y", say("old"), "#else", say("new"), "#endif"), "y.h": ""},
        cflags=("-I.", '-DY=__has_include("y.h")'),
        change={"y.h": None},
    ),
    "a response file": Case(
        files={"src/main.c": main(), "flags.txt": '-DSAY=__FILE__ "-O1"'},
        cflags=("@flags.txt",),
        change={"flags.txt": "-DSAY=__VERSION__"},
    ),
    "a folder that a response file names": Case(
        files={
            "src/main.c": main('#include "x.h"'),
            "flags.txt": "-Ia -Ib",
            "b/x.h": say("old"),
            "a/z": "",
        },
        cflags=("@flags.txt",),
        change={"a/x.h": say("new")},
    ),
    "a header that a flag includes": Case(
        files={"src/main.c": main(), "b/x.h": say("old")},
        cflags=("-Ib", "-include", "x.h"),
        change={"x.h": say("new")},
    ),
    "an assembler's include": Case(
        files={
            "src/main.c": blob("word"),
            "src/word.s": '.globl word\n.section .rodata\nword:\n.include "in/one.inc"\n',
            "in/one.inc": '.include "in/two.inc"\n',
            "in/two.inc": '.string "old"\n',
        },
        srcs=("src/*.c", "src/*.s"),
        change={"in/two.inc": '.string "new"\n'},
    ),
}

ONLY_GCC = {
    "a response file of a response file": Case(
        files={"src/main.c": main(), "flags.txt": "@more.txt\n", "more.txt": "-DSAY='\"old\"'"},
        cflags=("@flags.txt",),
        change={"more.txt": "-DSAY='\"new\"'"},
    ),
    "a file that the linker makes an object of": Case(
        files={"src/main.c": blob("_binary_blob_txt_start"), "blob.txt": "old\0"},
        ldflags=("-Wl,--format=binary,blob.txt,--format=default",),
        change={"blob.txt": "new\0"},
    ),
    "a precompiled header": Case(
        files={"src/main.c": '#include "x.h"\n' + main(), "a/x.h": say("old")},
        cflags=("-Ia",),
        change={"a/x.h.gch": say("new")},
    ),
    "what a linker script includes": Case(
        files={
            "src/main.c": "#include <stdio.h>\nextern char at[];\n"
            "int main(void) { return (int)(long)at; }\n",
            "s.ld": "INCLUDE inc.ld\nSECTIONS { .foo : { *(.foo) } } INSERT AFTER .bss;\n",
            "inc.ld": "at = 7;\n",
        },
        cflags=("-fno-pie",),
        ldflags=("-no-pie", "-Wl,-T,s.ld"),
        change={"inc.ld": "at = 9;\n"},
    ),
}

GCC = [*CASES, *ONLY_GCC]


@pytest.mark.parametrize("name", GCC)
def test_with_gcc(name: str, tmp_path: Path, world_at: Callable[..., World]) -> None:
    check(tmp_path, world_at, {**CASES, **ONLY_GCC}[name], "gcc")


@pytest.mark.parametrize("name", CASES)
def test_with_zig(
    name: str, tmp_path: Path, world_at: Callable[..., World], zig_cache: Path
) -> None:
    check(tmp_path, lambda root: with_zig(world_at(root), zig_cache), CASES[name], "")


def check(tmp_path: Path, world_at: Callable[[Path], World], case: Case, cc: str) -> None:
    world = world_at(tmp_path / "ws")
    put(world, case.files)
    action = c_action(
        srcs=list(case.srcs), cflags=list(case.cflags), ldflags=list(case.ldflags), cc=cc
    )
    before = build(world, action)
    assert verdict(world, action).fresh
    put(world, case.change)
    after = build(world, action)
    assert after != before
    home = tmp_path / "copy" / HOME
    shutil.copytree(Path(world.root, HOME), home, symlinks=True)
    assert after == build(world_at(tmp_path / "copy"), action)


def put(world: World, files: Any) -> None:
    for name, text in files.items():
        path = Path(world.root, HOME, name)
        if text is None:
            path.unlink()
        elif name.endswith(".gch"):
            source = Path(world.scratch, "made.h")
            source.write_text(text)
            subprocess.run(["gcc", "-O2", "-xc-header", source, "-o", path], check=True)
        else:
            write(world.root, {f"{HOME}/{name}": text})


@pytest.mark.parametrize("cc", ["gcc", ""])
def test_when_a_source_was_written_is_no_input(
    cc: str, tmp_path: Path, world_at: Callable[..., World], zig_cache: Path
) -> None:
    world = with_zig(world_at(tmp_path / "ws"), zig_cache)
    put(world, {"src/main.c": main("#define SAY __TIMESTAMP__")})
    action = c_action(cc=cc)
    before = build(world, action)
    os.utime(Path(world.root, MAIN), (1e9, 1e9))
    assert verdict(world, action).fresh
    shutil.copytree(Path(world.root, HOME), tmp_path / "copy" / HOME)
    copy = with_zig(world_at(tmp_path / "copy"), zig_cache)
    assert build(copy, action) == before
    assert b"Thu Jan  1 00:00:00 1970" in before


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("-MMD", "-MMD"),
        ("-Wp,-MMD,main.d", "-MMD"),
        ("@flags.txt", "-MMD"),
        ("--write-user-dependencies", "--write-user-dependencies"),
    ],
)
def test_flags_for_dep_files_are_refused(
    flag: str, told: str, tmp_path: Path, world_at: Callable[..., World]
) -> None:
    """With -MMD they would have nothing of what -isystem finds."""
    world = world_at(tmp_path / "ws")
    put(world, {"src/main.c": main(say("x")), "flags.txt": "-MMD"})
    assert f"(wanted none, got '{told}')" in failure(world, c_action(cflags=[flag], cc="gcc"))


def archive(folder: Path, name: str, value: int, *kind: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "f.c"
    source.write_text(f"int f(void) {{ return {value}; }}\n")
    subprocess.run(["gcc", "-O2", "-c", "f.c", "-o", "f.o"], cwd=folder, check=True)
    subprocess.run(["ar", "rcsD", *kind, name, "f.o"], cwd=folder, check=True)


LINKING = [
    (["-Llib1", "-Llib2", "-lf"], "libf.a", "lib1"),
    (["-Llib1", "-L", "lib2", "-l:weird.a"], "weird.a", "lib2"),
    (["@link.txt"], "libf.a", "lib2"),
    (["lib2/script.a"], "libf.a", "lib2"),
]
WRAPPED = (["-Wl,-Llib1,-Llib2", "-Xlinker", "-lf"], "libf.a", "lib1")  # zig refuses these


@pytest.mark.parametrize(
    ("cc", "ldflags", "name", "place"),
    [*(("gcc", *each) for each in (*LINKING, WRAPPED)), *(("", *each) for each in LINKING)],
)
def test_libraries(
    ldflags: list[str],
    name: str,
    place: str,
    cc: str,
    tmp_path: Path,
    world_at: Callable[..., World],
    zig_cache: Path,
) -> None:
    world = with_zig(world_at(tmp_path / "ws"), zig_cache)
    home = Path(world.root, HOME)
    put(world, {"src/main.c": "int f(void); int main(void) { return f(); }\n"})
    put(world, {"link.txt": "-Llib1 -Llib2 -lf", "lib2/script.a": "GROUP ( lib2/libf.a )\n"})
    archive(home / "lib2", name, 3)
    action = c_action(ldflags=ldflags, cc=cc, cflags=[])
    before = build(world, action)
    assert verdict(world, action).fresh
    archive(home / place, name, 4)
    after = build(world, action)
    assert after != before
    shutil.rmtree(os.path.join(world.scratch, "actions"))
    shutil.rmtree(os.path.join(world.scratch, "stamps"), ignore_errors=True)
    assert after == build(world, action)


@pytest.mark.parametrize("cc", ["gcc", ""])
def test_the_members_of_a_thin_archive(
    cc: str, tmp_path: Path, world_at: Callable[..., World], zig_cache: Path
) -> None:
    world = with_zig(world_at(tmp_path / "ws"), zig_cache)
    put(world, {"src/main.c": "int f(void); int main(void) { return f(); }\n"})
    home = Path(world.root, HOME)
    archive(home / "lib", "libf.a", 3, "--thin")
    action = c_action(ldflags=["-Llib", "-lf"], cc=cc, cflags=[])
    before = build(world, action)
    kept = (home / "lib/libf.a").read_bytes()
    archive(home / "lib", "libf.a", 4, "--thin")
    (home / "lib/libf.a").write_bytes(kept)
    assert build(world, action) != before


def test_another_linker_earlier_on_path(tmp_path: Path, world_at: Callable[..., World]) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    world = world_at(tmp_path / "ws", {"PATH": f"{tools}:{os.environ['PATH']}"})
    put(world, {"src/main.c": main('#define SAY "x"')})
    action = c_action(cc="gcc", cflags=[])
    before = build(world, action)
    assert verdict(world, action).fresh
    linker = shutil.which("ld")
    (tools / "ld").write_text(f'#!/bin/sh\nexec {linker} "$@" --defsym=extra=1 -Tbss=0x900000\n')
    (tools / "ld").chmod(0o755)
    assert build(world, action) != before


def test_variables_that_add_to_what_is_searched_reach_no_compiler(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    for name in ("CPATH", "C_INCLUDE_PATH", "COMPILER_PATH"):
        root = tmp_path / name
        world = world_at(root, {**os.environ, name: str(root / "more")})
        put(world, {"src/main.c": main('#include "x.h"')})
        write(root, {"more/x.h": say("x")})
        assert "did not compile" in failure(world, c_action(cc="gcc", cflags=[]))


def test_what_is_new_and_was_not_looked_for_changes_nothing(world: World) -> None:
    put(world, {"src/main.c": main('#include "sub/x.h"'), "b/sub/x.h": say("old"), "a/z.h": ""})
    action = c_action(cc="gcc", cflags=["-Ia", "-Ib", "-I../.."])
    build(world, action)
    put(world, {"a/new.h": "", "b/sub/new.h": "", "src/.main.c.swp": "", "src/main.o": ""})
    write(world.root, {"dist/x/index.json": "", "sub.h": ""})
    assert verdict(world, action).fresh
