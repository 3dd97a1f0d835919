"""Ten, a hundred, a thousand services with nothing to do: how the cost grows."""

from ..measure import Contender, interleave
from ..options import Options
from ..process import Wrong
from ..table import Table
from .noop import git_contender, noop_contender
from .trees import grown_to


def run_tables(options: Options) -> list[Table]:
    """One table; its facts have the constant per file between the sizes."""
    largest = options.size(1_000, 12)
    sizes = (
        [largest // 100, largest // 10, largest] if largest >= 100 else [2, largest // 2, largest]
    )
    contenders: list[Contender] = []
    files: dict[int, int] = {}
    for size in sizes:
        tree, shape = grown_to(options, size)
        files[size] = tree.files()
        contenders.append(noop_contender(tree, shape, f"doit, {size:,} services"))
        git = git_contender(tree)
        contenders.append(Contender(name=f"git status, {size:,} services", run=git.run))
    seconds = interleave(contenders, options.count(7, 1), tell=options.tell)
    medians = {size: _median(seconds[f"doit, {size:,} services"]) for size in sizes}
    small, middle, large = sizes
    facts: dict[str, object] = {f"files, {size:,} services": count for size, count in files.items()}
    for low, high in ((small, middle), (middle, large)):
        slope = (medians[high] - medians[low]) / (files[high] - files[low])
        facts[f"µs per file, {low:,} to {high:,} services"] = round(slope * 1e6, 2)
    if large <= small:
        raise Wrong(f"--services {largest}: too few to grow")
    return [
        Table(
            name="growth",
            title=f"Nothing to do: {small:,} to {large:,} services",
            baseline=f"doit, {small:,} services",
            ours=f"doit, {large:,} services",
            seconds=seconds,
            facts=facts,
            notes=("Linear in files, when both slopes are alike.",),
        )
    ]


def _median(figures: list[float]) -> float:
    return sorted(figures)[len(figures) // 2]
