"""Nothing to do in this repository, against the start of doit alone."""

import sys
from pathlib import Path

from ..measure import Contender, interleave
from ..options import Options
from ..process import doit_program, expect, run, scratch_program
from ..table import Table

ROOT = Path(__file__).parents[2]


def run_tables(options: Options) -> list[Table]:
    """One table; builds the repository's images first, if need be."""

    def noop(program: str) -> None:
        said = run([program], ROOT).out
        expect("up to date" in said, f"{program} had something to do: {said[-300:]}")

    run([doit_program()], ROOT)
    contenders = [
        Contender(name="doit", run=lambda _: noop(doit_program())),
        Contender(name="scratch", run=lambda _: noop(scratch_program())),
        Contender(
            name='python -c "import doit.doit_cmd"',
            run=lambda _: run([sys.executable, "-c", "import doit.doit_cmd"], ROOT),
        ),
        Contender(name="python -c pass", run=lambda _: run([sys.executable, "-c", "pass"], ROOT)),
    ]
    seconds = interleave(contenders, options.count(15, 2), tell=options.tell)
    return [
        Table(
            name="noop-repo",
            title="Nothing to do: this repository",
            baseline='python -c "import doit.doit_cmd"',
            ours="doit",
            seconds=seconds,
            wanted=1.5,
        )
    ]
