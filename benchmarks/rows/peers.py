"""20 Go services of one module, to images on disk: ours, `ko resolve`, `buildx bake`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ..generators.go_monorepo import MODULE, SHARED, GoMonorepo
from ..generators.tree import Edits, Tree, mark_of
from ..layouts import content_of, expect_said, layers_of, said_by
from ..measure import Contender, interleave, spread_of
from ..options import Options
from ..ours import Ours, parts_of
from ..peers import ko as ko_peer
from ..peers.docker import BuildFolder, Docker, with_buildx
from ..peers.go import go_build
from ..peers.ko import Ko
from ..peers.registry import registry
from ..process import expect, scratch_program
from ..table import Table
from .trees import twenty


def run_tables(options: Options) -> list[Table]:
    """Nothing changed, and a shared library changed; peers that are missing are left out."""
    tree, shape = twenty(options)

    def titled(what: str) -> str:
        return f"{shape.services} Go services of one module, to images on disk: {what}"

    with registry(options.work / "registry") as host, tree.edited(SHARED) as edits:
        ours = [
            _ours(tree, shape, "doit"),
            _ours(tree, shape, "scratch", scratch_program()),
        ]
        peers: list[Contender] = []
        if ko_peer.is_possible():
            peers.append(_ko(options, tree, shape, host))
        bake = _bake(options, tree, shape)
        peers += [bake] if bake else []
        edits.write(0)
        for each in (*(each.contender for each in ours), *peers):
            each.run(0)
        tables = [
            _table(options, "peers-noop", titled("nothing changed"), ours, peers, None, 0.05),
            _table(
                options, "peers-shared", titled("a shared library changed"), ours, peers, edits, 0.4
            ),
        ]
    tree.doit()
    return tables


def _table(
    options: Options,
    name: str,
    title: str,
    ours: Sequence[Ours],
    peers: Sequence[Contender],
    edits: Edits | None,
    wanted: float,
) -> Table:
    commands = [_with(edits, each) for each in ours]
    contenders = [
        *(each.contender for each in commands),
        *(_with(edits, each) for each in peers),
    ]
    seconds = interleave(contenders, options.count(7, 1), tell=options.tell)
    others = [each.name for each in peers or ours]
    return Table(
        name=name,
        title=title,
        baseline=min(others, key=lambda other: spread_of(seconds[other]).median),
        ours=tuple(each.name for each in ours),
        seconds=seconds,
        wanted=wanted if peers else None,
        notes=(
            "The baseline is the better one of the peers that the machine has. bake writes OCI"
            " layouts, ko pushes to a registry on this machine, which keeps blobs on disk.",
        ),
        # With --profile `scratch` is doit from its start, as it is where there is something to do.
        parts=parts_of(commands if edits else commands[:1]),
    )


_Each = TypeVar("_Each", Ours, Contender)


def _with(edits: Edits | None, each: _Each) -> _Each:
    """*each* with another version before each run; without *edits*, nothing changes since 0."""
    if edits:
        return replace(each, before=edits.write)
    return replace(each, check=lambda _: each.check(0))


def _ours(tree: Tree, shape: GoMonorepo, called: str, program: str = "") -> Ours:
    name = shape.names()[-1]

    def check(number: int) -> None:
        expect_said(tree.root / "dist" / name, name, mark_of(number))

    return Ours(name=called, cwd=tree.root, program=program, check=check)


def _ko(options: Options, tree: Tree, shape: GoMonorepo, host: str) -> Contender:
    ko = Ko(options.work, tree.root, host)
    ko.prepare(layers_of(tree.root / "dist" / shape.names()[0])[:-1])
    manifests, name = options.work / "pods.yaml", shape.names()[-1]
    ko.write_manifests(manifests, MODULE, shape.names())
    resolved = ""

    def work(_: int) -> None:
        nonlocal resolved
        resolved = ko.resolve(manifests)

    def check(number: int) -> None:
        expect(resolved.count("@sha256:") == shape.services, f"ko resolve: {resolved}")
        said = said_by(ko.program(resolved, name))
        expect(mark_of(number) in said, f"ko: {name} says {said}")

    return Contender(name="ko resolve, KOCACHE", run=work, check=check)


def _bake(options: Options, tree: Tree, shape: GoMonorepo) -> Contender | None:
    if not options.containerd_host:
        options.tell("no --containerd-host: buildx bake is left out")
        return None
    docker: Docker = with_buildx(options.containerd_host, options.work)
    folder = BuildFolder(options.work / "bake", shape.names())
    folder.prepare(layers_of(tree.root / "dist" / shape.names()[0])[:-1])
    packages = [f"./services/{name}" for name in shape.names()]

    def work(_: int) -> None:
        go_build(tree.root, folder.bin, packages)
        docker.run("buildx", "bake", "--progress=quiet", cwd=folder.root)

    def check(number: int) -> None:
        for name in (shape.names()[0], shape.names()[-1]):
            said = said_by(content_of(folder.root / "out" / name, "usr/bin/app"))
            expect(mark_of(number) in said, f"buildx bake: {name} says {said}")

    return Contender(name="go build + buildx bake", run=work, check=check)
