"""Build and push under a lock that is not in place yet, so that a kill leaves the old one.

The new lock lies aside until all went well and takes scratch.lock's place last.  A run that dies
after the push is made good by the next: it proposes the same, finds all of it built and pushed,
and puts the lock in place.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from doit import get_initial_workdir

from scratchtasks.core.errors import ActionFailed
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.switches import LOCK, TRIED_LOCK
from scratchtasks.plugin.words import empty_groups
from scratchtasks.store.atomic import remove, write_atomic

_START = "from scratchtasks.plugin.main import run_again; run_again({})"
_KEPT = "scratch.lock is as it was"


def try_out(session: Session, lock: str, names: Sequence[str], *, push: bool, dodo: str) -> None:
    """Build the images *names* with *lock* (text), try them out and, with *push*, push them.

    *dodo* is the file that doit reads, absolute.  Images that *session* had up to date are put
    back into `dist/` when something fails.

    Raises: ActionFailed; nothing was pushed then, unless it is the push that failed.
    """
    if not names:
        return
    # What is asked of the present state is asked without fetching an old compiler for it.
    session.use_world(replace(session.world, is_offline=True))
    images = [f"image:{name}" for name in names]
    trials = [f"smoke:{name}" for name in names if session.graph.services[name].smoke]
    pushes = [f"push:{name}" for name in names if session.graph.services[name].push]
    for note in empty_groups(["push"] * push, session):
        session.events.show(f"scratchtasks: {note}\n".encode())
    whole = [name for name in images if not session.why_stale(session.graph.tasks[name])]
    aside = os.path.join(session.world.scratch, "refresh", LOCK)
    write_atomic(aside, lock.encode())
    env = {**session.world.env, TRIED_LOCK: aside}
    try:
        _doit(dodo, [*images, *trials], env, "build", f"{_KEPT}, and nothing was pushed")
        if push and pushes:
            _doit(dodo, pushes, env, "push", f"{_KEPT}; above is what became of the push")
    except ActionFailed:
        if whole:
            with suppress(ActionFailed):  # it says so itself; the first failure is the cause
                _doit(dodo, whole, session.world.env, "restore", _KEPT)
        raise
    finally:
        remove(aside)


def _doit(dodo: str, words: Sequence[str], env: Mapping[str, str], what: str, hint: str) -> None:
    """Run doit as it was run before, everything that it says on stderr: stdout is for the report.

    Raises: ActionFailed, with *hint*.
    """
    start = _START.format(os.getpid())
    argv = [sys.executable, "-c", start, "run", "-f", dodo, "-d", os.getcwd(), *words]
    with subprocess.Popen(argv, cwd=get_initial_workdir(), env=env, stdout=2) as process:
        code = process.wait()
    if code:
        what_ran = f"`doit {' '.join(words)}` ended with status {code}"
        raise ActionFailed(f"refresh: {what}", what_ran, hint)
