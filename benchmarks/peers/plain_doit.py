"""doit without us: a dodo.py that a careful user would write for the same services by hand."""

from collections.abc import Sequence
from pathlib import Path

from ..generators.tree import Tree
from ..process import doit_program, expect, run

DODO = '''"""Seven tasks for each service; their files are found by globs, as people write it."""

import glob
import os

ROOT = {root!r}
NAMES = {names!r}


def make(targets):
    """Stands for a compiler: only what doit itself does is measured."""
    for target in targets:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()


def nothing():
    """Stands for what is done with an image."""


def files_of(name):
    return [
        *glob.glob(f"{{ROOT}}/services/{{name}}/*.go"),
        *glob.glob(f"{{ROOT}}/services/{{name}}/internal/*/*.go"),
        f"{{ROOT}}/services/{{name}}/service.toml",
        f"{{ROOT}}/lib/shared/shared.go",
        f"{{ROOT}}/go.mod",
    ]


def task_binary():
    for name in NAMES:
        yield {{
            "name": name,
            "doc": f"static binary {{name}}",
            "actions": [make],
            "file_dep": files_of(name),
            "targets": [f"out/{{name}}/binary"],
            "clean": True,
        }}


def task_layer():
    for name in NAMES:
        yield {{
            "name": name,
            "doc": f"accounts of {{name}}",
            "actions": [make],
            "file_dep": [f"{{ROOT}}/services/{{name}}/service.toml"],
            "targets": [f"out/{{name}}/etc"],
            "clean": True,
        }}


def task_rootfs():
    for name in NAMES:
        yield {{
            "name": name,
            "doc": f"root file system {{name}}",
            "actions": [make],
            "file_dep": [
                f"out/{{name}}/binary",
                f"out/{{name}}/etc",
                f"{{ROOT}}/services/{{name}}/service.toml",
            ],
            "targets": [f"out/{{name}}/rootfs"],
            "clean": True,
        }}


def task_image():
    for name in NAMES:
        yield {{
            "name": name,
            "doc": f"image {{name}}",
            "actions": [make],
            "file_dep": [f"out/{{name}}/rootfs"],
            "targets": [f"out/{{name}}/index.json"],
            "clean": True,
        }}


def after(kind):
    for name in NAMES:
        yield {{
            "basename": kind,
            "name": name,
            "doc": f"{{kind}} {{name}}",
            "actions": [nothing],
            "task_dep": [f"image:{{name}}"],
        }}


def task_load():
    yield from after("load")


def task_smoke():
    yield from after("smoke")


def task_push():
    yield from after("push")


DOIT_CONFIG = {{"default_tasks": ["image"]}}
'''


class PlainDoit:
    """Equal tasks for the services *names* of *tree*, in *folder*, with doit's own defaults."""

    def __init__(self, tree: Tree, names: Sequence[str], folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dodo.py").write_text(DODO.format(root=str(tree.root), names=list(names)))

    def record(self) -> None:
        """Run the tasks once, so that doit knows the files."""
        self.doit()

    def noop(self) -> None:
        """A run that finds all up to date."""
        lines = self.doit().splitlines()
        expect(all(line.startswith("-- ") for line in lines), f"plain doit ran {lines[:3]}")

    def doit(self, *args: str) -> str:
        """Run doit with *args*; what it printed."""
        return run([doit_program(), *args], self._folder).out
