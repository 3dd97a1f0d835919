"""One Go file of a large tree edited, against the compiler that knows what to build and git."""

from ..generators.tree import mark_of
from ..layouts import expect_said, said_by
from ..measure import Contender, interleave
from ..options import Options
from ..peers.go import go_build
from ..process import doit_program, expect, run
from ..table import Table
from .trees import facts_of, large


def run_tables(options: Options) -> list[Table]:
    """One table: all images checked, that image alone, and the floor."""
    tree, shape = large(options)
    name = shape.names()[shape.services // 2]
    out = options.work / "bare" / name

    with tree.edited(f"services/{name}/main.go") as edits:

        def is_shipped(number: int) -> None:
            expect_said(tree.root / "dist" / name, name, mark_of(number))

        def bare(_: int) -> None:
            go_build(tree.root, out, [f"./services/{name}"])
            run(["git", "status"], tree.root)

        def is_built(number: int) -> None:
            said = said_by(out.read_bytes())
            expect(mark_of(number) in said, f"{out} says {said}")

        contenders = [
            Contender(
                name="doit",
                before=edits.write,
                run=lambda _: run([doit_program()], tree.root),
                check=is_shipped,
            ),
            Contender(
                name="doit image:NAME",
                before=edits.write,
                run=lambda _: run([doit_program(), f"image:{name}"], tree.root),
                check=is_shipped,
            ),
            Contender(name="go build + git status", before=edits.write, run=bare, check=is_built),
        ]
        seconds = interleave(contenders, options.count(9, 1), tell=options.tell)
    tree.doit()
    return [
        Table(
            name="edit-one",
            title=f"One Go file edited: {shape.services:,} services",
            baseline="go build + git status",
            ours="doit",
            seconds=seconds,
            wanted=1.3,
            facts=facts_of(tree, shape),
        )
    ]
