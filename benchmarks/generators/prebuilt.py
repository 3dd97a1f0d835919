"""Services whose binaries were made elsewhere: one small Go program, another word in each copy."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..peers.go import go_build
from .tree import DODO, IGNORED, MARK, PYPROJECT, File, Tree, grown, mark_of

PROGRAM = f"""package main

import "os"

var own = "{MARK}"

func main() {{ os.Stdout.WriteString(own + "\\n") }}
"""


@dataclass(frozen=True, slots=True)
class Prebuilt:
    """*services* services, each with its own file `program`."""

    services: int

    def grow(self, root: Path) -> tuple[Tree, bytes]:
        """The tree at *root*, and the program of which its programs are copies."""
        tree = grown(root, {"prebuilt": self.services}, self._files())
        built = root / "source" / "program"
        go_build(root / "source", built, ["."])
        program = built.read_bytes()
        assert program.count(MARK.encode()) == 1
        return tree, program

    def names(self) -> list[str]:
        """The names of the services."""
        return [f"bin-{number:04}" for number in range(self.services)]

    def write_programs(self, tree: Tree, program: bytes, number: int) -> None:
        """Give every service a new program of the same size, another for each *number*."""
        before, _, after = program.partition(MARK.encode())
        for place, name in enumerate(self.names()):
            word = mark_of((number * 1_009 + place) % 1_000_000_000).encode()
            path = tree.root / "services" / name / "program"
            path.write_bytes(before + word + after)
            os.chmod(path, 0o755)

    def _files(self) -> Iterator[File]:
        yield "dodo.py", DODO
        yield "pyproject.toml", PYPROJECT
        yield ".gitignore", f"{IGNORED}program\n"
        yield "source/go.mod", "module example.com/program\n\ngo 1.21\n"
        yield "source/main.go", PROGRAM
        for name in self.names():
            yield (
                f"services/{name}/service.toml",
                (
                    '[binary]\nrule = "prebuilt"\npath = "program"\n\n[image]\n'
                    'essentials = ["accounts", "hosts", "nsswitch", "tmp"]\n'
                ),
            )
