"""`doit cache`: how large the cache is, and shrinking it to a limit."""

import os

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from scratchtasks.config.quantities import parse_size
from scratchtasks.core.errors import ScratchError, count_of
from scratchtasks.core.size import human_size
from scratchtasks.plugin.session import Session
from scratchtasks.store.collect import collect, measure, size_of

from .analyzed import session_of
from .options import OptionsAnywhere

_COLLECT = {
    "name": "collect",
    "long": "collect",
    "type": bool,
    "default": False,
    "help": "remove the least recently used results until the limit is met",
}
_LIMIT = {
    "name": "limit",
    "long": "limit",
    "type": str,
    "default": "",
    "help": 'such as "5GiB"; with --collect [default: cache.limit of the workspace]',
}


class Cache(OptionsAnywhere, DoitCmdBase):  # type: ignore[misc]
    """Shows what `.scratch/` holds; with --collect, removes what nothing current needs."""

    name = "cache"
    doc_purpose = "show the size of the cache, or shrink it"
    doc_usage = ""
    doc_description = (
        "What current images are made of is never removed, nor compilers that scratch.lock pins. "
        "Of cargo's target folders, one for each compiler, those go that were not used for a week."
    )
    cmd_options = (_COLLECT, _LIMIT)

    def _execute(self, pos_args: list[str], collect: bool, limit: str) -> int:
        if pos_args:
            raise InvalidCommand(f"cache: takes no arguments, got {pos_args[0]!r}")
        session = session_of(self.loader)
        size = parse_size(limit) if limit else session.declared.cache_limit
        if size is None:
            raise InvalidCommand(f'cache: --limit: wanted a size such as "5GiB", got {limit!r}')
        if limit and not collect:
            hint = f"doit cache --collect --limit {limit!r}"
            what = "is for --collect, which was not given"
            raise InvalidCommand(f"cache: --limit: {what}\n    hint: {hint}")
        try:
            if collect:
                self.outstream.write(_collected(session, size))
            self.outstream.write(_usage(session))
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None
        return 0


def _collected(session: Session, limit: int) -> str:
    session.lock()
    done = collect(session.world.scratch, limit, session.digests_in_use())
    line = f"removed {count_of(done.blobs, 'blob')}, {human_size(done.freed)}"
    left = measure(session.world.scratch).blobs_bytes
    rest = f"; the rest is in use, or new (wanted at most {human_size(limit)})"
    return line + (rest if left > limit else "") + "\n"


def _usage(session: Session) -> str:
    scratch = session.world.scratch
    usage = measure(scratch)
    about = f"{count_of(usage.files, 'blob')} of {count_of(usage.actions, 'action')}"
    lines = [f"results    {human_size(usage.blobs_bytes):>10}  {about}"]
    own = "the compiler's own cache, .scratch/"
    for name, folder, what in (
        ("cargo", "cargo", f"{own}cargo"),
        ("zig", "zig", f"{own}zig"),
        ("compilers", "blobs/trees", "those of scratch.lock, unpacked"),
    ):
        size = size_of(os.path.join(scratch, folder))
        if size:
            lines.append(f"{name:10} {human_size(size):>10}  {what}")
    lines.append(f"limit      {human_size(session.declared.cache_limit):>10}  for results")
    return "\n".join(lines) + "\n"
