"""A library edited that all services share, against one compile and the same bytes squeezed."""

from ..generators.go_monorepo import SHARED
from ..generators.tree import mark_of
from ..layouts import expect_said, said_by
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.go import go_build
from ..peers.squeeze import squeeze
from ..process import expect
from ..table import Table
from .trees import facts_of, hundred


def run_tables(options: Options) -> list[Table]:
    """One table."""
    tree, shape = hundred(options)
    names = shape.names()
    out = options.work / "bare-shared"
    sample = (names[0], names[len(names) // 2], names[-1])

    with tree.edited(SHARED) as edits:

        def is_shipped(number: int) -> None:
            for name in sample:
                expect_said(tree.root / "dist" / name, name, mark_of(number))

        def bare(_: int) -> None:
            go_build(tree.root, f"{out}/", [f"./services/{name}" for name in names])
            squeeze([out / name for name in names], threads=2)

        def is_built(number: int) -> None:
            for name in sample:
                said = said_by((out / name).read_bytes())
                expect(mark_of(number) in said, f"{name} says {said}")

        def ours(name: str, *words: str) -> Ours:
            return Ours(name=name, cwd=tree.root, words=words, before=edits.write, check=is_shipped)

        commands = [ours("doit"), ours("doit -n 2", "-n", "2")]
        contenders = [
            *(each.contender for each in commands),
            Contender(
                name="go build of all + sha256 + gzip", before=edits.write, run=bare, check=is_built
            ),
        ]
        seconds = interleave(contenders, options.count(7, 1), tell=options.tell)
        parts = parts_of(commands)
    tree.doit()
    return [
        Table(
            name="edit-shared",
            title=f"A shared library edited: {shape.services} Go services depend on it",
            baseline="go build of all + sha256 + gzip",
            ours=tuple(each.name for each in commands),
            seconds=seconds,
            wanted=1.2,
            facts=facts_of(tree, shape),
            parts=parts,
        )
    ]
