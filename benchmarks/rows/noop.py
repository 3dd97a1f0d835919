"""Nothing to do in a large tree, against what git needs to say the same."""

import sys

from ..generators.go_monorepo import GoMonorepo
from ..generators.tree import Tree
from ..imports import import_facts
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.plain_doit import PlainDoit
from ..process import doit_program, expect, run, scratch_program
from ..table import Table
from .trees import facts_of, large


def noop(tree: Tree, shape: GoMonorepo, name: str = "doit", program: str = "") -> Ours:
    """*program*, by default `doit`, that finds all *shape*'s images up to date."""
    images = f"{shape.services} image{'s' if shape.services > 1 else ''}"
    return Ours(name=name, cwd=tree.root, program=program, says=f"{images} up to date")


def git_contender(tree: Tree) -> Contender:
    """`git status`, which finds the tree clean."""

    def work(_: int) -> None:
        said = run(["git", "status"], tree.root).out
        expect("nothing to commit" in said, f"git status: {said}")

    return Contender(name="git status", run=work)


def run_tables(options: Options) -> list[Table]:
    """The table of one tree."""
    tree, shape = large(options)
    plain = PlainDoit(tree, shape.names(), options.work / "plain-doit")
    plain.record()
    doit, scratch = noop(tree, shape), noop(tree, shape, "scratch", scratch_program())
    contenders = [
        doit.contender,
        scratch.contender,
        git_contender(tree),
        Contender(
            name='python -c "import doit.doit_cmd"',
            run=lambda _: run([sys.executable, "-c", "import doit.doit_cmd"], tree.root),
        ),
        Contender(name="plain doit, equal tasks by hand", run=lambda _: plain.noop()),
    ]
    runs = options.count(9, 1)
    seconds = interleave(contenders, runs, tell=options.tell)
    imports = import_facts([doit_program()], tree.root, runs, "up to date")
    return [
        Table(
            name="noop",
            title=f"Nothing to do: {shape.services:,} services",
            baseline="git status",
            ours=(doit.name, scratch.name),
            seconds=seconds,
            wanted=1.0,
            facts={**facts_of(tree, shape), **imports},
            parts=parts_of([doit]),
        )
    ]
