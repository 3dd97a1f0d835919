"""From an edit until a container answers HTTP with it: ours and what people do today."""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scratchtasks.sinks.docker.containers import SERVICE

from ..generators.tree import mark_of
from ..layouts import layers_of
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.docker import BuildFolder, Docker, Starts, plain_docker, with_buildx
from ..peers.go import go_build
from ..peers.ko import Ko, is_possible
from ..peers.registry import free_port, registry, wait_for_http
from ..process import Wrong, doit_program, expect, run
from ..table import Table
from .trees import twenty

UP_LOOKS_ON = (
    "`doit up` itself looks on for half a second after the start, which is in the table of where"
    " its time goes (`up`) and in no time that is compared."
)


@dataclass(slots=True)
class Site:
    """Where the container runs, and all that it leaves behind there."""

    docker: Docker
    container: str = "scratchbench"
    images: set[str] = field(default_factory=set)
    answer: str = ""

    def start(self, image: str) -> None:
        """Run *image* and wait for its first answer."""
        port = free_port()
        self.docker.run(
            *("run", "-d", "--name", self.container, "-p", f"127.0.0.1:{port}:8080", image)
        )
        self.answer = wait_for_http(port, "/")

    def end(self, _: int) -> None:
        """End the container."""
        self.docker.run("rm", "-f", self.container)

    def check(self, number: int) -> None:
        """The answer was of this edit; then end the container."""
        self.end_and_forget(number)
        expect(mark_of(number) in self.answer, f"the container answers {self.answer!r}")

    def end_and_forget(self, number: int) -> None:
        """End the container, whose image is to be removed at last."""
        image = self.docker.run("inspect", "--format", "{{.Image}}", self.container)
        self.images.add(image)
        self.end(number)

    def clear(self) -> None:
        """Remove every image that was run."""
        for image in self.images:
            try:
                self.docker.run("rmi", "-f", image)
            except Wrong:
                continue  # another tag of one that is gone already


class DoitUp:
    """`doit up NAME` in *root*, until the container answers: the command itself looks on longer."""

    def __init__(self, site: Site, root: Path, name: str) -> None:
        self._site, self._root, self._name = site, root, name
        self._up: subprocess.Popen[bytes]
        self._starts: Starts

    def before(self) -> None:
        """Watch for the container's start."""
        self._starts = self._site.docker.watch_starts(f"label={SERVICE}={self._name}")

    def run(self, _: int) -> None:
        """Up, and the first answer."""
        port = free_port()
        argv = [doit_program(), "up", self._name, "-p", f"{port}:8080"]
        env, nowhere = self._site.docker.environment(), subprocess.DEVNULL
        self._up = subprocess.Popen(argv, cwd=self._root, env=env, stdout=nowhere, stderr=nowhere)
        self._starts.wait(f"doit up {self._name}")
        self._site.answer = wait_for_http(port, "/")

    def check(self, number: int) -> None:
        """The command ended well, and the answer was of this edit."""
        self._starts.end()
        expect(self._up.wait() == 0, "doit up failed")
        self._site.check(number)


def run_tables(options: Options) -> list[Table]:
    """One table, with the peers that the machine has."""
    tree, shape = twenty(options)
    name = shape.names()[0]
    docker = plain_docker(options.docker_host, options.work)
    expect(docker.answers(), "no Docker Engine answers: set DOCKER_HOST")
    site, upped = Site(docker), Site(docker, f"scratch-{name}")
    up = DoitUp(upped, tree.root, name)
    folder = BuildFolder(options.work / "build", [name])
    essentials = layers_of(tree.root / "dist" / name)[:-1]
    folder.prepare(essentials)
    archive = options.work / "archive.tar"
    to_daemon = ["--dest-daemon-host", options.docker_host] if options.docker_host else []
    doit_env = docker.environment()

    def built_outside() -> None:
        go_build(tree.root, folder.bin, [f"./services/{name}"])

    def doit_load(_: int) -> None:
        run([doit_program(), f"load:{name}"], tree.root, doit_env)
        site.start(f"{name}:latest")

    def docker_build(_: int) -> None:
        built_outside()
        docker.run("build", "-q", "-t", f"scratchbench/{name}:build", "--build-arg",
                   f"NAME={name}", ".", cwd=folder.root)  # fmt: skip
        site.start(f"scratchbench/{name}:build")

    def docker_load(_: int) -> None:
        run([doit_program(), f"image:{name}"], tree.root)
        archive.unlink(missing_ok=True)
        tag = f"scratchbench/{name}:load"
        run(["skopeo", "copy", "-q", f"oci:dist/{name}", f"docker-archive:{archive}:{tag}"],
            tree.root)  # fmt: skip
        docker.run("load", "-q", "-i", str(archive))
        site.start(tag)

    def skopeo(_: int) -> None:
        run([doit_program(), f"image:{name}"], tree.root)
        tag = f"scratchbench/{name}:skopeo"
        run(["skopeo", "copy", "-q", *to_daemon, f"oci:dist/{name}", f"docker-daemon:{tag}"],
            tree.root)  # fmt: skip
        site.start(tag)

    ways: dict[str, Callable[[int], None]] = {
        "doit load + docker run": doit_load,
        "go build + docker build + docker run": docker_build,
        "doit image + docker load of all + docker run": docker_load,
        "doit image + skopeo copy + docker run": skopeo,
    }
    with ExitStack() as stack:
        stack.callback(site.clear)
        stack.callback(upped.clear)
        if not options.short:
            _add_built_peers(options, stack, site, ways, tree.root, name, essentials, built_outside)
        edits = stack.enter_context(tree.edited(f"services/{name}/main.go"))

        def edit_and_watch(number: int) -> None:
            edits.write(number)
            up.before()

        contenders = [Contender(name="doit up", run=up.run, before=edit_and_watch, check=up.check)]
        contenders += [
            Contender(name=way, run=work, before=edits.write, check=site.check)
            for way, work in ways.items()
        ]
        run([doit_program(), f"load:{name}"], tree.root, doit_env)
        site.images.add(docker.id_of(f"{name}:latest"))
        contenders.append(
            Contender(
                name="docker run alone, as loaded before",
                run=lambda _: site.start(f"{name}:latest"),
                check=site.end,
            )
        )
        seconds = interleave(contenders, options.count(9, 1), tell=options.tell)
        up_to_its_end = Ours(
            name=contenders[0].name,
            cwd=tree.root,
            words=("up", name, "-p", f"{free_port()}:8080"),
            env=doit_env,
            before=edits.write,
            check=upped.end_and_forget,
        )
        load_alone = Ours(
            name=f"doit load:{name}",
            cwd=tree.root,
            words=(f"load:{name}",),
            env=doit_env,
            before=edits.write,
            check=lambda _: site.images.add(docker.id_of(f"{name}:latest")),
        )
        parts = parts_of([up_to_its_end, load_alone])
    tree.doit()
    return [
        Table(
            name="container",
            title="From an edit until a container answers HTTP",
            baseline="go build + docker build + docker run",
            ours=("doit up", "doit load + docker run"),
            seconds=seconds,
            wanted=0.6,
            facts={"engine": docker.run("version", "--format", "{{.Server.Version}}")},
            notes=(UP_LOOKS_ON,),
            parts=parts,
        )
    ]


def _add_built_peers(
    options: Options,
    stack: ExitStack,
    site: Site,
    ways: dict[str, Callable[[int], None]],
    module: Path,
    name: str,
    essentials: list[Path],
    built_outside: Callable[[], None],
) -> None:
    """buildx and ko, which Go's module proxy has."""
    buildx = with_buildx(options.docker_host, options.work)

    def bake(_: int) -> None:
        built_outside()
        buildx.run(
            *("buildx", "bake", "--progress=quiet", "--set", "*.output=type=docker"),
            cwd=options.work / "build",
        )
        site.start(f"scratchbench/{name}:bake")

    ways["go build + buildx bake + docker run"] = bake
    if is_possible():
        ko = Ko(options.work, module, stack.enter_context(registry(options.work / "registry")))
        ko.prepare(essentials)

        def ko_build(_: int) -> None:
            site.start(ko.build_local(f"./services/{name}", options.docker_host))

        ways["ko build --local + docker run"] = ko_build
