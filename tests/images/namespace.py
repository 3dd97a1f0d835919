"""A program in namespaces of its own, without Docker: nothing is mounted over the image's files."""

import os
import shutil
import subprocess
from pathlib import Path

from .engine import Ended


def run_in(root: Path, *command: str) -> Ended:
    """Run *command* in a root file system that is bound read-only; there is no network."""
    program = shutil.which("bwrap")
    assert program, "bubblewrap is not installed"
    before = sorted(os.listdir(root))
    done = subprocess.run(
        [program, "--unshare-all", "--die-with-parent", "--ro-bind", root, "/", "--", *command],
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert sorted(os.listdir(root)) == before, "bubblewrap left something behind"
    return Ended(done.returncode, done.stdout, done.stderr)
