"""The tasks of a command that has something to do: the selection, batches, transactions."""

import fnmatch
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from doit.loader import generate_tasks
from doit.task import Task

from scratchtasks.execute.plan import Plan

from .ahead import chores
from .fresh import fresh_images
from .session import Session
from .tasks import AFTER, GROUPS, need_of, task_dicts
from .words import empty_groups, empty_patterns, resolve_words

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
    patterns = empty_patterns(cmd, pos_args, session, users_tasks)
    for note in (*empty_groups(pos_args, session), *patterns):
        sys.stderr.write(f"scratchtasks: {note}\n")
    choose = getattr(cmd, "choose", None)
    if choose is not None:
        cmd.sel_tasks = choose(session)
    reached = _reached(session, cmd.sel_tasks or (), users_tasks)
    session.pushes.plan(
        f"image:{word.removeprefix('push:')}" for word in reached if word.startswith("push:")
    )
    if not options.get("single"):
        _load_together(session, cmd, users_tasks)
        _push_together(session, cmd, users_tasks)
    loads = any(word.startswith("load:") for word in reached)
    if loads or session.pushes.planned:
        # Processes would not know what others have loaded, nor their part of the transaction.
        options["par_type"] = "thread"
    is_told = session.pushes.planned or session.pushes.as_json
    if is_told and options["outfile"] is sys.stdout:
        options["outfile"] = sys.stderr  # stdout is for what was pushed
    if any(word.startswith("image:") for word in reached):
        session.use_world(replace(session.world, packs=True))
    actions = _actions_of(session, _not_ignored(session, reached, cmd.dep_manager))
    session.pinning.settle(actions)
    if any(task.loader for task in users_tasks):  # doit makes more of them on the way
        session.users_tasks = None
    elif any(task.name in reached for task in users_tasks):
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
    for word, option in (("--dry-run", "is_dry"), ("--json", "as_json")):
        if word in pos_args and any(each.partition(":")[0] == "push" for each in pos_args):
            pos_args.remove(word)
            setattr(session.pushes, option, True)


def _load_together(session: Session, cmd: Any, users_tasks: Sequence[Task]) -> None:
    """Have all that is loaded together built before the first of it is: it goes in one archive.

    A task of the user's may write what is named behind it, which is built and loaded behind it too.
    What it needs itself goes in one archive, unless another one of theirs comes in between.
    """
    loads = {f"load:{name}": name for name in session.names_for("load")}
    theirs = _words_for(users_tasks)

    def meant(word: str) -> Iterable[str]:
        if _is_one_of(theirs, word):
            behind = _reached(session, [word], users_tasks)
            at_work = theirs.intersection(behind).difference(session.after)
            return [each for each in behind if each in loads] if len(at_work) == 1 else ()
        if word == "load":
            return loads
        # Not each word with each name: there may be a thousand of both.
        return fnmatch.filter(loads, word) if "*" in word else [word] * (word in loads)

    pieces: list[list[str]] = [[]]
    for word in cmd.sel_tasks or ():
        if _is_one_of(theirs, word):
            pieces += [word], []
        else:
            pieces[-1].append(word)
    groups = [
        dict.fromkeys(
            need_of("load", loads[name], session.graph.tasks)
            for word in piece
            for name in meant(word)
        )
        for piece in pieces
    ]
    session.loads.plan(groups)
    cmd.sel_tasks = [
        word for group, piece in zip(groups, pieces, strict=True) for word in (*group, *piece)
    ]


def _push_together(session: Session, cmd: Any, users_tasks: Sequence[Task]) -> None:
    """Have tasks of the user's that are named between pushes run before the first one: it pushes
    what is named behind them too, and they may write that."""
    selected = list(cmd.sel_tasks or ())
    theirs = _words_for(users_tasks)
    pushes: list[int] = []
    others: list[int] = []
    for number, word in enumerate(selected):
        is_theirs = _is_one_of(theirs, word)
        behind = _reached(session, [word], users_tasks) if is_theirs else [word]
        if any(each.partition(":")[0] == "push" for each in behind):
            pushes.append(number)
        elif is_theirs:
            others.append(number)
    if pushes:
        early = [number for number in others if pushes[0] < number < pushes[-1]]
        order = [*range(pushes[0]), *early, *range(len(selected))]
        cmd.sel_tasks = [selected[number] for number in dict.fromkeys(order)]


def _words_for(users_tasks: Sequence[Task]) -> set[str]:
    """What may stand for *users_tasks* on a command line, beside patterns."""
    return {name for task in users_tasks for name in (task.name, *task.targets)}


def _is_one_of(theirs: set[str], word: str) -> bool:
    return word in theirs or ("*" in word and bool(fnmatch.filter(theirs, word)))


def _not_ignored(session: Session, reached: Iterable[str], database: Any) -> list[str]:
    """Those of *reached* that doit will look at: it skips what `doit ignore` has put into its
    *database*, and all that needs that."""
    ignored = set[str]()
    for name in reached:  # dependencies come first
        task = session.graph.tasks.get(name)
        if task and (database.status_is_ignore(task) or not ignored.isdisjoint(task.deps)):
            ignored.add(name)
    return [name for name in reached if name not in ignored]


def _actions_of(session: Session, reached: Iterable[str]) -> list[str]:
    """Names of the actions of all tasks that *reached* has, in that order."""
    ours = session.graph.tasks
    found = (action for name in reached if name in ours for action in ours[name].actions)
    return list(dict.fromkeys(found))  # those of a task with parts are theirs, too


def _reached(
    session: Session, selected: Iterable[str], users_tasks: Sequence[Task]
) -> dict[str, None]:
    """Names of *selected* tasks and of all behind them, dependencies first, without groups.

    Words that are not ours (a user's own tasks) lead to ours through their task_dep.
    """
    theirs = {task.name: task for task in users_tasks}
    ours = session.graph.tasks
    targets = {target: task.name for task in users_tasks for target in task.targets}
    # What is done with something built needs that, and is no task of the graph.
    after = {
        f"{kind}:{name}": need_of(kind, name, ours)
        for kind in AFTER
        for name in session.names_for(kind)
    }
    seen: dict[str, None] = {}

    def visit(word: str) -> None:
        if word in seen:
            return
        if word in after:
            visit(after[word])
            seen[word] = None
        elif word in ours:
            for dep in (*session.after, *ours[word].deps):
                visit(dep)
            seen[word] = None
        elif word in GROUPS:
            for name in (*ours, *after):
                if name.startswith(f"{word}:"):
                    visit(name)
        elif word in theirs or word in targets:
            seen[word] = None
            task = theirs[targets.get(word, word)]
            for dep in (*task.task_dep, *task.setup_tasks, *task.wild_dep, *task.file_dep):
                visit(dep)
        elif "*" in word:
            for name in fnmatch.filter([*ours, *after, *theirs], word):
                visit(name)
        else:
            maker = session.task_of_target(word)
            if maker:
                visit(maker)

    for word in selected:
        visit(word)
    return seen
