"""One image assembled in process, essentials cached: time against its floor, and memory."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..assembly import (
    Bench,
    assembling_mib,
    floor_compressed,
    floor_plain,
    interpreter_mib,
)
from ..measure import Contender, interleave, nothing
from ..options import Options
from ..table import Table

_SIZES = {"6 MB": 6_000_000, "100 MB": 100_000_000}
_LIMIT_MIB = 32.0
_ONE_PROCESS = "In one process, without its start."


def run_tables(options: Options) -> list[Table]:
    """Compressed into `dist/`, uncompressed as for an engine, and peak memory."""
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        bench = Bench(Path(folder))
        sizes = dict(list(_SIZES.items())[: 1 if options.short else None])
        made = [
            make(options, bench, label, size)
            for label, size in sizes.items()
            for make in (_compressed, _plain)
        ]
        tables = {table.name: table for table in (*made, _memory(options, bench, sizes))}
        for label, size in sizes.items():
            for packs in (True, False):
                name = _name(label, packs=packs)
                tables[name] = _with_parts(tables[name], bench, size, packs=packs)
        bench.session.close()
    return list(tables.values())


def _with_parts(table: Table, bench: Bench, size: int, *, packs: bool) -> Table:
    """*table* with where the time of each of ours goes, in one more run."""
    work = _compressed_work(bench) if packs else _plain_work(bench)
    parts = {}
    for name, do in work.items():
        bench.change(size, packs=packs)
        os.sync()
        parts[name] = bench.parts(do, packs=packs)
    return replace(table, parts=parts)


def _compressed_work(bench: Bench) -> Mapping[str, Callable[[], object]]:
    return {"ours": bench.image}


def _plain_work(bench: Bench) -> Mapping[str, Callable[[], object]]:
    def with_archive() -> None:
        bench.plain()
        bench.archive()

    return {"ours": bench.plain, "ours, and the archive": with_archive}


def _compressed(options: Options, bench: Bench, label: str, size: int) -> Table:
    def check(_: int) -> None:
        bench.session.exports.write_summary()
        bench.check(size)

    work = _compressed_work(bench)
    return Table(
        name=_name(label, packs=True),
        title=f"One image of a binary of {label}, into dist/",
        baseline="floor",
        ours=tuple(work),
        seconds=_turns(options, bench, size, work, floor_compressed, check, packs=True),
        wanted=1.3,
        notes=(
            "Floor: read, sha256, compress by the same compressor, sha256 and write.",
            _ONE_PROCESS,
        ),
    )


def _plain(options: Options, bench: Bench, label: str, size: int) -> Table:
    work = _plain_work(bench)
    return Table(
        name=_name(label, packs=False),
        title=f"One root file system of a binary of {label}, uncompressed, for an engine",
        baseline="floor",
        ours=tuple(work),
        seconds=_turns(options, bench, size, work, floor_plain, nothing, packs=False),
        wanted=2.0 if size < 50_000_000 else 1.2,
        notes=(
            "Floor: read, sha256 and write. The archive is what an engine without the layer gets.",
            _ONE_PROCESS,
        ),
    )


def _turns(
    options: Options,
    bench: Bench,
    size: int,
    work: Mapping[str, Callable[[], object]],
    floor: Callable[[Path, Path], None],
    check: Callable[[int], object],
    *,
    packs: bool,
) -> dict[str, list[float]]:
    source, copy = bench.folder, bench.folder / "floor"

    def change(_: int) -> None:
        nonlocal source
        source = bench.change(size, packs=packs)
        for path in (copy, bench.folder / "archive"):
            path.unlink(missing_ok=True)

    contenders = [
        Contender(name=name, before=change, run=partial(_without_number, do), check=check)
        for name, do in work.items()
    ]
    contenders.append(Contender(name="floor", before=change, run=lambda _: floor(source, copy)))
    return dict(interleave(contenders, options.count(9, 1), warm_up=True, tell=options.tell))


def _memory(options: Options, bench: Bench, sizes: Mapping[str, int]) -> Table:
    def image_of(label: str, size: int) -> Contender:
        return Contender(
            name=f"ours, {label}",
            before=lambda _: bench.change(size),
            run=lambda _: assembling_mib(bench.folder, size),
            is_timed=False,
        )

    images = [image_of(label, size) for label, size in sizes.items()]
    bare = Contender(name="interpreter", run=lambda _: interpreter_mib(), is_timed=False)
    runs = options.count(9, 1)
    peaks = interleave([*images, bare], runs, tell=options.tell)
    above = {
        image.name: [a - b for a, b in zip(peaks[image.name], peaks[bare.name], strict=True)]
        for image in images
    }
    return Table(
        name="assembly-memory",
        title="Peak memory above the interpreter's: one image",
        baseline="limit",
        ours=tuple(above),
        seconds={**above, "limit": [_LIMIT_MIB] * runs},
        wanted=1.0,
        unit="MiB",
        notes=("A process of its own, of both forms: compressed, and uncompressed as an archive.",),
    )


def _name(label: str, *, packs: bool) -> str:
    """The name of the table of the size *label*, compressed if it *packs*."""
    return f"assembly-{'' if packs else 'plain-'}{label.replace(' ', '').lower()}"


def _without_number(work: Callable[[], object], _: int) -> None:
    work()
