"""Whether a run took its memo's word, and what that memo holds."""

import marshal
import os
import subprocess
import sys
import time
from pathlib import Path

from scratchtasks.plugin.memo import Memo, read_meanings, read_memo

from .workspaces import Site

WATCHED_RUN = """
import sys
from doit.doit_cmd import DoitMain
code = DoitMain().run(sys.argv[1:])
print("looked" if "scratchtasks.execute.engine" in sys.modules else "remembered")
sys.exit(code)
"""


def looks(site: Site, *args: str, before: str = "") -> bool:
    """Run doit with *args*, after the Python code *before*; whether it had to import what decides
    about actions."""
    ran = subprocess.run(
        [sys.executable, "-c", before + WATCHED_RUN, *args],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1] == "looked"


def settle(site: Site) -> None:
    """Run until everything is known and old enough to be believed."""
    for _ in range(10):
        time.sleep(0.06)
        if not looks(site):
            return
    raise AssertionError("the memo never settles")


def memo_of(site: Site) -> tuple[Memo, str, str]:
    folder = str(site.root / ".scratch/memo")
    memos = [path for path in Path(folder).iterdir() if "." not in path.name]
    environment = max(memos, key=lambda path: path.stat().st_mtime_ns).name
    with open(f"{folder}/{environment}", "rb") as file:
        file.readline()
        head = marshal.loads(file.read())[1]
    memo = read_memo(folder, environment, head)
    assert memo is not None
    assert read_meanings(memo, folder, environment)
    return memo, folder, environment


def same_size(path: Path, old: str, new: str) -> None:
    """Change *old* to *new* in place, with the mtime put back."""
    info = path.stat()
    text = path.read_text()
    assert old in text
    assert len(old) == len(new)
    with open(path, "r+") as file:
        file.write(text.replace(old, new))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
