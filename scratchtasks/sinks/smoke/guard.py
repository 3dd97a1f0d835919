"""A program: runs sandboxes, each for a bounded time, one after the other; leaves nothing behind.

Stdin is a file that holds the content of an image's files and, from where the second argument
says, an order as JSON: trials that are run one after the other, and

    tree      what `tmpfs.plant` is to make for them at the folder `root`; or null

What came of the trials is printed as a JSON list, which ends with the first that was not run to
its end; or `{"refused": why}` where there can be no such tree.  Of a trial:

    program   argv of bubblewrap, or of `enter.py`: both speak bubblewrap's --args FD,
              --json-status-fd FD and --block-fd FD
    args      text that the program reads from --args, so that no variable shows in any argv
    command   argv inside
    seconds   after which all is ended
    probe     [port, path, status] for HTTP, or null
    files     what follows `--file` in args: paths, and pieces [start, size] of the content
    patterns  regular expressions for stdout and stderr; with a probe, the trial is over once
              they are found and the probe succeeds

A process of its own, with one thread, because only such a one may join another's namespaces.  It
imports `sandbox.py`, `probe.py` and the standard library, as little as will do: it starts in 30 ms.
"""

import json
import os
import sys
from typing import Any

from .sandbox import Sandbox, die_with


def _go_first() -> None:
    """Let the kernel end us and ours before all others where memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass


def _allow_files(count: int) -> None:
    """Raise the limit of open files so that *count* more may be open, as far as that is allowed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 100
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _run_all(order: dict[str, Any], content: int) -> list[dict[str, Any]] | dict[str, str]:
    if order["tree"] is not None:
        from .tmpfs import plant

        parent = os.getppid()
        try:
            plant(order["root"], order["tree"], content)
        except OSError as error:
            return {"refused": str(error)}
        die_with(parent)  # new credentials have undone it
    done = []
    for trial in order["trials"]:
        _allow_files(len(trial["files"]))
        try:
            done.append(Sandbox(trial, content).run())
        except OSError as error:
            done.append({"fault": str(error)})
        if done[-1].get("code") is None:
            break
    return done


def main() -> None:
    """Do what stdin says.  Whoever started us ends, so do we."""
    die_with(os.getppid())
    _go_first()
    content = sys.stdin.fileno()
    os.lseek(content, int(sys.argv[2]), os.SEEK_SET)
    with open(content, "rb", closefd=False) as file:
        order = json.load(file)
    json.dump(_run_all(order, content), sys.stdout)
