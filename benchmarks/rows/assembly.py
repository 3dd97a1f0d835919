"""One image assembled in process, essentials cached: time against its floor, and memory."""

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..measure import Contender, interleave
from ..options import Options
from ..table import Table

_SIZES = {"6 MB": 6_000_000, "100 MB": 100_000_000}
_LIMIT_MIB = 32.0


def run_tables(options: Options) -> list[Table]:
    """Compressed into `dist/`, uncompressed as an engine gets it, and peak memory."""
    assembly: Any = import_module("benchmarks.assembly")
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        folder = Path(name)
        bench = assembly.Bench(folder)
        floor = folder / "floor"
        tables = []
        for label, size in list(_SIZES.items())[: 1 if options.short else None]:
            for slug, kind, ours, theirs, wanted in (
                ("assembly", "compressed", bench.image, assembly.floor_compressed, 1.3),
                (
                    "assembly-plain",
                    "uncompressed, for an engine",
                    bench.archive,
                    assembly.floor_plain,
                    2.0 if size < 50_000_000 else 1.2,
                ),
            ):
                tables.append(
                    Table(
                        name=f"{slug}-{label.replace(' ', '').lower()}",
                        title=f"One image of a binary of {label}, {kind}",
                        baseline="floor",
                        ours="ours",
                        seconds=_turns(options, bench, size, ours, theirs, floor),
                        wanted=wanted,
                        notes=(_FLOOR[kind], "In one process, without its start."),
                    )
                )
        bench.check(size)
        bench.session.close()
        if not options.short:
            tables.append(_memory(assembly, folder))
    return tables


_FLOOR = {
    "compressed": "Floor: read, sha256, compress by the same compressor, sha256 and write.",
    "uncompressed, for an engine": "Floor: read, sha256 and write.",
}


def _turns(
    options: Options,
    bench: Any,
    size: int,
    ours: Callable[[], object],
    theirs: Callable[[Path, Path], object],
    floor: Path,
) -> dict[str, list[float]]:
    source = floor

    def change(_: int) -> None:
        nonlocal source
        source = bench.change(size)
        for path in (floor, floor.parent / "archive"):
            path.unlink(missing_ok=True)

    contenders = [
        Contender(name="ours", before=change, run=lambda _: ours()),
        Contender(name="floor", before=change, run=lambda _: theirs(source, floor)),
    ]
    found = interleave(contenders, options.count(9, 1), warm_up=True, tell=options.tell)
    bench.image()
    bench.session.write_summary()
    return dict(found)


def _memory(assembly: Any, folder: Path) -> Table:
    return Table(
        name="assembly-memory",
        title="Peak memory above the interpreter's: one image of 100 MB",
        baseline="limit",
        ours="ours",
        seconds={"ours": [assembly.peak_mib(folder)], "limit": [_LIMIT_MIB]},
        wanted=1.0,
        unit="MiB",
    )
