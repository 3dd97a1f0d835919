"""One of our commands as a contender, and where its time goes."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .breakdown import Part, breakdown_of
from .measure import Contender, next_number, nothing
from .process import doit_program, expect, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """`doit` with *words*, or another *program*, run in *cwd* with *env*.

    *says* is what its output has to hold; *before* and *check* are those of a contender.
    """

    name: str
    cwd: Path
    words: tuple[str, ...] = ()
    program: str = ""
    env: Mapping[str, str] | None = None
    says: str = ""
    before: Callable[[int], object] = nothing
    check: Callable[[int], object] = nothing

    @property
    def contender(self) -> Contender:
        """It, to be timed."""
        return Contender(
            name=self.name, before=self.before, run=lambda _: self._run(), check=self.check
        )

    def parts(self) -> tuple[Part, ...]:
        """Where the time goes in one more run, with --profile."""
        number = next_number()
        self.before(number)
        os.sync()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            began = time.perf_counter()
            self._run("--profile", str(path))
            took = time.perf_counter() - began
            trace = json.loads(path.read_text())
        self.check(number)
        return breakdown_of(trace, took)

    def _run(self, *more: str) -> None:
        argv = [self.program or doit_program(), *self.words, *more]
        said = run(argv, self.cwd, self.env).out
        expect(self.says in said, f"{self.name}: no {self.says!r} in {said[-300:]!r}")


def parts_of(commands: Iterable[Ours]) -> dict[str, tuple[Part, ...]]:
    """Where the time of each of *commands* goes, by its name."""
    return {each.name: each.parts() for each in commands}
