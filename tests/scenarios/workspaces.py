"""A small monorepo in a temporary folder, and `doit` as its user runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scratchtasks.config.default_pins import DEFAULT_PINS

LOADER = '[tool.doit]\nloader = "scratch"\n'
DODO = 'from scratchtasks import Workspace\n\ntask_images = Workspace(services=["services/*"])\n'
QUICK = '[image]\nessentials = ["accounts", "hosts", "nsswitch", "tmp"]\n'
"""Defaults that need no download."""

ETC = "//:etc-440ed05f183c"
"""The layer of etc files that QUICK gives; named by what it holds."""

GO_MOD = "module example.com/shop\n\ngo 1.21\n"
SERVICE = '[binary]\nrule = "go_binary"\n'
PREBUILT = '[binary]\nrule = "prebuilt"\npath = "tool"\n'

_RAN = re.compile(r"^(//\S*:\S+)  (\w+)(?: \(\S+\))?  \d", re.MULTILINE)
_OURS = ("SOURCE_DATE_EPOCH", "GOFLAGS", "GOWORK", "PYTEST_CURRENT_TEST")


def main_go(word: str) -> str:
    """A Go program that says *word* and what the shared package says."""
    return (
        'package main\n\nimport (\n\t"os"\n\n\t"example.com/shop/lib"\n)\n\n'
        'var version = "none"\n\n'
        f'func main() {{ os.Stdout.WriteString("{word} " + version + lib.Word + "\\n") }}\n'
    )


def lone_go(word: str) -> str:
    """A Go program that says *word* and imports nothing of ours."""
    return f'package main\n\nimport "os"\n\nfunc main() {{ os.Stdout.WriteString("{word}\\n") }}\n'


TWO_SERVICES: Mapping[str, str] = {
    "dodo.py": DODO,
    "pyproject.toml": LOADER,
    "scratch.toml": QUICK,
    "go.mod": GO_MOD,
    "lib/lib.go": 'package lib\n\nconst Word = "lib"\n',
    "services/api/main.go": main_go("api"),
    "services/api/service.toml": SERVICE,
    "services/web/main.go": lone_go("web"),
    "services/web/service.toml": (
        SERVICE + '\n[image]\nfiles = [{ src = "static", dest = "/srv/www" }]\n'
    ),
    "services/web/static/index.html": "<p>hello</p>\n",
}
"""Two Go services; api uses the package lib, web ships a folder of files."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished run of doit: its exit *code*, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def actions(self) -> list[str]:
        """What was really run, sorted: `//services/api:binary GoCompile`."""
        return sorted(f"{label} {mnemonic}" for label, mnemonic in _RAN.findall(self.out))

    @property
    def summary(self) -> str:
        """The last line, without its time: `2 images up to date`."""
        lines = self.out.splitlines()
        return lines[-1].rpartition(", ")[0] if lines else ""

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@dataclass(slots=True)
class Site:
    """A workspace at *root*; *env* is added to the environment of its runs."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str, str]) -> None:
        """Write *files*, text by relative path."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """What a run sees: this process's environment without what steers builds."""
        theirs = {name: value for name, value in os.environ.items() if name not in _OURS}
        return {**theirs, **self.env, **more}

    def start(
        self, *args: str, below: str = "", env: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        """Start doit with *args* in the folder *below* the root."""
        return subprocess.Popen(
            [sys.executable, "-m", "doit", *args],
            cwd=self.root / below,
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,
        )

    def run(
        self, *args: str, below: str = "", env: Mapping[str, str] | None = None, **more: Any
    ) -> Ran:
        """Run doit with *args* to its end, whatever that is."""
        process = self.start(*args, below=below, env=env, **more)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Ran(process.returncode, out.decode(), err.decode())

    def doit(
        self, *args: str, below: str = "", env: Mapping[str, str] | None = None, **more: Any
    ) -> Ran:
        """Run doit with *args*; it has to succeed."""
        ran = self.run(*args, below=below, env=env, **more)
        assert ran.code == 0, str(ran)
        return ran

    def images(self, *, is_whole: bool = True) -> dict[str, str]:
        """Digests by name, as dist/images.json has them; checked against the layouts.

        After a failure an image of an earlier run may have lost its layout: then not *is_whole*.
        """
        path = self.root / "dist" / "images.json"
        if not path.exists():
            return {}
        images = json.loads(path.read_text())["images"]
        for image in images:
            layout = self.root / "dist" / image["name"]
            if not is_whole and not (layout / "index.json").exists():
                continue
            index = json.loads((layout / "index.json").read_text())
            assert index["manifests"][0]["digest"] == image["digest"], image["name"]
            blob = layout / "blobs" / image["digest"].replace(":", "/")
            assert blob.is_file(), f"{image['name']} lacks its manifest"
        return {image["name"]: image["digest"] for image in images}

    def copy_to(self, root: Path) -> "Site":
        """The same sources in the new folder *root*, nothing built; fetched wheels come along."""
        ignored = shutil.ignore_patterns(".scratch", "dist")
        shutil.copytree(self.root, root, symlinks=True, ignore=ignored)
        share_pins(self.root, root)
        return Site(root, dict(self.env))

    def clean_build(self, root: Path, *args: str) -> dict[str, str]:
        """The images that a build from nothing in the new folder *root* gives."""
        other = self.copy_to(root)
        try:
            is_whole = other.run(*args).code == 0
            return other.images(is_whole=is_whole)
        finally:
            shutil.rmtree(root)

    def layers(self, name: str) -> dict[str, Path]:
        """Where the store keeps the layers of image *name*, by their kind."""
        images = json.loads((self.root / "dist/images.json").read_text())["images"]
        (image,) = (image for image in images if image["name"] == name)
        return {layer["kind"]: self.root / blob_path(layer["digest"]) for layer in image["layers"]}


def site_of(root: Path, files: Mapping[str, str]) -> Site:
    """The workspace in the folder *root* that consists of *files*, nothing built yet."""
    site = Site(root)
    site.write(files)
    return site


def shop(folder: Path) -> Site:
    """TWO_SERVICES in *folder*, nothing built yet."""
    return site_of(folder / "ws", TWO_SERVICES)


def blob_path(digest: str) -> str:
    """Where the store keeps the blob *digest*, relative to the root."""
    hexadecimal = digest.removeprefix("sha256:")
    return f".scratch/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}"


def share_pins(source: Path, dest: Path) -> None:
    """Copy the pinned wheels that the workspace *source* has fetched to that in *dest*."""
    for pin in DEFAULT_PINS.values():
        name = blob_path(pin.sha256)
        if (source / name).exists():
            (dest / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, dest / name)
