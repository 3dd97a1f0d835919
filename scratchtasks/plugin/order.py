"""What a run comes to, and in which order: loads go together, and so do pushes."""

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

from doit.task import Task

from .session import Session
from .tasks import AFTER, GROUPS, need_of


def load_together(session: Session, cmd: Any, users_tasks: Sequence[Task]) -> None:
    """Have all that is loaded together built before the first of it is: it goes in one archive.

    A task of the user's may write what is named behind it, which is built and loaded behind it too.
    What it needs itself goes in one archive, unless another one of theirs comes in between.
    """
    loads = {f"load:{name}": name for name in session.names_for("load")}
    theirs = _words_for(users_tasks)

    def meant(word: str) -> Iterable[str]:
        if _is_one_of(theirs, word):
            behind = reached(session, [word], users_tasks)
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


def push_together(session: Session, cmd: Any, users_tasks: Sequence[Task]) -> None:
    """Have tasks of the user's that are named between pushes run before the first one: it pushes
    what is named behind them too, and they may write that."""
    selected = list(cmd.sel_tasks or ())
    theirs = _words_for(users_tasks)
    pushes: list[int] = []
    others: list[int] = []
    for number, word in enumerate(selected):
        is_theirs = _is_one_of(theirs, word)
        behind = reached(session, [word], users_tasks) if is_theirs else [word]
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


def not_ignored(session: Session, names: Iterable[str], database: Any) -> list[str]:
    """Those of *names* that doit will look at: it skips what `doit ignore` has put into its
    *database*, and all that needs that."""
    ignored = set[str]()
    for name in names:  # dependencies come first
        task = session.graph.tasks.get(name)
        if task and (database.status_is_ignore(task) or not ignored.isdisjoint(task.deps)):
            ignored.add(name)
    return [name for name in names if name not in ignored]


def actions_of(session: Session, names: Iterable[str]) -> list[str]:
    """Names of the actions of all tasks *names*, in that order."""
    ours = session.graph.tasks
    found = (action for name in names if name in ours for action in ours[name].actions)
    return list(dict.fromkeys(found))  # those of a task with parts are theirs, too


def reached(
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
