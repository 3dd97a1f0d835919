"""A Rust monorepo on disk, and runs over it with the real cargo."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.digest import Json
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import Operation, World
from scratchtasks.execute.rust import CargoBuild, CargoMetadata
from scratchtasks.execute.verdict import Verdict

from .golang_workspace import Recording, Silent

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
OPERATIONS: Mapping[str, Operation] = {
    "cargo_metadata": CargoMetadata(),
    "cargo_build": CargoBuild(),
}

WorldAt = Callable[..., World]


def rust_actions(
    folder: str,
    *,
    crate: str = ".",
    binary: str = "",
    features: Sequence[str] = (),
    default_features: bool = True,
    env: Mapping[str, str] | None = None,
    platform: Platform = AMD64,
) -> tuple[Action, Action]:
    """The two actions of a Rust binary in *folder*, as its rule makes them."""
    params: dict[str, Json] = {
        "folder": folder,
        "crate": crate,
        "bin": binary,
        "features": list(features),
        "default_features": default_features,
    }
    metadata = Action(
        label=Label(folder, "binary#metadata"),
        mnemonic="CargoMetadata",
        op="cargo_metadata",
        is_probe=True,
        params=params,
        platform=platform,
    )
    built = Action(
        label=Label(folder, "binary"),
        mnemonic="CargoBuild",
        op="cargo_build",
        params={**params, "name": folder.rpartition("/")[2], "env": env or {}},
        platform=platform,
        deps={"metadata": metadata.name},
    )
    return metadata, built


class Run:
    """One doit run's worth of engine over a workspace; *shown* collects compilers' messages."""

    def __init__(self, world: World, *actions: tuple[Action, ...]) -> None:
        self.shown: list[bytes] = []
        self.processes = Recording(self.shown.append)
        self.world = replace(world, processes=self.processes)
        self.world.files.forget_scan()
        self.names = [pair[-1].name for pair in actions]
        flat = {action.name: action for pair in actions for action in pair}
        self.engine = Engine(self.world, flat, OPERATIONS, Silent())

    def build(self, number: int = 0) -> bytes:
        """The bytes of the binary of the action pair *number*."""
        return self.binary(self.engine.build(self.names[number]))

    def build_together(self) -> list[bytes]:
        """The bytes of all binaries, built in one batch."""
        results = self.engine.run(self.names)
        return [self.binary(results[name]) for name in self.names]

    def binary(self, result: object) -> bytes:
        assert isinstance(result, ActionResult), result
        return self.world.store.read(result.outputs["binary"].digest)

    def verdict(self, number: int = 0) -> Verdict:
        return self.engine.verdict(self.names[number])

    def batch_key(self, number: int = 0) -> str:
        job = self.verdict(number).job
        assert job is not None
        return OPERATIONS["cargo_build"].batch_key(job, self.world)

    def cargo_calls(self) -> list[str]:
        """The subcommands of cargo that ran, in order."""
        return [call[1] for call in self.processes.calls if call[0].endswith("/cargo")]


def manifest(name: str, *dependencies: str, extra: str = "") -> str:
    """The text of a small Cargo.toml."""
    package = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{extra}\n'
    return package + "[dependencies]\n" + "".join(f"{line}\n" for line in dependencies)


def lock(folder: Path) -> None:
    """Write the Cargo.lock of the crate or workspace in *folder*."""
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=folder, check=True)


def execute(binary: bytes, path: Path, *args: str) -> str:
    """What the program *binary*, written to *path*, prints."""
    path.write_bytes(binary)
    path.chmod(0o755)
    return subprocess.run([path, *args], check=True, capture_output=True).stdout.decode()
