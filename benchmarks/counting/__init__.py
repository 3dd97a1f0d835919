"""Count what a Python program does instead of timing it: counts do not depend on the machine."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..process import Finished, environment, run

_CHILD = Path(__file__).parent / "child"
REPORT = "SCRATCHTASKS_BENCHMARK_COUNTS"
"""The variable that tells the program where its counts are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one process did in the folder *cwd*, its interpreter's start included.

    *processes* are the programs that it started, *commands* their words, *forks* counts copies of
    itself, *opened* are the files (each once for every time), *listed* the folders, *imported* the
    modules; *hashed* counts bytes given to SHA-256.
    """

    cwd: str
    processes: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    forks: int
    opened: tuple[str, ...]
    listed: tuple[str, ...]
    imported: tuple[str, ...]
    hashed: int

    def opened_here(self) -> list[str]:
        """The files opened below *cwd*, relative to it, in order."""
        prefix = f"{self.cwd}/"
        return [path.removeprefix(prefix) for path in self.opened if path.startswith(prefix)]


def count(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[Finished, Counts]:
    """Run `python` with *argv* in *cwd*, with the environment *env*.  Raises: Wrong if it fails.

    It sees *env* (by default, that of every run) and its sys.path as if nobody counted.  What the
    processes that it starts do themselves is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "counts.json")
        env = environment() if env is None else env
        theirs = env.get("PYTHONPATH")
        path = os.pathsep.join([str(_CHILD), *([theirs] if theirs else [])])
        counting = {**env, "PYTHONPATH": path, REPORT: str(report)}
        finished = run([sys.executable, *argv], cwd, counting)
        found = json.loads(report.read_text())
    here = os.path.realpath(cwd)
    return finished, Counts(
        cwd=here,
        processes=tuple(found["processes"]),
        commands=tuple(map(tuple, found["commands"])),
        forks=found["forks"],
        opened=tuple(os.path.normpath(os.path.join(here, path)) for path in found["opened"]),
        listed=tuple(os.path.normpath(os.path.join(here, path)) for path in found["listed"]),
        imported=tuple(found["imported"]),
        hashed=found["hashed"],
    )
