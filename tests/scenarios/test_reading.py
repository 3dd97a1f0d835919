"""What is in the store is read once at most where an image is made of it: seen by strace."""

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from .workspaces import Site, main_go, shop

_READ = re.compile(r"^\d+ +(?:read|pread64)\(\d+<([^>]+)>.* = (\d+)$", re.MULTILINE)
_HEADERS = 64 * 1024
"""Bytes. Whether a program is static is seen in its headers."""


def bytes_read(site: Site, log: Path, *words: str) -> Counter[str]:
    """How many bytes of each file a run of doit with *words* reads."""
    argv = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=read,pread64"]
    subprocess.run(
        [*argv, sys.executable, "-m", "doit", *words],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        check=True,
    )
    found = Counter[str]()
    for path, size in _READ.findall(log.read_text(errors="replace")):
        found[path] += int(size)
    return found


def test_an_image_is_made_with_one_reading_of_its_binary(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    time.sleep(0.06)
    site.doit()  # files as young as the clock's tick are read once more
    site.write({"services/api/main.go": main_go("another")})
    read = bytes_read(site, tmp_path / "log")
    stored = {Path(path): size for path, size in read.items() if "/.scratch/blobs/" in path}
    [binary] = [path for path in stored if path.stat().st_size > _HEADERS]
    assert binary.read_bytes().startswith(b"\x7fELF")
    assert binary.stat().st_size <= stored[binary] <= binary.stat().st_size + _HEADERS
    # What is compressed goes into dist/ as it is, by a hard link; the rest is small.
    assert site.layers("api")["binary"] not in stored
    assert all(size <= path.stat().st_size for path, size in stored.items() if path != binary)
