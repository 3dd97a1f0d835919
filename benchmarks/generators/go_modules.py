"""Many Go modules in one repository, of a service each: no compiler call can be shared."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .tree import DODO, IGNORED, MARK, PYPROJECT, File, Tree, grown


@dataclass(frozen=True, slots=True)
class GoModules:
    """*services* programs that serve HTTP (6 MB)."""

    services: int

    def grow(self, root: Path) -> Tree:
        """The tree at *root*."""
        return grown(root, {"modules": asdict(self)}, self.files())

    def names(self) -> list[str]:
        """The names of the services."""
        return [f"mod-{number:02}" for number in range(self.services)]

    def sources(self) -> list[str]:
        """The file of each service that holds MARK."""
        return [f"services/{name}/main.go" for name in self.names()]

    def files(self) -> Iterator[File]:
        """Path and text of every file."""
        yield "dodo.py", DODO
        yield "pyproject.toml", PYPROJECT
        yield ".gitignore", IGNORED
        for name, source in zip(self.names(), self.sources(), strict=True):
            yield f"services/{name}/service.toml", '[binary]\nrule = "go_binary"\n'
            yield f"services/{name}/go.mod", f"module example.com/{name}\n\ngo 1.21\n"
            yield source, _MAIN.format(name=name, mark=MARK)


_MAIN = """package main

import (
	"net/http"
	"os"
)

func main() {{
	text := "{name} {mark}\\n"
	if len(os.Args) > 1 {{
		os.Stdout.WriteString(text)
		return
	}}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {{
		w.Write([]byte(text))
	}})
	if err := http.ListenAndServe(":8080", nil); err != nil {{
		os.Exit(1)
	}}
}}
"""
