"""What a benchmark is told: how often, how large, and where trees are kept between runs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """*short* asks for the smallest sizes at which every step still happens.

    *runs* is the number of interleaved runs, *services* replaces the size of the tree; None
    leaves both to the benchmark.  *work* is the folder of generated trees and built tools.
    *docker_host* and *containerd_host* are engines with the classic and the containerd image
    store; "" stands for the default socket and for none.  *tell* shows progress.
    """

    short: bool = False
    runs: int | None = None
    services: int | None = None
    work: Path
    docker_host: str = ""
    containerd_host: str = ""
    tell: Callable[[str], None] = _tell

    def count(self, full: int, short: int) -> int:
        """The number of runs: as asked, else *full* or, in the short form, *short*."""
        return self.runs or (short if self.short else full)

    def size(self, full: int, short: int) -> int:
        """The number of services: as asked, else *full* or, in the short form, *short*."""
        return self.services or (short if self.short else full)
