"""`doit schedule KIND`: a ready job that refreshes every night."""

import os
import sys

from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import did_you_mean

from .options import OptionsAnywhere

_COMPILERS = ("go", "cargo", "zig", "cc")


class Schedule(OptionsAnywhere):
    """Prints a commented, least-privilege job; writes and installs nothing."""

    name = "schedule"
    doc_purpose = "print a job that runs `doit refresh` every night"
    doc_usage = "KIND"
    doc_description = (
        "KIND is `github` or `gitlab` (a pull request), `kubernetes` (a branch), "
        "`cron` or `systemd` (rebuild and push)."
    )
    cmd_options = ()

    def execute(self, opt_values: object, pos_args: list[str]) -> int:
        """Print the job of the one kind in *pos_args*.  Raises: InvalidCommand."""
        from scratchtasks.refresh.schedule import KINDS, Place

        if len(pos_args) != 1:
            raise InvalidCommand(f"schedule: wanted one of {', '.join(KINDS)}")
        (kind,) = pos_args
        if kind not in KINDS:
            raise InvalidCommand(f"schedule: unknown kind {kind!r}; {did_you_mean(kind, [*KINDS])}")
        root = os.getcwd()
        # The doit beside this Python: schedulers have a PATH of their own.
        doit = os.path.join(os.path.dirname(sys.executable), "doit")
        place = Place(root=root, doit=doit, name=os.path.basename(root), tools=_folders())
        sys.stdout.write(KINDS[kind](place))
        return 0


def _folders() -> tuple[str, ...]:
    """Where this shell finds compilers."""
    import shutil

    found = filter(None, map(shutil.which, _COMPILERS))
    return tuple(os.path.dirname(os.path.abspath(path)) for path in found)
