"""A content store on a disk of its own."""

import os
from pathlib import Path
from typing import NamedTuple

from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

TYPE = "application/x-test"
HINT = "\n    hint: free some space; `doit cache --collect` shrinks .scratch to its limit"


class Disk(NamedTuple):
    root: Path
    folder: Path
    store: ContentStore


def open_disk(root: Path) -> Disk:
    folder = root / ".scratch" / "blobs"
    states = FileStates(str(root), str(root / ".scratch" / "files"))
    return Disk(root, folder, ContentStore(str(folder), states))


def unfinished(folder: Path) -> list[str]:
    return os.listdir(folder / "tmp") if (folder / "tmp").exists() else []
