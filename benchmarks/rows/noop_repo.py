"""Nothing to do in this repository, against the start of doit alone."""

import sys
from pathlib import Path

from ..imports import import_facts
from ..measure import Contender, interleave
from ..options import Options
from ..ours import Ours, parts_of
from ..process import doit_program, run, scratch_program
from ..table import Table

ROOT = Path(__file__).parents[2]


def run_tables(options: Options) -> list[Table]:
    """One table; builds the repository's images first, if need be."""
    run([doit_program()], ROOT)
    doit = Ours(name="doit", cwd=ROOT, says="up to date")
    scratch = Ours(name="scratch", cwd=ROOT, program=scratch_program(), says="up to date")
    contenders = [
        doit.contender,
        scratch.contender,
        Contender(
            name='python -c "import doit.doit_cmd"',
            run=lambda _: run([sys.executable, "-c", "import doit.doit_cmd"], ROOT),
        ),
        Contender(name="python -c pass", run=lambda _: run([sys.executable, "-c", "pass"], ROOT)),
    ]
    runs = options.count(15, 2)
    seconds = interleave(contenders, runs, tell=options.tell)
    return [
        Table(
            name="noop-repo",
            title="Nothing to do: this repository",
            baseline='python -c "import doit.doit_cmd"',
            ours=(doit.name, scratch.name),
            seconds=seconds,
            wanted=1.5,
            facts=import_facts([doit_program()], ROOT, runs, "up to date"),
            parts=parts_of([doit]),
        )
    ]
