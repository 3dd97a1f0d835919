"""Programs of others that look at images."""

import shutil
import subprocess
from pathlib import Path


def output_of(program: str, *args: str | Path) -> str:
    """What *program* prints; it must be installed, and succeed."""
    path = shutil.which(program)
    assert path, f"{program} is not installed"
    done = subprocess.run([path, *args], capture_output=True, text=True)
    assert done.returncode == 0, f"{program} {' '.join(map(str, args))}:\n{done.stderr}"
    return done.stdout
