"""Ten, a hundred, a thousand services: how the cost of each kind of run grows."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from ..generators.go_monorepo import GoMonorepo
from ..generators.tree import Tree, mark_of
from ..growth import continued, line_through
from ..layouts import expect_said
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours
from ..process import Wrong
from ..table import Table
from .fleet import fleet_of
from .noop import git_contender, noop
from .trees import grown_to

_WANTED = 1.3
"""What the largest may cost of the line through the others: a part that is quadratic in the size
grows a hundredfold in the last step, where the line grows tenfold."""

Sizes = tuple[int, int, int]
Trees = Mapping[int, tuple[Tree, GoMonorepo]]


def run_tables(options: Options) -> list[Table]:
    """A table for each kind of run: nothing to do, one edit, a list, all images."""
    sizes = _sizes(options.size(1_000, 12))
    trees = {size: grown_to(options, size) for size in sizes}
    return [
        _nothing_to_do(options, sizes, trees),
        _one_edit(options, sizes, trees),
        _list(options, sizes, trees),
        _all_images(options, sizes),
    ]


def _sizes(largest: int) -> Sizes:
    sizes = (
        (1, largest // 2, largest) if largest < 100 else (largest // 100, largest // 10, largest)
    )
    if len(set(sizes)) < len(sizes):
        raise Wrong(f"--services {largest}: too few to grow")
    return sizes


def _nothing_to_do(options: Options, sizes: Sizes, trees: Trees) -> Table:
    contenders = []
    for size, (tree, shape) in trees.items():
        contenders.append(noop(tree, shape, _called(size)).contender)
        git = git_contender(tree)
        contenders.append(Contender(name=f"git status, {size:,} services", run=git.run))
    seconds = interleave(contenders, options.count(15, 1), tell=options.tell)
    return _table("growth", "Nothing to do", sizes, _files(trees), "file", seconds)


def _one_edit(options: Options, sizes: Sizes, trees: Trees) -> Table:
    with ExitStack() as stack:
        contenders = [
            _edited(stack, size, tree, shape.names()[size // 2]).contender
            for size, (tree, shape) in trees.items()
        ]
        seconds = interleave(contenders, options.count(15, 1), tell=options.tell)
    for tree, _ in trees.values():
        tree.build()
    return _table("growth-edit", "One Go file edited", sizes, _files(trees), "file", seconds)


def _edited(stack: ExitStack, size: int, tree: Tree, name: str) -> Ours:
    edits = stack.enter_context(tree.edited(f"services/{name}/main.go"))
    return Ours(
        name=_called(size),
        cwd=tree.root,
        before=edits.write,
        check=lambda number: expect_said(tree.root / "dist" / name, name, mark_of(number)),
    )


def _list(options: Options, sizes: Sizes, trees: Trees) -> Table:
    contenders = [
        Ours(name=_called(size), cwd=tree.root, words=("list",), says="image").contender
        for size, (tree, _) in trees.items()
    ]
    seconds = interleave(contenders, options.count(15, 1), tell=options.tell)
    return _table("growth-list", "`doit list`", sizes, _files(trees), "file", seconds)


def _all_images(options: Options, sizes: Sizes) -> Table:
    contenders = [fleet_of(options, size).changed(_called(size)).contender for size in sizes]
    seconds = interleave(contenders, options.count(7, 1), warm_up=False, tell=options.tell)
    return _table("growth-images", "All images of changed binaries", sizes, sizes, "image", seconds)


def _table(
    name: str,
    work: str,
    sizes: Sizes,
    counts: Sizes,
    unit: str,
    seconds: Mapping[str, Sequence[float]],
) -> Table:
    """*seconds* of runs on trees that have *counts* of *unit*, with the line they are held to."""
    small, middle, large = sizes
    line = f"the line through {small:,} and {middle:,} services"
    on_line = continued(counts, seconds[_called(small)], seconds[_called(middle)])
    return Table(
        name=name,
        title=f"{work}: {small:,} to {large:,} services",
        baseline=line,
        ours=(_called(large),),
        seconds={**seconds, line: on_line},
        wanted=_WANTED,
        facts=_slopes(sizes, counts, unit, seconds),
        notes=(f"Linear: the largest tree costs what the line says, which is linear in {unit}s.",),
    )


def _slopes(
    sizes: Sizes, counts: Sizes, unit: str, seconds: Mapping[str, Sequence[float]]
) -> dict[str, object]:
    """What one more of *unit* costs between the sizes, and what is left for none at all."""
    facts: dict[str, object] = {
        f"{unit}s, {size:,} services": count for size, count in zip(sizes, counts, strict=True)
    }
    scale, per_second = ("µs", 1e6) if unit == "file" else ("ms", 1e3)
    points = [
        (count, statistics.median(seconds[_called(size)]))
        for size, count in zip(sizes, counts, strict=True)
    ]
    steps = [line_through(*points[:2]), line_through(*points[1:])]
    for step, low, high in zip(steps, sizes, sizes[1:], strict=False):
        between = f"{low:,} to {high:,} services"
        facts[f"{scale} per {unit}, {between}"] = round(step.slope * per_second, 2)
        facts[f"constant in ms, {between}"] = round(step.constant * 1e3, 1)
    if steps[0].slope > 0:
        facts["second slope to the first"] = f"{steps[1].slope / steps[0].slope:.2f}×"
    return facts


def _files(trees: Trees) -> Sizes:
    small, middle, large = (tree.files() for tree, _ in trees.values())
    return small, middle, large


def _called(size: int) -> str:
    return f"doit, {size:,} services"
