"""The Go program that was compiled last: whoever edits one is likely to edit it again.

What that compilation was made from lies in a file of its own, to be looked at before all else.
Light to import: every run looks there.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from scratchtasks.core.errors import StoreError
from scratchtasks.store.signature import value_at

from .memo import read_marshalled, write_marshalled

if TYPE_CHECKING:
    from .session import Session

_TICK = 50_000_000
"""ns. Stamps of files are behind the clock by less."""


class Edit(NamedTuple):
    """*files* of the service *name* in *folder* were edited, and have these digests now."""

    name: str
    folder: str
    files: Mapping[str, str]


def keep_near(session: "Session") -> None:
    """Note what the program is made of that *session* has compiled, or found up to date, if it
    was one; its run began at *session*.events.began.  Raises: StoreError."""
    engine = session.engine
    compiled = [
        (action, verdict)
        for name, action in engine.actions.items()
        if action.op == "go_build" and (verdict := engine.known(name)) is not None
    ]
    if len(compiled) != 1:
        return
    ((action, verdict),) = compiled
    listed = engine.known(action.deps["list"])
    record = {**verdict.record, **(listed.record if listed else {})}
    rows = [
        (*item, value)
        for item, value in record.items()
        if item.kind != "env" and not os.path.isabs(item.path)
    ]
    began = time.time() - (time.monotonic() - session.events.began)
    since = int(began * 1e9) - _TICK
    name, folder = action.params["name"], action.label.package
    write_marshalled(_path(session.world.root), (name, folder, since, rows))


def edit_near(root: str) -> Edit | None:
    """What has been edited of that program in the workspace *root*, if it is no more than what Go
    files hold below their imports, as far as can be told from what it was made of."""
    value = read_marshalled(_path(root))
    if value is None:
        return None
    name, folder, since, rows = value
    files = dict[str, str]()
    for kind, path, pattern, known in rows:
        try:
            if not _has_moved(f"{root}/{path}", since, is_known=bool(known)):
                continue
            now, note = value_at(kind, f"{root}/{path}", pattern)
        except (OSError, ValueError, StoreError):
            return None
        if now == known:
            continue
        if kind != "file" or not path.endswith(".go") or not now or not note:
            return None  # or it was written just now
        files[path] = now
    return Edit(name, folder, files) if files else None


def _has_moved(path: str, since: int, *, is_known: bool) -> bool:
    try:
        return os.stat(path).st_ctime_ns >= since
    except (FileNotFoundError, NotADirectoryError):
        return is_known


def _path(root: str) -> str:
    return os.path.join(root, ".scratch", "memo", "near.rows")
