"""The tasks of a command that has something to do: the selection, and what is made together."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from doit.loader import generate_tasks
from doit.task import Task

from scratchtasks.execute.plan import Plan

from .ahead import chores
from .fresh import fresh_images
from .mistyped import check_options
from .order import actions_of, load_together, not_ignored, push_together, reached
from .session import Session
from .switches import PUSH_OPTIONS
from .tasks import task_dicts
from .words import empty_groups, empty_patterns, resolve_words, takes_tasks

_FEW = 4
"""Chains that one makes one by one with `-n`: in the end, cores wait for the last task."""


def tasks_for(
    cmd: Any,
    pos_args: list[str],
    session: Session,
    users_tasks: Sequence[Task],
    options: Any,
    fresh: Collection[str] = (),
) -> list[Task]:
    """All tasks of *session* for doit's command *cmd*, after *users_tasks*.

    *fresh* are services outside of *session* whose images *cmd* names too.

    For a command that runs tasks the workspace is locked, and what can be compiled or loaded
    together is found.

    Raises: ScratchError; InvalidDodoFile where a user's task has the name of one of ours.
    """
    resolve_words(cmd, pos_args, session, users_tasks, fresh)
    planned, workers = Plan(), 0
    if getattr(cmd, "execute_tasks", False):
        planned = _prepare_run(cmd, pos_args, session, users_tasks, options)
        at_once = int(options.get("num_process") or 0)
        workers = 1 if at_once else 0  # with `-n` it is doit that has several at work
        if at_once or planned.groups:
            # A thread for each layer: the others have layers of their own, or are not wanted.
            session.use_threads(1)
    ours = task_dicts(session, planned, workers=workers)
    made = (each for part in (ours, fresh_images(fresh)) for each in part)
    return [*users_tasks, *generate_tasks("scratchtasks", made)]


def _prepare_run(
    cmd: Any, pos_args: list[str], session: Session, users_tasks: Sequence[Task], options: Any
) -> Plan:
    """Get ready to run; returns what is best made together."""
    session.lock()
    _take_options(session, pos_args)
    if takes_tasks(cmd):
        check_options(cmd, pos_args, users_tasks)
    patterns = empty_patterns(cmd, pos_args, session, users_tasks)
    for note in (*empty_groups(pos_args, session), *patterns):
        sys.stderr.write(f"scratchtasks: {note}\n")
    choose = getattr(cmd, "choose", None)
    if choose is not None:
        cmd.sel_tasks = choose(session)
    names = reached(session, cmd.sel_tasks or (), users_tasks)
    session.pushes.plan(
        f"image:{word.removeprefix('push:')}" for word in names if word.startswith("push:")
    )
    if not options.get("single"):
        load_together(session, cmd, users_tasks)
        push_together(session, cmd, users_tasks)
    loads = any(word.startswith("load:") for word in names)
    if loads or session.pushes.planned:
        # Processes would not know what others have loaded, nor their part of the transaction.
        options["par_type"] = "thread"
    is_told = session.pushes.planned or session.pushes.as_json
    if is_told and options["outfile"] is sys.stdout:
        options["outfile"] = sys.stderr  # stdout is for what was pushed
    if any(word.startswith("image:") for word in names):
        session.use_world(replace(session.world, packs=True))
    actions = actions_of(session, not_ignored(session, names, cmd.dep_manager))
    session.pinning.settle(actions)
    if any(task.loader for task in users_tasks):  # doit makes more of them on the way
        session.users_tasks = None
    elif any(task.name in names for task in users_tasks):
        session.users_tasks = tuple(users_tasks)
    if session.users_tasks != ():  # what they write counts: it is decided after they have run
        planned = Plan(later=tuple(actions))
    elif options.get("num_process"):
        planned = session.together.plan(actions, _FEW, with_singles=False)
    else:
        planned = session.together.plan(actions)
    # Compilers take longer than probes: what was begun is ended before their answer is looked at.
    for chore in (*chores(loads=loads), *([session.loads.begin] if loads else [])):
        session.world.processes.meanwhile(chore)
    return planned


def _take_options(session: Session, pos_args: list[str]) -> None:
    """Take the options of `push` off the command line, where doit would look for tasks."""
    for word, option in PUSH_OPTIONS.items():
        if word in pos_args and any(each.partition(":")[0] == "push" for each in pos_args):
            pos_args.remove(word)
            setattr(session.pushes, option, True)
