"""One image of a changed binary of 6 MB, essentials cached: ours and other makers of images."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..generators.go_monorepo import GoMonorepo
from ..generators.tree import DODO, IGNORED, MARK, PYPROJECT, File, grown, mark_of
from ..layouts import content_of, layers_of, said_by
from ..measure import Contender, interleave, spread_of
from ..options import Options
from ..ours import Ours
from ..peers.assemblers import Buildah, Crane, Umoci
from ..peers.docker import BuildFolder, docker_program, plain_docker
from ..peers.go import go_build
from ..process import expect
from ..table import Table

_FILES: list[File] = [
    ("dodo.py", DODO),
    ("pyproject.toml", PYPROJECT),
    (".gitignore", f"{IGNORED}program\n"),
    ("services/one/service.toml", '[binary]\nrule = "prebuilt"\npath = "program"\n'),
]


class Program:
    """Versions of a web server of 6 MB, put where they are wanted."""

    def __init__(self, work: Path) -> None:
        shape = GoMonorepo(services=1, is_web=True, plenty=False)
        go_build(shape.grow(work / "one-1").root, work / "one", [f"./services/{shape.names()[0]}"])
        self._parts = (work / "one").read_bytes().split(MARK.encode())
        expect(len(self._parts) > 1, "the program lost its mark")

    def to(self, path: Path) -> Callable[[int], None]:
        """What puts a version at *path*."""

        def write(number: int) -> None:
            path.write_bytes(mark_of(number).encode().join(self._parts))
            path.chmod(0o755)

        return write


def run_tables(options: Options) -> list[Table]:
    """One table, with the peers that the machine has."""
    tree = grown(options.work / "image", {"files": _FILES}, _FILES)
    program, path = Program(options.work), tree.root / "services" / "one" / "program"
    program.to(path)(0)
    tree.build()
    layout = tree.root / "dist" / "one"
    contenders = [
        Ours(
            name="doit",
            cwd=tree.root,
            before=program.to(path),
            check=says(lambda: content_of(layout, "usr/bin/one")),
        ).contender
    ]
    essentials = layers_of(layout)[:-1]
    with ExitStack() as stack:
        contenders += _on_disk(options, program, path, essentials)
        contenders += _in_stores(options, program, essentials, stack)
        seconds = interleave(contenders, options.count(9, 1), tell=options.tell)
    others = [each.name for each in contenders[1:]] or ["doit"]
    return [
        Table(
            name="image",
            title="One image of a changed binary, essentials cached",
            baseline=min(others, key=lambda name: spread_of(seconds[name]).median),
            ours=("doit",),
            seconds=seconds,
            facts={"bytes of the binary": path.stat().st_size},
            notes=(
                "The images of `docker build` and `buildah bud` are in stores of their own, crane's"
                " is a docker archive without essentials, the others are in an OCI layout.",
                *(["crane is left out of the short form."] if options.short else []),
                *_missing(others, options),
            ),
        )
    ]


def _missing(others: Sequence[str], options: Options) -> list[str]:
    """A sentence about the peers that are not among *others*."""
    known = ("umoci", "docker", "buildah", *([] if options.short else ["crane"]))
    missing = [peer for peer in known if not any(peer in other for other in others)]
    return [f"Not on this machine: {', '.join(missing)}."] if missing else []


def says(program: Callable[[], bytes]) -> Callable[[int], None]:
    """A check that *program* is the version that was asked for."""

    def check(number: int) -> None:
        said = said_by(program())
        expect(mark_of(number) in said, f"the program says {said!r}, not {mark_of(number)}")

    return check


def _on_disk(
    options: Options, program: Program, path: Path, essentials: Sequence[Path]
) -> list[Contender]:
    found = []
    if shutil.which("umoci"):
        umoci = Umoci(options.work)
        umoci.prepare(essentials)
        found.append(
            Contender(
                name="umoci insert + config",
                before=program.to(path),
                run=lambda _: umoci.make(path),
                check=says(umoci.made),
            )
        )
    if not options.short:  # it would have to be built
        crane = Crane(options.work)
        found.append(
            Contender(
                name="tar + crane append",
                before=program.to(path),
                run=lambda _: crane.make(path),
                check=says(crane.made),
            )
        )
    return found


def _in_stores(
    options: Options, program: Program, essentials: Sequence[Path], stack: ExitStack
) -> list[Contender]:
    found = []
    docker = plain_docker(options.docker_host, options.work)
    if docker_program() and docker.answers():
        folder = BuildFolder(options.work / "one-context", ["one"])
        folder.prepare(essentials)
        images: list[str] = []
        build = ("build", "-q", "--build-arg", "NAME=one", ".")

        def in_image() -> bytes:
            made = docker.run("create", images[-1])
            docker.run("cp", f"{made}:/usr/bin/app", str(folder.root / "copy"))
            docker.run("rm", made)
            return (folder.root / "copy").read_bytes()

        stack.callback(lambda: docker.run("rmi", "-f", *dict.fromkeys(images)))
        found.append(
            Contender(
                name="docker build, BuildKit",
                before=program.to(Path(folder.bin, "one")),
                run=lambda _: images.append(docker.run(*build, cwd=folder.root)),
                check=says(in_image),
            )
        )
    if shutil.which("buildah"):
        buildah, made = Buildah(options.work), list[str]()
        buildah.prepare(essentials)
        stack.callback(lambda: buildah.remove(made))
        found.append(
            Contender(
                name="buildah bud",
                before=program.to(buildah.program),
                run=lambda _: made.append(buildah.make()),
                check=says(lambda: buildah.made(made[-1])),
            )
        )
    return found
