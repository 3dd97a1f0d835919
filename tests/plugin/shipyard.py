"""A workspace of prebuilt services, a registry to push them to, and no Docker Engine."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.registry.servers import digest_in
from tests.scenarios.workspaces import DODO, LOADER, QUICK, Ran, Site

_SOURCE = """\
package main

import "os"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "fail" {
		os.Stderr.WriteString("no such table: users\\n")
		os.Exit(3)
	}
	os.Stdout.WriteString("api 1.2\\n")
}
"""

BINARY = '[binary]\nrule = "prebuilt"\npath = "tool"\n'
PASSES = '[smoke]\nargs = ["--version"]\nstdout = "api 1[.]"\n'
FAILS = '[smoke]\nargs = ["fail"]\nstdout = "api 1[.]"\n'
BROKEN = "not an ELF program: it is a script, which needs an interpreter"
SMOKE_FAULT = "exit code: wanted 0, got 3; stdout: wanted a match of 'api 1[.]', got nothing"


def compile_program(folder: Path) -> bytes:
    """A static program that says its version, or fails if that is its argument."""
    (folder / "main.go").write_text(_SOURCE)
    subprocess.run(
        ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "tool", "main.go"],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
        check=True,
    )
    return (folder / "tool").read_bytes()


@dataclass
class Yard:
    """The workspace *site*; its services go below *team* of the open registry *host*."""

    site: Site
    host: str
    team: str
    program: bytes

    def __post_init__(self) -> None:
        self.site.env["DOCKER_HOST"] = f"unix://{self.site.root.parent}/no-engine.sock"
        self.site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK})

    def service(
        self, name: str, *, smoke: str = "", push: str | None = "", tags: Sequence[str] = ()
    ) -> None:
        """Write the service *name*; *smoke* is its table, *push* more lines of [push] or None."""
        text = f'{BINARY}\n[image]\nlabels = {{ name = "{name}" }}\n{smoke}'
        if push is not None:
            text += f'[push]\nrepository = "{self.repository(name)}"\n{push}'
        if tags:
            text += f"tags = {json.dumps(list(tags))}\n"
        self.site.write({f"services/{name}/service.toml": text})
        tool = self.site.root / f"services/{name}/tool"
        tool.write_bytes(self.program)
        tool.chmod(0o755)

    def repository(self, name: str) -> str:
        return f"{self.host}/{self.team}/{name}"

    def change(self, name: str, word: str) -> None:
        """Give the image of *name* another digest: one for each *word*."""
        path = self.site.root / f"services/{name}/service.toml"
        path.write_text(path.read_text().replace("{ name =", f'{{ word = "{word}", name ='))

    def break_(self, name: str) -> None:
        """*name* can no longer be built."""
        (self.site.root / f"services/{name}/tool").write_bytes(b"#!/bin/sh\n")

    def in_registry(self, name: str, tag: str = "latest") -> str:
        """The digest of the image *name* there, "" for none."""
        return digest_in(self.host, f"{self.team}/{name}", tag)

    def pushed(self, *names: str) -> str:
        """What a push of *names* prints, from what is in dist/."""
        digests = self.site.images()
        return "".join(f"{self.repository(name)}@{digests[name]}\n" for name in names)

    def references(self, name: str) -> list[str]:
        """References of *name* in dist/images.json."""
        entries: list[dict[str, Any]] = json.loads(
            (self.site.root / "dist/images.json").read_text()
        )["images"]
        (found,) = (entry["references"] for entry in entries if entry["name"] == name)
        return list(found)

    def run(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
        """Run doit with *args* and *stdin* to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "doit", *args],
            cwd=self.site.root,
            env=self.site.environment(**(env or {})),
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def doit(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
        """Run doit with *args*; it has to succeed."""
        ran = self.run(*args, stdin=stdin, env=env)
        assert ran.code == 0, str(ran)
        return ran
