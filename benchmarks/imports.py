"""What a program imports and how long that takes, as Python itself tells it (-X importtime)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import environment, expect, run

_LINE = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", re.MULTILINE)
_PACKAGES = {"scratchtasks": "imports of ours", "doit": "imports of doit"}
_OTHERS = "imports of others"


def import_facts(argv: Sequence[str], cwd: Path, runs: int, says: str) -> Mapping[str, str]:
    """How many modules the program *argv* imports in *cwd*, and the least time of some *runs*.

    Raises: Wrong unless each run prints what it *says*.
    """
    env = environment(PYTHONPROFILEIMPORTTIME="1")
    run(argv, cwd, env)  # what is remembered is of one environment
    told = []
    for _ in range(runs):
        done = run(argv, cwd, env)
        expect(says in done.out, f"{' '.join(argv)}: no {says!r} in {done.out[-300:]!r}")
        told.append(_shares_of(done.err))
    return {
        what: f"{told[0][what][0]} in {min(each[what][1] for each in told) / 1e3:.1f} ms"
        for what in (*_PACKAGES.values(), _OTHERS)
    }


def _shares_of(text: str) -> dict[str, tuple[int, int]]:
    """The number of modules, and the microseconds that they took by themselves, in *text*."""
    found = dict.fromkeys((*_PACKAGES.values(), _OTHERS), (0, 0))
    for spent, module in _LINE.findall(text):
        what = _PACKAGES.get(module.partition(".")[0], _OTHERS)
        count, took = found[what]
        found[what] = count + 1, took + int(spent)
    return found
