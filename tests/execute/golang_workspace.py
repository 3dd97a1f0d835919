"""A small Go monorepo on disk, a module proxy of files beside it, and runs over both."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.golang.build import GoBuild
from scratchtasks.execute.golang.list import GoList
from scratchtasks.execute.operation import Operation, World
from scratchtasks.execute.process import Finished, Processes

AMD64 = Platform("linux", "amd64")
OPERATIONS: Mapping[str, Operation] = {"go_list": GoList(), "go_build": GoBuild()}

WorldAt = Callable[..., World]


class Recording(Processes):
    """Processes that note what they run."""

    def __init__(self, show: Callable[[bytes], None]) -> None:
        super().__init__(show)
        self.calls: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        show_stderr: bool = True,
        stdin: bytes | BinaryIO = b"",
    ) -> Finished:
        self.calls.append(tuple(argv))
        return super().run(argv, cwd=cwd, env=env, show_stderr=show_stderr, stdin=stdin)


class Silent:
    """A listener that hears nothing."""

    def started(self, actions: Sequence[Action], reason: str) -> None:
        pass

    def finished(self, action: Action, how: str, seconds: float, reason: str, size: int) -> None:
        pass


class Run:
    """One doit run's worth of engine over a workspace."""

    def __init__(self, world: World, actions: Sequence[Action], shown: list[bytes]) -> None:
        self.processes = Recording(shown.append)
        self.world = replace(world, processes=self.processes)
        self.engine = Engine(
            self.world, {action.name: action for action in actions}, OPERATIONS, Silent()
        )

    def go_commands(self) -> list[str]:
        """The subcommands of go that ran, in order."""
        return [call[1] for call in self.processes.calls if call[0].endswith("/go")]

    def close(self) -> None:
        self.world.files.save()


def go_actions(
    folder: str,
    package: str = ".",
    *,
    platform: Platform = AMD64,
    tags: Sequence[str] = (),
    ldflags: Sequence[str] = (),
) -> tuple[Action, Action]:
    """The two actions of a Go binary in *folder*, as its rule makes them."""
    params = {"folder": folder, "package": package, "tags": list(tags)}
    listed = Action(
        label=Label(folder, "binary.list"),
        mnemonic="GoList",
        op="go_list",
        is_probe=True,
        params=params,
        platform=platform,
    )
    built = Action(
        label=Label(folder, "binary"),
        mnemonic="GoCompile",
        op="go_build",
        params={**params, "name": folder.rpartition("/")[2], "ldflags": list(ldflags)},
        platform=platform,
        deps={"list": listed.name},
    )
    return listed, built


def write(root: Path | str, files: Mapping[str, str]) -> None:
    """Write *files* (text by relative path) below *root*."""
    for name, text in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def binary_of(run: Run, result: ActionResult) -> bytes:
    """The bytes of the binary that a go_build made."""
    return run.world.store.read(result.outputs["binary"].digest)


def publish(proxy: Path, module: str, version: str, files: Mapping[str, str]) -> None:
    """Put a module version into the folder *proxy*, in the layout of Go's module proxies."""
    folder = proxy / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    mod = f"module {module}\n\ngo 1.21\n"
    (folder / f"{version}.mod").write_text(mod)
    (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
    with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
        for name, text in {**files, "go.mod": mod}.items():
            archive.writestr(f"{module}@{version}/{name}", text)


def go_sum(proxy: Path, *modules: tuple[str, str]) -> str:
    """The text of a go.sum for *modules* (path, version).  Source: golang.org/x/mod dirhash."""
    lines = []
    for module, version in modules:
        base = proxy / module / "@v" / version
        with zipfile.ZipFile(f"{base}.zip") as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        lines.append(f"{module} {version} {_h1(files)}")
        mod = Path(f"{base}.mod").read_bytes()
        lines.append(f"{module} {version}/go.mod {_h1({'go.mod': mod})}")
    return "".join(f"{line}\n" for line in lines)


def _h1(files: Mapping[str, bytes]) -> str:
    rows = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "h1:" + base64.b64encode(hashlib.sha256("".join(rows).encode()).digest()).decode()


def go(root: Path | str, *args: str, env: Mapping[str, str]) -> str:
    """What a go command of the user's own prints, run in *root*."""
    program = shutil.which("go")
    assert program is not None
    done = subprocess.run(
        [program, *args], cwd=root, env={**os.environ, **env}, check=True, capture_output=True
    )
    return done.stdout.decode()
