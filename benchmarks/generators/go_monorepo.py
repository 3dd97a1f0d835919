"""A Go monorepo of one module: services that share libraries, among many files that Go ignores.

Of the 100 files of a service, in 8 folders, a dozen are Go; the rest are documents, configuration,
deployment and test data, as monorepos have them.  No module from outside: it builds offline.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .text import markdown, records, settings
from .tree import DODO, IGNORED, MARK, PYPROJECT, File, Tree, grown

MODULE = "example.com/monorepo"
SHARED = "lib/shared/shared.go"
"""Every service imports this package."""

_PLENTY = {"docs": (22, markdown, "md"), "configs": (18, settings, "yaml"),
           "deploy": (16, settings, "yaml"), "testdata": (22, records, "json"),
           "schemas": (8, records, "json")}  # fmt: skip
_FEW = {"docs": (1, markdown, "md")}

_FIRST_UID = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GoMonorepo:
    """*services* programs; *is_web* ones serve HTTP (6 MB), the others only print (1 MB).

    *plenty* gives each service its 100 files and a user of its own (so a layer of its own for
    /etc, and a task for that), else it has 14 and shares them.  *libraries* packages are shared by
    chance, one by all.
    """

    services: int
    is_web: bool = False
    plenty: bool = True
    libraries: int = 20
    seed: int = 4

    def grow(self, root: Path) -> Tree:
        """The tree at *root*."""
        return grown(root, self.about(), self.files())

    def about(self) -> dict[str, object]:
        """What the files depend on."""
        return asdict(self)

    def names(self) -> list[str]:
        """The names of the services."""
        return [service_name(number) for number in range(self.services)]

    def files(self) -> Iterator[File]:
        """Path and text of every file."""
        chance = random.Random(self.seed)
        yield "dodo.py", DODO
        yield "pyproject.toml", PYPROJECT
        yield ".gitignore", IGNORED
        yield "go.mod", f"module {MODULE}\n\ngo 1.21\n"
        yield (
            SHARED,
            (
                "// Package shared is in every service.\npackage shared\n\n"
                f'// Release is printed by all.\nvar Release = "{MARK}"\n'
            ),
        )
        for number in range(self.libraries):
            yield from _library(number, chance)
        for number in range(self.services):
            yield from self._service(number, chance)

    def _service(self, number: int, chance: random.Random) -> Iterator[File]:
        name = service_name(number)
        folder = f"services/{name}"
        used = sorted(chance.sample(range(self.libraries), min(3, self.libraries)))
        user = f"{name}:{_FIRST_UID + number}" if self.plenty else "app:1001"
        yield f"{folder}/service.toml", _service_toml(name, user, self.is_web)
        yield (
            f"{folder}/main.go",
            (_WEB if self.is_web else _PRINTING).format(module=MODULE, name=name, mark=MARK),
        )
        yield f"{folder}/README.md", markdown(chance, name)
        for package in ("model", "handlers"):
            for part in range(5):
                yield (
                    f"{folder}/internal/{package}/part{part}.go",
                    _part(package, part, used if package == "model" else ()),
                )
            yield f"{folder}/internal/{package}/{package}_test.go", f"package {package}\n"
        for kind, (count, write, suffix) in (_PLENTY if self.plenty else _FEW).items():
            for place in range(count):
                yield f"{folder}/{kind}/{kind}-{place:02}.{suffix}", write(chance, name)


def service_name(number: int) -> str:
    """The name of service *number*."""
    return f"svc-{number:04}"


def _library(number: int, chance: random.Random) -> Iterator[File]:
    folder = f"lib/lib{number:02}"
    for part in range(4):
        value = chance.randrange(1_000)
        yield (
            f"{folder}/part{part}.go",
            (
                f"// Package lib{number:02} is shared.\npackage lib{number:02}\n\n"
                f"// Value{part} is one of its values.\n"
                f"func Value{part}(n int) int {{ return n*{value} + {part} }}\n"
            ),
        )
    yield f"{folder}/README.md", markdown(chance, f"lib{number:02}")


def _part(package: str, part: int, libraries: tuple[int, ...] | list[int]) -> str:
    imports = "".join(f'\t"{MODULE}/lib/lib{number:02}"\n' for number in libraries)
    calls = "".join(f"\tn = lib{number:02}.Value{part % 4}(n)\n" for number in libraries)
    return (
        f"package {package}\n\n" + (f"import (\n{imports})\n\n" if imports else "") +
        f"// Step{part} is a step of the work.\nfunc Step{part}(n int) int {{\n{calls}"
        f"\treturn n + {part}\n}}\n"
    )  # fmt: skip


def _service_toml(name: str, user: str, is_web: bool) -> str:
    ports = 'ports = ["8080/tcp"]\n' if is_web else ""
    return (
        f'[binary]\nrule = "go_binary"\n\n[image]\nuser = "{user}"\n{ports}'
        f'\n[smoke]\ncommand = ["/usr/bin/{name}", "--version"]\nstdout = "{name}"\n'
        f'\n[push]\nrepository = "registry.example.com/team/{name}"\n'
    )


_PRINTING = """package main

import (
	"os"

	"{module}/lib/shared"
	"{module}/services/{name}/internal/handlers"
	"{module}/services/{name}/internal/model"
)

var own = "{mark}"

func main() {{
	if handlers.Step0(model.Step1(len(os.Args))) == 0 {{
		os.Exit(1)
	}}
	os.Stdout.WriteString("{name} " + own + " " + shared.Release + "\\n")
}}
"""

_WEB = """package main

import (
	"net/http"
	"os"

	"{module}/lib/shared"
	"{module}/services/{name}/internal/handlers"
	"{module}/services/{name}/internal/model"
)

var own = "{mark}"

func main() {{
	text := "{name} " + own + " " + shared.Release + "\\n"
	if len(os.Args) > 1 {{
		os.Stdout.WriteString(text)
		return
	}}
	steps := handlers.Step0(model.Step1(len(os.Args)))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {{
		if steps != 0 {{
			w.Write([]byte(text))
		}}
	}})
	if err := http.ListenAndServe(":8080", nil); err != nil {{
		os.Exit(1)
	}}
}}
"""
