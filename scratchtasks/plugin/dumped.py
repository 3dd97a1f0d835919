"""`doit dumpdb`, which reads doit's own databases and shows a traceback where it finds none."""

import dbm
import os
from collections.abc import Mapping, Sequence
from typing import Any

OURS = ".scratch/doit.db"


def fault(words: Sequence[str]) -> str:
    """Why `doit dumpdb`, with *words* behind that, would find nothing that it can read; or "".

    It runs without a loader, at the root of the workspace.
    """
    from doit.doit_cmd import DoitConfig

    config = DoitConfig()
    config.loads(list(filter(os.path.exists, ("pyproject.toml", "doit.cfg"))))
    path = _path_in(words, config.as_dict())
    try:
        with dbm.open(path) as database:
            database.keys()
    except dbm.error:  # errors of its libraries, and OSError
        found = "none"
        if os.path.exists(path):
            found = "another file" if os.access(path, os.R_OK) else "what may not be read"
        text = f"dumpdb: {path}: wanted a database of one of doit's own backends, got {found}"
        hint = f"\n    hint: this workspace's is SQLite: sqlite3 {OURS} .dump"
        return text + hint if os.path.exists(OURS) else text
    return ""


def _path_in(words: Sequence[str], config: Mapping[str, Any]) -> str:
    for number, word in enumerate(words):
        option, joint, value = word.partition("=")
        if option == "--db-file":
            return value if joint else "".join(words[number + 1 : number + 2])
    given = {**config.get("GLOBAL", {}), **config.get("dumpdb", {})}
    return str(given.get("dep_file", ".doit.db"))
