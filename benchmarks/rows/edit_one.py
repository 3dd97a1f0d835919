"""One Go file of a large tree edited, against the compiler that knows what to build and git."""

from ..generators.tree import mark_of
from ..layouts import expect_said, said_by
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.go import go_build
from ..process import expect, run, scratch_program
from ..table import Table
from .trees import facts_of, large


def run_tables(options: Options) -> list[Table]:
    """One table: all images checked (by doit and by scratch), that image alone, and the floor."""
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

        def ours(called: str, *words: str, program: str = "") -> Ours:
            return Ours(
                name=called,
                cwd=tree.root,
                words=words,
                program=program,
                before=edits.write,
                check=is_shipped,
            )

        doit, alone = ours("doit"), ours("doit image:NAME", f"image:{name}")
        scratch = ours("scratch", program=scratch_program())
        contenders = [
            doit.contender,
            alone.contender,
            scratch.contender,
            Contender(name="go build + git status", before=edits.write, run=bare, check=is_built),
        ]
        seconds = interleave(contenders, options.count(9, 1), tell=options.tell)
        parts = parts_of([doit, alone])
    tree.doit()
    return [
        Table(
            name="edit-one",
            title=f"One Go file edited: {shape.services:,} services",
            baseline="go build + git status",
            ours=(doit.name, alone.name, scratch.name),
            seconds=seconds,
            wanted=1.3,
            facts=facts_of(tree, shape),
            parts=parts,
        )
    ]
