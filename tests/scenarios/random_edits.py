"""Random edits of a monorepo: what people, editors, git and tar do to files between two builds."""

import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from .workspaces import GO_MOD, LOADER, QUICK, lone_go

Tree = dict[str, str]
"""Text by relative path; `->x` is a symlink to x, `#!` at the start makes it executable."""

_LONG_AGO = 1_600_000_000 * 10**9

_API = """package main

import (
	"embed"
	"os"

	"example.com/shop/lib"
)

//go:embed assets
var assets embed.FS

var version = "none"

func main() {
	names, _ := assets.ReadDir("assets")
	for _, name := range names {
		os.Stdout.WriteString(name.Name())
	}
	os.Stdout.WriteString(version + lib.Word + extra())
}
"""

_DODO = """from scratchtasks import Workspace, genrule

schema = genrule(
    name="schema",
    folder="gen",
    srcs=["*.sql", "make.sh"],
    outs=["schema.txt"],
    cmd=["sh", "make.sh", "{out}/schema.txt"],
)
task_images = Workspace(services=["services/*"], rules=[schema])
"""

START: Mapping[str, str] = {
    "dodo.py": _DODO,
    "scratch.toml": QUICK,
    "go.mod": GO_MOD,
    "lib/lib.go": 'package lib\n\nconst Word = "lib00"\n',
    "gen/make.sh": 'cat *.sql > "$1"\n',
    "gen/a.sql": "create table a00;\n",
    "services/api/main.go": _API,
    "services/api/extra.go": 'package main\n\nfunc extra() string { return "e00" }\n',
    "services/api/assets/hello.txt": "hello00\n",
    "services/web/main.go": lone_go("web00"),
    "services/web/static/index.html": "<p>00</p>\n",
    "services/web/static/js/app.js": "// 00\n",
}

_TABLES: Mapping[str, tuple[str, ...]] = {
    "api": (
        '[zoneinfo]\nzones = ["UTC"]\n',
        '[zoneinfo]\nzones = ["UTC", "Europe/*"]\n',
        "",
    ),
    "web": ('[hosts]\nentries = { "db.example.com" = "10.0.0.7" }\n', ""),
}
_BINARY: Mapping[str, tuple[str, ...]] = {
    "ldflags": ("", 'ldflags = ["-X main.version=1"]\n', 'ldflags = ["-X main.version=2"]\n'),
    "tags": ("", 'tags = ["slim"]\n'),
}
_IMAGE: Mapping[str, tuple[str, ...]] = {
    "user": ("", 'user = "app:1001"\n', 'user = "app:1002"\n', 'user = "root"\n'),
    "env": ("", 'env = { A = "1" }\n', 'env = { A = "2", B = "" }\n'),
    "cmd": ("", 'cmd = ["serve"]\n'),
    "dirs": ("", 'dirs = [{ path = "/var/lib/x", mode = "0700" }]\n'),
}
_FILES: Mapping[str, tuple[str, ...]] = {
    "api": (
        "",
        'files = [{ src = "//gen:schema", dest = "/srv/schema.txt" }]\n',
        'files = [{ src = "//gen:a.sql", dest = "/srv/a.sql", mode = "0600", owner = "1:2" }]\n',
    ),
    "web": ('files = [{ src = "static", dest = "/srv" }]\n', ""),
}


class Editor:
    """Edits a workspace at random; *log* tells what was done, for whoever has to repeat it."""

    def __init__(self, root: Path, seed: int, pyproject: str = LOADER) -> None:
        self.random = random.Random(seed)
        self.log: list[str] = []
        self._root = root
        self._pyproject = pyproject
        self._choices: dict[str, int] = {}
        self._tree = self._sound_tree()
        self._disk: Tree = {}
        self._past: list[Tree] = []
        self._save()

    def edit(self) -> None:
        """Make one edit of the sources and bring the disk to it."""
        self._past.append(dict(self._tree))
        action = self.random.choice(
            (
                *(self._change,) * 5,
                *(self._configure,) * 4,
                *(self._add, self._remove, self._rename) * 2,
                *(self._revert,) * 3,
                self._break,
                self._touch,
                self._irrelevant,
                self._add_service,
                self._swap_kind,
            )
        )
        action()
        self._save()

    def mend(self) -> None:
        """Back to sources that build, whatever their configuration."""
        self._tree = self._sound_tree()
        self.log.append("mend")
        self._save()

    def disturb(self) -> None:
        """Lose something that may be lost: results, stamps, caches."""
        lost = self.random.choice(
            ("dist", "dist/images.json", "dist/api", "dist/web/index.json", ".scratch/stamps",
             ".scratch/actions", ".scratch/files.db", ".scratch/doit.db", ".scratch/blobs",
             ".scratch/actions/inputs")
        )  # fmt: skip
        self.log.append(f"lose {lost}")
        path = self._root / lost
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _sound_tree(self) -> Tree:
        tomls = {f"services/{name}/service.toml": self._service_toml(name) for name in _TABLES}
        return {**START, **tomls, "pyproject.toml": self._pyproject}

    def _pick(self, suffix: str = "") -> str:
        names = [n for n in self._tree if n.endswith(suffix) and not n.endswith((".toml", ".py"))]
        return self.random.choice(names) if names else "services/web/main.go"

    def _change(self) -> None:
        """Another two digits: the size stays the same."""
        name = self._pick()
        number = f"{self.random.randrange(100):02}"
        text = self._tree.get(name, START["services/web/main.go"])
        digits = next((i for i in range(len(text) - 1) if text[i : i + 2].isdigit()), None)
        if digits is None:
            text += f"// {number}\n"
        else:
            text = text[:digits] + number + text[digits + 2 :]
        self.log.append(f"change {name} to {number}")
        self._tree[name] = text

    def _configure(self) -> None:
        service = self.random.choice(("api", "web"))
        key = self.random.choice(("tables", "files", *_BINARY, *_IMAGE))
        self._choices[f"{service}.{key}"] = self.random.randrange(6)
        name = f"services/{service}/service.toml"
        self._tree[name] = self._service_toml(service)
        self.log.append(f"configure {name}: {self._tree[name]!r}")

    def _service_toml(self, service: str) -> str:
        def of(key: str, options: tuple[str, ...]) -> str:
            return options[self._choices.get(f"{service}.{key}", 0) % len(options)]

        table = of("tables", _TABLES[service])
        essentials = 'essentials = ["accounts", "hosts", "zoneinfo", "tmp"]\n'
        return "".join(
            (
                '[binary]\nrule = "go_binary"\n',
                *(of(key, options) for key, options in _BINARY.items()),
                "[image]\n",
                essentials if "zoneinfo" in table else "",
                of("files", _FILES[service]),
                *(of(key, options) for key, options in _IMAGE.items()),
                table,
            )
        )

    def _add(self) -> None:
        number = self.random.randrange(3)
        go = f'package main\n\nimport "os"\n\nfunc init() {{ os.Setenv("N", "{number:02}") }}\n'
        name, text = self.random.choice(
            (
                (f"services/api/more{number}.go", go),
                (f"services/web/more{number}.go", go),
                ("services/api/slim.go", "//go:build slim\n\n" + go),
                ("services/web/main_arm64.go", go),
                (f"services/api/assets/new{number}.txt", "new00\n"),
                ("services/api/assets/_hidden.txt", "not embedded 00\n"),
                (f"services/web/static/new{number}.html", "00\n"),
                ("services/web/static/run", "#!/bin/sh\n"),
                ("services/web/static/link", f"->js/{number}"),
                (f"gen/b{number}.sql", "create table b00;\n"),
            )
        )
        self.log.append(f"add {name}")
        self._tree[name] = text

    def _remove(self) -> None:
        name = self._pick()
        self.log.append(f"remove {name}")
        self._tree.pop(name, None)

    def _rename(self) -> None:
        name = self._pick()
        folder, _, base = name.rpartition("/")
        new = f"{folder}/r{self.random.randrange(3)}_{base}".lstrip("/")
        self.log.append(f"rename {name} to {new}")
        if name in self._tree:
            self._tree[new] = self._tree.pop(name)

    def _revert(self) -> None:
        steps = self.random.randrange(1, 4)
        self.log.append(f"revert {steps} edits")
        self._tree = dict(self._past[-1 - min(steps, len(self._past) - 1)])

    def _break(self) -> None:
        name = self._pick(".go")
        self.log.append(f"break {name}")
        self._tree[name] = self._tree.get(name, "") + "BROKEN"

    def _touch(self) -> None:
        name = self.random.choice([n for n in self._disk if not self._disk[n].startswith("->")])
        self.log.append(f"touch {name}")
        os.utime(self._root / name)

    def _irrelevant(self) -> None:
        number = f"{self.random.randrange(100):02}"
        self.log.append(f"README and tests {number}")
        self._tree["README.md"] = number
        self._tree["services/api/api_test.go"] = f"package main\n\n// {number}\n"
        self._tree["other/main.go"] = lone_go(number)

    def _add_service(self) -> None:
        if "services/new/main.go" in self._tree:
            self.log.append("remove the service new")
            for name in [name for name in self._tree if name.startswith("services/new/")]:
                del self._tree[name]
        else:
            self.log.append("add a service new")
            self._tree["services/new/main.go"] = self._tree.get("services/web/main.go", "")
            self._tree["services/new/service.toml"] = '[binary]\nrule = "go_binary"\n'

    def _swap_kind(self) -> None:
        """A folder becomes a file, or comes back."""
        name = "services/web/static/js"
        self.log.append(f"swap {name}")
        below = [each for each in self._tree if each.startswith(f"{name}/")]
        if name in self._tree:
            del self._tree[name]
            self._tree[f"{name}/app.js"] = "// 00\n"
        else:
            for each in below:
                del self._tree[each]
            self._tree[name] = "00\n"

    def _save(self) -> None:
        """Bring the disk to the tree, each file in one of the ways there are to write one."""
        for name in [name for name in self._disk if name not in self._tree]:
            (self._root / name).unlink()
            self._prune((self._root / name).parent)
        for name, text in self._tree.items():
            if self._disk.get(name) != text:
                self._write(self._root / name, text)
        self._disk = dict(self._tree)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        ways: tuple[Callable[[Path, str], None], ...] = (_in_place, _by_rename, _with_old_time)
        if text.startswith("->"):
            ways = (_as_link,)
        elif path.is_symlink():
            path.unlink()
        way = self.random.choice(ways)
        way(path, text)
        self.log.append(f"    {way.__name__} {path.relative_to(self._root)}")
        if not path.is_symlink():
            path.chmod(0o755 if text.startswith("#!") else 0o644)

    def _prune(self, folder: Path) -> None:
        while folder != self._root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _in_place(path: Path, text: str) -> None:
    path.write_text(text)


def _by_rename(path: Path, text: str) -> None:
    temp = path.with_name(f".{path.name}.tmp")
    temp.write_text(text)
    os.replace(temp, path)


def _with_old_time(path: Path, text: str) -> None:
    """As tar, rsync and `cp -p` do: the time of modification says nothing."""
    before = path.stat().st_mtime_ns if path.exists() else _LONG_AGO
    path.write_text(text)
    os.utime(path, ns=(before, before))


def _as_link(path: Path, text: str) -> None:
    if path.is_symlink() or path.exists():
        path.unlink()
    path.symlink_to(text.removeprefix("->"))
