"""cron: one line that refreshes, rebuilds and pushes on a machine of one's own."""

import shlex

from .place import Place

_TEXT = """\
# For `crontab -e` of a user of its own, who may write this folder and push to the registry (in its
# ~/.docker/config.json) and nothing else.  cron mails what is printed: nothing on a night without
# news, for exit code 0 (nothing new) is silent.
SHELL=/bin/sh
PATH={path}
# 10: refreshed, rebuilt and pushed.  20: something would disappear; look, then run it with
# --accept.  Anything else is an error, and scratch.lock is as it was.
{minute} 3 * * * {command}
"""


def cron(place: Place) -> str:
    """The crontab for *place*; one job at a time, by flock(1)."""
    root, doit = shlex.quote(place.root), shlex.quote(place.doit)
    script = (
        f"cd {root} && out=$({doit} refresh --build --push 2>&1); code=$?; "
        '[ "$code" -eq 0 ] || printf "%s\\nexit code %s\\n" "$out" "$code"'
    )
    # flock(1) locks the folder itself.
    command = f"flock -n {root} sh -c {shlex.quote(script)}"
    # cron takes an unescaped % for the end of the line.
    return _TEXT.format(path=place.path, minute=place.minute, command=command.replace("%", "\\%"))
