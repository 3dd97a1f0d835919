"""Start a program as a user does, and stop the benchmark when it fails."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STEERING = (
    *("SOURCE_DATE_EPOCH", "GOFLAGS", "GOWORK", "GOENV"),
    # Without bytecode on disk each start would compile all modules that were not installed by pip.
    *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
)


class Wrong(Exception):
    """A program failed, or its output is not what it has to be: its time means nothing."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program printed."""

    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what steers builds or Python, and with *more*."""
    theirs = {name: value for name, value in os.environ.items() if name not in _STEERING}
    return {**theirs, **more}


def run(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> Finished:
    """Run *argv* in *cwd* to its end.  Raises: Wrong when it fails, with all that it said."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=environment() if env is None else env,
        input=stdin,
        capture_output=True,
        check=False,
    )
    finished = Finished(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if done.returncode:
        raise Wrong(f"{' '.join(argv)}: exit code {done.returncode}\n{finished.out}{finished.err}")
    return finished


def expect(fact: bool, what: str) -> None:
    """Raises: Wrong with *what* unless *fact* holds."""
    if not fact:
        raise Wrong(what)


def this_python() -> str:
    """The interpreter that runs the benchmark: the one that ours is installed for."""
    return sys.executable


def doit_program() -> str:
    """The `doit` beside this Python."""
    return _beside("doit")


def scratch_program() -> str:
    """The `scratch` beside this Python."""
    return _beside("scratch")


def _beside(name: str) -> str:
    path = Path(sys.executable).parent / name
    expect(path.is_file(), f"{path} does not exist: install the project into this environment")
    return str(path)
