"""From an edit until the container that runs is one of it: what a developer waits for all day."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scratchtasks.sinks.docker.containers import SERVICE

from ..generators.tree import Edits, mark_of
from ..layouts import layers_of
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.docker import BuildFolder, Docker, Starts, plain_docker
from ..peers.go import go_build
from ..peers.registry import free_port, wait_for_http
from ..process import Wrong, doit_program, expect, run
from ..table import Table
from .container import UP_LOOKS_ON
from .trees import twenty

_REST = 2.0
"""Seconds after an answer: `up` looks on for a while, and `watch` gets ready for the next edit."""


class Running:
    """A container of *image* published at *port*, and whatever replaces it: *which* is docker's
    filter for both."""

    def __init__(self, docker: Docker, image: str, which: str) -> None:
        self.port = free_port()
        self._which = which
        self._image = image
        self._images: set[str] = set()
        self._docker = docker
        self._starts: Starts
        self._answer = ""

    def before(self, _: int) -> None:
        """Watch for the start of the one that replaces it."""
        self._starts = self._docker.watch_starts(self._which)

    def wait(self) -> None:
        """Until the next container has started, and answered."""
        self._starts.wait(f"port {self.port}")
        self._answer = wait_for_http(self.port, "/")

    def rest(self) -> None:
        """Look for starts no longer, and let all come to rest."""
        self._starts.end()
        time.sleep(_REST)

    def check(self, number: int) -> None:
        """The answer was of edit *number*."""
        self.rest()
        self.keep_in_mind()
        expect(mark_of(number) in self._answer, f"the container answers {self._answer!r}")

    def keep_in_mind(self) -> None:
        """The image of now has to be removed at last."""
        self._images.add(self._docker.id_of(self._image))

    def clear(self) -> None:
        """Remove the images of all that ran."""
        for image in self._images:
            with suppress(Wrong):
                self._docker.run("rmi", "-f", image)


@dataclass(frozen=True, slots=True)
class Site:
    """The workspace at *root*, run with *docker*."""

    root: Path
    docker: Docker

    def start(self, *args: str) -> "subprocess.Popen[bytes]":
        """Start doit with *args*, in silence."""
        nowhere, env = subprocess.DEVNULL, self.docker.environment()
        argv = [doit_program(), *args]
        return subprocess.Popen(argv, cwd=self.root, env=env, stdout=nowhere, stderr=nowhere)

    @contextmanager
    def watching(self, name: str, running: Running) -> Iterator[None]:
        """`doit watch NAME`, from when its first container answers."""
        running.before(0)
        process = self.start("watch", name, "-p", f"{running.port}:8080")
        try:
            running.wait()
            running.rest()
            running.keep_in_mind()
            yield
        finally:
            process.terminate()
            process.wait()
            run([doit_program(), "up", "--down", name], self.root, self.docker.environment())


def run_tables(options: Options) -> list[Table]:
    """One table: ours, and `docker build` with what has to be done around it."""
    tree, shape = twenty(options)
    docker = plain_docker(options.docker_host, options.work)
    expect(docker.answers(), "no Docker Engine answers: set DOCKER_HOST")
    watched, upped, built = shape.names()[:3]
    site, folder = Site(tree.root, docker), BuildFolder(options.work / "build", [built])
    folder.prepare(layers_of(tree.root / "dist" / built)[:-1])
    container, image = "scratchbench-replace", f"scratchbench/{built}:replace"
    running = {
        name: Running(docker, f"{name}:latest", f"label={SERVICE}={name}")
        for name in (watched, upped)
    }
    running[built] = Running(docker, image, f"container={container}")
    published = f"127.0.0.1:{running[built].port}:8080"

    def up(_: int) -> None:
        site.start("up", upped, "-p", f"{running[upped].port}:8080")
        running[upped].wait()

    def docker_build(_: int) -> None:
        go_build(tree.root, folder.bin, [f"./services/{built}"])
        docker.run("build", "-q", "-t", image, "--build-arg", f"NAME={built}", ".", cwd=folder.root)
        with suppress(Wrong):  # the first time there is none
            docker.run("rm", "-f", container)
        docker.run("run", "-d", "--name", container, "-p", published, image)
        running[built].wait()

    def clear() -> None:
        run([doit_program(), "up", "--down", upped], tree.root, docker.environment())
        docker.run("rm", "-f", container)
        for each in running.values():
            each.clear()

    with ExitStack() as stack:
        stack.callback(clear)
        edits = {
            name: stack.enter_context(tree.edited(f"services/{name}/main.go")) for name in running
        }
        stack.enter_context(site.watching(watched, running[watched]))

        def watch(number: int) -> None:
            edits[watched].write(number)
            running[watched].wait()

        contenders = [
            Contender(
                name="doit watch",
                before=running[watched].before,
                run=watch,
                check=running[watched].check,
            ),
            _edited("doit up", up, running[upped], edits[upped]),
            _edited(
                "go build + docker build + docker rm + docker run",
                docker_build,
                running[built],
                edits[built],
            ),
        ]
        seconds = interleave(contenders, options.count(9, 1), tell=options.tell)
        up_to_its_end = Ours(
            name=contenders[1].name,
            cwd=tree.root,
            words=("up", upped, "-p", f"{running[upped].port}:8080"),
            env=docker.environment(),
            before=edits[upped].write,
            check=lambda _: running[upped].keep_in_mind(),
        )
        parts = parts_of([up_to_its_end])
    tree.doit()
    return [
        Table(
            name="replace",
            title="From an edit until the container that runs is one of it",
            baseline=contenders[2].name,
            ours=("doit watch", "doit up"),
            seconds=seconds,
            facts={"engine": docker.run("version", "--format", "{{.Server.Version}}")},
            notes=(UP_LOOKS_ON,),
            parts=parts,
        )
    ]


def _edited(name: str, work: Callable[[int], object], running: Running, edits: Edits) -> Contender:
    def before(number: int) -> None:
        edits.write(number)
        running.before(number)

    return Contender(name=name, before=before, run=work, check=running.check)
