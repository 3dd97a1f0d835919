"""Docker's command line, with BuildKit and with buildx, on one engine."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..process import Wrong, environment, expect, run
from .go import go_install

BUILDX = ("github.com/docker/buildx/cmd/buildx", "v0.38.2")

DOCKERFILE = """FROM scratch
ARG NAME
COPY rootfs/ /
COPY bin/${NAME} /usr/bin/app
USER 1001:1001
EXPOSE 8080/tcp
ENTRYPOINT ["/usr/bin/app"]
"""
"""Binaries are built outside; one context serves all services, which is BuildKit's best case."""


@dataclass(frozen=True, slots=True)
class Docker:
    """The docker command for the engine at *host* ("": the default); *config* is its own folder.

    With *config* from `with_buildx`, `docker buildx` is there; else it is the client alone.
    """

    host: str
    config: Path

    def run(self, *args: str, cwd: Path | None = None) -> str:
        """Run docker; what it printed, stripped.  Raises: Wrong."""
        return run([docker_program(), *args], cwd or self.config, self.environment()).out.strip()

    def environment(self) -> dict[str, str]:
        """What docker, and whoever speaks to its engine, is started with."""
        host = {"DOCKER_HOST": self.host} if self.host else {}
        return environment(
            DOCKER_CONFIG=str(self.config),
            DOCKER_BUILDKIT="1",
            BUILDX_NO_DEFAULT_ATTESTATIONS="1",
            **host,
        )

    def watch_starts(self, which: str) -> "Starts":
        """Watch for a container's start, from when this returns; end it after use.

        *which* is a filter of docker's: others may start in this engine too.
        """
        filters = ["--filter", "event=start", "--filter", which]
        argv = [docker_program(), "events", *filters, "--format", "started"]
        process = subprocess.Popen(argv, env=self.environment(), stdout=subprocess.PIPE)
        time.sleep(0.2)
        return Starts(process)

    def id_of(self, reference: str) -> str:
        """The id of an image: who removes that removes all its names."""
        return self.run("image", "inspect", "--format", "{{.Id}}", reference)

    def answers(self) -> bool:
        """Whether the engine is there."""
        try:
            self.run("version")
        except Wrong:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Starts:
    """Nobody may connect to a container before it has its network: it would cost a second."""

    process: subprocess.Popen[bytes]

    def wait(self, what: str) -> None:
        """Until a container has started.  Raises: Wrong, naming *what* should have started it."""
        assert self.process.stdout is not None
        is_started = bool(select.select([self.process.stdout], [], [], 60)[0])
        expect(is_started, f"{what}: no container has started")

    def end(self) -> None:
        """Watch no longer."""
        self.process.terminate()
        self.process.communicate()


def docker_program() -> str:
    """Debian's docker, else the first on PATH; "" without one."""
    debian = "/usr/bin/docker"
    return debian if os.access(debian, os.X_OK) else shutil.which("docker") or ""


def plain_docker(host: str, work: Path) -> Docker:
    """The client without plugins."""
    config = work / "docker-plain"
    config.mkdir(parents=True, exist_ok=True)
    return Docker(host, config)


def with_buildx(host: str, work: Path) -> Docker:
    """The client with buildx, which is built through Go's module proxy if need be."""
    config = work / "docker-buildx"
    plugin = config / "cli-plugins" / "docker-buildx"
    if not plugin.is_file():
        plugin.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(go_install(work / "tools", *BUILDX), plugin)
    return Docker(host, config)


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A context at *root* for the services *names*: essentials in rootfs/, binaries in bin/."""

    root: Path
    names: Sequence[str]

    def prepare(self, essentials: Sequence[Path]) -> None:
        """Write the context anew, the essentials from these layers."""
        shutil.rmtree(self.root, ignore_errors=True)
        rootfs = self.root / "rootfs"
        rootfs.mkdir(parents=True)
        for layer in essentials:
            run(["tar", "-x", "-p", "-f", str(layer), "-C", str(rootfs)], self.root)
        (self.root / "bin").mkdir()
        (self.root / "Dockerfile").write_text(DOCKERFILE)
        targets = {
            name: {
                "context": ".",
                "args": {"NAME": name},
                "tags": [f"scratchbench/{name}:bake"],
                "output": [f"type=oci,dest=out/{name},tar=false"],
            }
            for name in self.names
        }
        bake = {"group": {"default": {"targets": list(self.names)}}, "target": targets}
        (self.root / "docker-bake.json").write_text(json.dumps(bake, indent=1))
        (self.root / ".dockerignore").write_text("copy\nout\n")

    @property
    def bin(self) -> str:
        """Where `go build -o` puts the binaries."""
        return f"{self.root}/bin/"
