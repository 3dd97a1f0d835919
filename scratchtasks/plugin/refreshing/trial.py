"""Build and push under a lock that is not in place yet, so that a kill leaves the old one.

The new lock lies aside until all went well and takes scratch.lock's place last.  A run that dies
after the push is made good by the next: it proposes the same, finds all of it built and pushed,
and puts the lock in place.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scratchtasks.core.errors import ActionFailed
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.switches import LOCK, TRIED_LOCK
from scratchtasks.store.atomic import remove, write_atomic

_START = "from scratchtasks.plugin.main import main; main()"


def try_out(session: Session, lock: str, names: Sequence[str], *, push: bool) -> None:
    """Build the images *names* with *lock* (text), try them out and, with *push*, push them.

    Images that *session* had up to date are put back into `dist/` when something fails.

    Raises: ActionFailed; then nothing was pushed.
    """
    if not names:
        return
    # What is asked of the present state is asked without fetching an old compiler for it.
    session.use_world(replace(session.world, is_offline=True))
    images = [f"image:{name}" for name in names]
    trials = [f"smoke:{name}" for name in names if session.graph.services[name].smoke]
    pushes = [f"push:{name}" for name in names if session.graph.services[name].push]
    whole = [name for name in images if not session.why_stale(session.graph.tasks[name])]
    aside = os.path.join(session.world.scratch, "refresh", LOCK)
    write_atomic(aside, lock.encode())
    env = {**session.world.env, TRIED_LOCK: aside}
    try:
        _doit(session, [*images, *trials], env, "build")
        if push and pushes:
            _doit(session, pushes, env, "push")
    except ActionFailed:
        if whole:
            _doit(session, whole, session.world.env, "restore")
        raise
    finally:
        remove(aside)


def _doit(session: Session, words: Sequence[str], env: Mapping[str, str], what: str) -> None:
    """Run doit, everything that it says on stderr: stdout is for the report."""
    argv = [sys.executable, "-c", _START, *words]
    with subprocess.Popen(argv, cwd=session.world.root, env=env, stdout=2) as process:
        code = process.wait()
    if code:
        raise ActionFailed(
            f"refresh: {what}",
            f"`doit {' '.join(words)}` ended with status {code}",
            "scratch.lock is as it was" + (", and nothing was pushed" if what != "restore" else ""),
        )
