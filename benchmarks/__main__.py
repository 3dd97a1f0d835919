"""Measure: python -m benchmarks NAME… [--short] [--runs N] [--json FILE] [--plot DIR]."""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import machine
from .chart import chart_of
from .document import write_document
from .options import Options
from .process import Wrong
from .registry import BENCHMARKS
from .report import text_of


def main(argv: Sequence[str]) -> int:
    """Run what *argv* names; 1 when an output was wrong, 2 for a mistake on the command line."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.list:
        for benchmark in BENCHMARKS.values():
            print(f"{benchmark.name:12} {benchmark.what}")
        return 0
    if given.document:
        write_document(given.document)
        return 0
    names = list(BENCHMARKS) if given.all else given.names
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown or not names:
        parser.error(f"unknown benchmark: {', '.join(unknown)}" if unknown else "name a benchmark")
    options = Options(
        short=given.short,
        runs=given.runs,
        services=given.services,
        work=Path(given.work).resolve(),
        docker_host=os.environ.get("DOCKER_HOST", ""),
        containerd_host=given.containerd_host,
    )
    options.work.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            _measure(name, options, given.json, given.plot)
        except Wrong as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


def _measure(name: str, options: Options, json_to: Path | None, plot_to: Path | None) -> None:
    before, began, commit = machine.load(), time.gmtime(), machine.commit()
    tables = BENCHMARKS[name].tables(options)
    if options.short or options.services:  # the promises are about the sizes that they name
        tables = [replace(table, wanted=None) for table in tables]
    result: dict[str, Any] = {
        "benchmark": name,
        "command": shlex.join(["python", "-m", "benchmarks", *_words(name, options)]),
        "date": time.strftime("%Y-%m-%d", began),
        "time": time.strftime("%H:%M UTC", began),
        "commit": commit,
        "machine": machine.describe(),
        "load": {"before": before, "after": machine.load()},
        "tables": [table.to_json() for table in tables],
    }
    print(text_of(result), flush=True)
    if json_to:
        path = json_to if json_to.suffix == ".json" else json_to / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
    if plot_to:
        plot_to.mkdir(parents=True, exist_ok=True)
        for table in result["tables"]:
            (plot_to / f"{table['name']}.svg").write_text(chart_of(table))


def _words(name: str, options: Options) -> list[str]:
    words = [name]
    if options.short:
        words.append("--short")
    for option, value in (("--runs", options.runs), ("--services", options.services)):
        if value is not None:
            words += [option, str(value)]
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--all", action="store_true", help="run every benchmark")
    parser.add_argument("--short", action="store_true", help="smallest sizes: does it work at all")
    parser.add_argument(
        "--runs", type=int, metavar="N", help="interleaved runs (default 7 or more)"
    )
    parser.add_argument("--services", type=int, metavar="N", help="another size of tree")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write a file, or DIR/NAME.json")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write an SVG for each table")
    parser.add_argument(
        "--document", type=Path, metavar="DIR",
        help="make DIR/performance.md and its plots of DIR/performance/*.json",
    )  # fmt: skip
    parser.add_argument(
        "--work", metavar="DIR", default=_default_work(), help="trees and tools, kept: %(default)s"
    )
    parser.add_argument(
        "--containerd-host", metavar="HOST",
        default=os.environ.get("SCRATCH_TEST_CONTAINERD_HOST", ""),
        help="a Docker Engine that exports OCI layouts",
    )  # fmt: skip
    return parser


def _default_work() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "scratchtasks-benchmarks")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
