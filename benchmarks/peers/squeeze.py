"""Hashing and compression of the bytes of images, as a process of its own."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..process import expect, run

_FLOOR = Path(__file__).parents[1] / "floor.py"


def squeeze(
    files: Sequence[Path], *, processes: int = 1, threads: int = 1, out: Path | None = None
) -> None:
    """Squeeze *files*, shared among *processes* of *threads* each; kept in the folder *out*."""
    argv = [sys.executable, str(_FLOOR), str(processes), str(threads), str(out or "-")]
    said = run([*argv, *map(str, files)], _FLOOR.parent).out
    expect(json.loads(said)["files"] == len(files), f"floor.py: {said}")
