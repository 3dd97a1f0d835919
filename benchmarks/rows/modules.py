"""Services of as many Go modules, all edited, against `go build` in each, side by side as ours."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ..generators.go_modules import GoModules
from ..generators.tree import mark_of
from ..layouts import expect_said, said_by
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..peers.go import go_build
from ..peers.squeeze import squeeze
from ..process import expect
from ..table import Table


def run_tables(options: Options) -> list[Table]:
    """One table."""
    shape = GoModules(options.size(20, 3))
    names = shape.names()
    tree = shape.grow(options.work / f"modules-{shape.services}")
    tree.build()
    out = options.work / "bare-modules"

    with ExitStack() as stack:
        edits = [stack.enter_context(tree.edited(source)) for source in shape.sources()]

        def edit(number: int) -> None:
            for each in edits:
                each.write(number)

        def is_shipped(number: int) -> None:
            for name in names:
                expect_said(tree.root / "dist" / name, name, mark_of(number))

        def compile_one(name: str) -> None:
            go_build(tree.root / "services" / name, out / name, ["."])

        def bare(workers: int) -> None:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(compile_one, names))
            squeeze([out / name for name in names], threads=2)

        def is_built(number: int) -> None:
            for name in names:
                said = said_by((out / name).read_bytes())
                expect(mark_of(number) in said, f"{name} says {said}")

        def floor(name: str, workers: int) -> Contender:
            return Contender(name=name, before=edit, run=lambda _: bare(workers), check=is_built)

        ours = Ours(name="doit", cwd=tree.root, before=edit, check=is_shipped)
        baseline = "go build in each, side by side, + sha256 + gzip"
        contenders = [
            ours.contender,
            floor(baseline, os.cpu_count() or 1),
            floor("the same, one go build after the other", 1),
        ]
        seconds = interleave(contenders, options.count(7, 1), tell=options.tell)
        parts = parts_of([ours])
    tree.doit()
    return [
        Table(
            name="modules",
            title=f"{shape.services} Go modules of a service each, all edited",
            baseline=baseline,
            ours=(ours.name,),
            seconds=seconds,
            parts=parts,
        )
    ]
