"""What changes the key of a Go binary, and what does not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .golang_workspace import Run, WorldAt, go_actions, go_sum, publish, write

MAIN = """package main

import (
	_ "embed"

	"example.com/dep"
	"example.com/mono/lib"
)

//go:embed banner.txt
var banner string

func main() { println(banner, dep.Name, lib.Name) }
"""

FILES = {
    "services/a/main.go": MAIN,
    "services/a/banner.txt": "hello\n",
    "services/a/debug.go": "//go:build debug\n\npackage main\n\nvar debug = 1\n",
    "services/a/mobile_windows.go": "package main\n",
    "services/a/plain.go": "// Plain.\npackage main\n\nvar plain = 1\n",
    "services/b/main.go": 'package main\n\nimport "example.com/other"\n\n'
    "func main() { println(other.Name) }\n",
    "lib/lib.go": 'package lib\n\nimport "embed"\n\n//go:embed pages templates/*.html\n'
    'var Files embed.FS\n\nvar Name = "lib"\n',
    "lib/pages/index.html": "<p>\n",
    "lib/pages/old.html": "<p>\n",
    "lib/templates/a.html": "<b>\n",
    "README.md": "mono\n",
}


def _go_mod(dep: str = "v1.0.0", other: str = "v1.0.0", go: str = "1.21") -> str:
    return (
        f"module example.com/mono\n\ngo {go}\n\n"
        f"require (\n\texample.com/dep {dep}\n\texample.com/other {other}\n)\n"
    )


class Mono:
    """Services a and b of one module, which need modules dep and other."""

    def __init__(self, root: Path, proxy: Path, run: Callable[[], Run]) -> None:
        self.root, self.proxy, self._run = root, proxy, run
        write(root, FILES)
        self.require()

    def require(self, dep: str = "v1.0.0", other: str = "v1.0.0", go: str = "1.21") -> None:
        sums = go_sum(self.proxy, ("example.com/dep", dep), ("example.com/other", other))
        write(self.root, {"go.mod": _go_mod(dep, other, go), "go.sum": sums})

    def key(self) -> str:
        """The key of service a's binary, in a run of its own."""
        return self.look()[0]

    def look(self) -> tuple[str, list[str]]:
        """The key, and the go commands that were needed to tell."""
        run = self._run()
        verdict = run.engine.verdict("//services/a:binary@linux/amd64")
        assert verdict.error is None, verdict.error
        run.close()
        return verdict.key, run.go_commands()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proxy")
    for name in ("dep", "other"):
        for version in ("v1.0.0", "v1.1.0"):
            source = f'package {name}\n\nvar Name = "{version}"\n'
            publish(folder, f"example.com/{name}", version, {f"{name}.go": source})
    return folder


@pytest.fixture
def mono(tmp_path: Path, proxy: Path, world_at: WorldAt, shown: list[bytes]) -> Mono:
    env = {
        **os.environ,
        "GOPROXY": proxy.as_uri(),
        "GOSUMDB": "off",
        "GOMODCACHE": str(proxy / "cache"),
    }
    root = tmp_path / "wörk space" / "mono"

    def run() -> Run:
        return Run(world_at(root, env), go_actions("services/a"), shown)

    return Mono(root, proxy, run)


def _edit(path: str, text: str) -> Callable[[Mono], None]:
    return lambda mono: write(mono.root, {path: text})


def _delete(path: str) -> Callable[[Mono], None]:
    return lambda mono: (mono.root / path).unlink()


UNSEEN = {
    "a README beside the source": _edit("services/a/README.md", "a\n"),
    "a test file": _edit("services/a/main_test.go", "package main\n"),
    "another service": _edit("services/b/main.go", "package main\n\nfunc main() {}\n"),
    "a new service": _edit("services/c/main.go", "package main\n\nfunc main() {}\n"),
    "a test file of a library": _edit("lib/lib_test.go", "package lib\n"),
    "the workspace's README": _edit("README.md", "changed\n"),
}

LISTED_AGAIN = {
    "a module that only b uses": lambda mono: mono.require(other="v1.1.0"),
    "a file for another system": _edit("services/a/mobile_windows.go", "package main\n\n//\n"),
    "a new file for another system": _edit("lib/lib_windows.go", "package lib\n"),
    "a file that does not match": _edit("lib/templates/a.txt", "a\n"),
    "a hidden file in an embedded folder": _edit("lib/pages/.draft", "a\n"),
    "a header of a library that no assembly reads": _edit("lib/x.h", "\n"),
    "an empty go.work.sum": _edit("go.work.sum", ""),
}

SEEN = {
    "a source": _edit("services/a/main.go", MAIN + "\nvar x = 1\n"),
    "a library's source": _edit("lib/lib.go", FILES["lib/lib.go"] + "\nvar x = 1\n"),
    "a new source": _edit("services/a/more.go", "package main\n\nvar more = 1\n"),
    "a new source of a library": _edit("lib/more.go", "package lib\n"),
    "a constraint that is lifted": _edit("services/a/debug.go", "package main\n\nvar debug = 1\n"),
    "an embedded file": _edit("services/a/banner.txt", "goodbye\n"),
    "a file into an embedded folder": _edit("lib/pages/about.html", "<i>\n"),
    "a file deep in an embedded folder": _edit("lib/pages/de/index.html", "<i>\n"),
    "a file that matches": _edit("lib/templates/b.html", "<i>\n"),
    "a file less in an embedded folder": _delete("lib/pages/old.html"),
    "a used module": lambda mono: mono.require(dep="v1.1.0"),
    "the language version": lambda mono: mono.require(go="1.22"),
    "a profile": _edit("services/a/default.pgo", "profile\n"),
    "a go.work": _edit("go.work", "go 1.21\n\nuse .\n"),
    "a go.work above the workspace": lambda mono: write(
        mono.root.parent, {"go.work": "go 1.21\n\nuse ./mono\n"}
    ),
    "a replaced module": lambda mono: write(
        mono.root,
        {
            "go.mod": _go_mod() + "\nreplace example.com/dep => ./dep\n",
            "dep/go.mod": "module example.com/dep\n\ngo 1.21\n",
            "dep/dep.go": 'package dep\n\nvar Name = "here"\n',
        },
    ),
}


@pytest.mark.parametrize("edit", UNSEEN.values(), ids=UNSEEN)
def test_what_go_does_not_read_costs_nothing(mono: Mono, edit: Callable[[Mono], None]) -> None:
    before = mono.key()
    edit(mono)
    assert mono.look() == (before, [])


@pytest.mark.parametrize("edit", LISTED_AGAIN.values(), ids=LISTED_AGAIN)
def test_what_the_program_does_not_use_keeps_its_key(
    mono: Mono, edit: Callable[[Mono], object]
) -> None:
    before = mono.key()
    edit(mono)
    after, commands = mono.look()
    assert after == before
    assert set(commands) <= {"list"}


@pytest.mark.parametrize("edit", SEEN.values(), ids=SEEN)
def test_what_the_program_uses_changes_its_key_and_back(
    mono: Mono, edit: Callable[[Mono], object]
) -> None:
    before = mono.key()
    shutil.copytree(mono.root, mono.root.parent / "kept")
    edit(mono)
    assert mono.key() != before

    for path in mono.root.iterdir():
        if path.name != ".scratch":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(
        mono.root.parent / "kept",
        mono.root,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(".scratch"),
    )
    (mono.root.parent / "go.work").unlink(missing_ok=True)
    assert mono.look() == (before, [])


def test_an_edit_below_the_imports_asks_go_nothing(mono: Mono) -> None:
    before = mono.key()
    write(mono.root, {"services/a/plain.go": FILES["services/a/plain.go"].replace("1", "2")})
    after, commands = mono.look()
    assert (after != before, commands) == (True, [])


@pytest.mark.parametrize(
    "text",
    [
        '// Plain.\npackage main\n\nimport _ "strings"\n\nvar plain = 1\n',
        "//go:build debug\n\npackage main\n\nvar plain = 1\n",
        "//go:debug panicnil=1\npackage main\n\nvar plain = 1\n",
        '// Plain.\npackage main\n\nimport _ "embed"\n\n//go:embed banner.txt\nvar plain string\n',
    ],
    ids=["an import", "a constraint", "a directive", "an embedded file"],
)
def test_an_edit_of_what_go_list_reads_is_seen(mono: Mono, text: str) -> None:
    before = mono.key()
    write(mono.root, {"services/a/plain.go": text})
    after, commands = mono.look()
    assert (after != before, commands) == (True, ["list"])


def test_a_deleted_source_changes_the_key(mono: Mono) -> None:
    plain = mono.key()
    write(mono.root, {"services/a/more.go": "package main\n"})
    more = mono.key()
    _delete("services/a/more.go")(mono)
    assert (mono.key(), more != plain) == (plain, True)


def test_a_module_of_its_own_in_between_is_seen(mono: Mono) -> None:
    mono.key()
    write(mono.root, {"lib/go.mod": "module example.com/mono/lib\n\ngo 1.21\n"})
    run = mono._run()
    verdict = run.engine.verdict("//services/a:binary@linux/amd64")
    assert "lib" in str(verdict.error)


def test_a_file_of_a_replaced_module_outside_the_workspace_is_seen(mono: Mono) -> None:
    outside = mono.root.parent / "dep"
    write(outside, {"go.mod": "module example.com/dep\n", "dep.go": "package dep\nvar Name = 1\n"})
    write(mono.root, {"go.mod": _go_mod() + "\nreplace example.com/dep => ../dep\n"})
    before = mono.key()
    write(outside, {"dep.go": "package dep\nvar Name = 2\n"})
    assert mono.key() != before


def test_another_checkout_gives_the_same_key(
    mono: Mono, tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(mono.root, copy)
    env = mono._run().world.env
    run = Run(world_at(copy, env), go_actions("services/a"), shown)
    assert run.engine.verdict("//services/a:binary@linux/amd64").key == mono.key()


def test_a_workspace_reached_by_a_symlink_gives_the_same_key(
    mono: Mono, tmp_path: Path, world_at: WorldAt, shown: list[bytes]
) -> None:
    (tmp_path / "link").symlink_to(mono.root)
    run = Run(world_at(tmp_path / "link", mono._run().world.env), go_actions("services/a"), shown)
    assert run.engine.verdict("//services/a:binary@linux/amd64").key == mono.key()


def test_the_facts_name_the_closure_and_no_folder_of_this_machine(mono: Mono) -> None:
    run = mono._run()
    facts = dict(run.engine.build("//services/a:binary.list@linux/amd64").facts)
    modules = facts.pop("modules")
    assert {"embed", "runtime", "unsafe"} <= set(facts.pop("standard").split())
    assert [row[:2] for row in modules] == [["example.com/dep", "v1.0.0"], ["example.com/mono", ""]]
    assert [bool(row[2]) for row in modules] == [True, False]
    assert facts == {
        "import_path": "example.com/mono/services/a",
        "exec_name": "a",
        "root": "",
        "work": "off",
        "package_arg": "./services/a",
        "mod": "readonly",
        "packages": ["example.com/dep", "example.com/mono/lib", "example.com/mono/services/a"],
        "godebug": facts["godebug"],
        "lang": {"example.com/dep": "1.21", "example.com/mono": "1.21"},
        "inputs": [
            ["file", name, ""]
            for name in (
                "lib/lib.go",
                "lib/pages/index.html",
                "lib/pages/old.html",
                "lib/templates/a.html",
                "services/a/banner.txt",
                "services/a/main.go",
                "services/a/plain.go",
            )
        ],
    }
