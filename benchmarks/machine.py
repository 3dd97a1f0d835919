"""What the figures were measured on: they hold as ratios, on this kind of machine."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def describe() -> dict[str, object]:
    """Cores, processor, memory, kernel and versions; a program that is missing is left out."""
    facts: dict[str, object] = {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }
    for name, argv in {
        "go": ["go", "env", "GOVERSION"],
        "rust": ["rustc", "--version"],
        "git": ["git", "--version"],
    }.items():
        said = _said(argv)
        if said:
            facts[name] = said
    return facts


def commit() -> str:
    """The commit that is measured, with `-dirty` where files are others; "" outside of git.

    Results are written below docs/ while other rows are still to be measured: those do not count.
    """
    found = _said(["git", "rev-parse", "HEAD"])
    is_dirty = _said(["git", "status", "--porcelain", "--", ".", ":!docs"])
    return f"{found}-dirty" if found and is_dirty else found


def load() -> float:
    """Processes at work or waiting for a disk, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def _said(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
