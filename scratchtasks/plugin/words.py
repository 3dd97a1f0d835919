"""Words of the command line that name nothing: said with the nearest name, before doit does."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from scratchtasks.core.errors import ConfigError, GraphError, did_you_mean

from .mistyped import check_options
from .tasks import AFTER, GROUPS

if TYPE_CHECKING:
    from .late import LateSession
    from .session import Session


def takes_tasks(cmd: Any) -> bool:
    """Whether doit's command *cmd* takes nothing but names of tasks and targets."""
    usage: str = getattr(cmd, "doc_usage", "")
    return usage.startswith(("TASK", "[TASK"))


def resolve_words(
    cmd: Any,
    pos_args: list[str],
    session: "Session | LateSession",
    users_tasks: Sequence[Task],
    fresh: Collection[str] = (),
) -> None:
    """Turn labels of doit's command *cmd* into task names, in place: doit keeps the same list.

    *fresh* are services outside of *session* whose images are named too.

    Raises: GraphError for what names nothing; ConfigError where Workspace(after=…) does;
    InvalidDodoFile where a user's task has the name of one of ours.
    """
    for number, word in enumerate(pos_args):
        if word.startswith("//"):
            pos_args[number] = session.task_of_label(word)
    if takes_tasks(cmd):
        if not getattr(cmd, "execute_tasks", False):  # else some are taken off them first
            check_options(cmd, pos_args, users_tasks)
        known = {f"image:{name}" for name in fresh}
        words = [word for word in pos_args if word not in known]
        check_words(words, session, users_tasks, cmd.loader.cmd_names if cmd.name == "run" else ())
    if getattr(cmd, "name", "") == "info" and len(pos_args) == 1:
        _check_name(pos_args[0], session, users_tasks)
    _check_after(session.after, users_tasks)
    for task in users_tasks:
        if task.name in session.graph.tasks or task.name in GROUPS:
            raise InvalidDodoFile(
                f"dodo.py: task {task.name!r} has the name of a task of scratchtasks"
            )


def check_words(
    words: Sequence[str],
    session: "Session | LateSession",
    users_tasks: Sequence[Task],
    commands: Sequence[str] = (),
) -> None:
    """See to it that *words* are tasks or targets, where a wrong one looks like one of ours, or
    the first like one of *commands*, which doit has looked it up among.

    What cannot be known yet, or looks like nothing of ours, is left to doit.
    Raises: GraphError with the nearest name.
    """
    if any(task.loader for task in users_tasks):
        return  # tasks and targets that doit makes later
    theirs = {task.name: task for task in users_tasks}
    targets = {target for task in users_tasks for target in task.targets}
    ours = {name: name for name in _names_of_ours(session)}
    for word in words:
        if word in theirs:
            if theirs[word].params or theirs[word].pos_arg:
                return  # what follows may be meant for it
        elif not (word in ours or word in targets or "*" in word or session.task_of_target(word)):
            known = [*theirs, *(commands if word == words[0] else ())]
            _refuse(word, ours | {name: name for name in known}, session)


def empty_groups(words: Sequence[str], session: "Session | LateSession") -> Iterator[str]:
    """What to tell the user about groups among *words* that have no task at all."""
    for kind in AFTER:
        if kind in words and session.graph.services and not session.names_for(kind):
            yield f"{kind}: no service has a [{kind}] table"
    if "fetch" in words and not any(name.startswith("fetch:") for name in session.graph.tasks):
        yield "fetch: no service takes anything from another image or from Debian"


def empty_patterns(
    cmd: Any, words: Sequence[str], session: "Session | LateSession", users_tasks: Sequence[Task]
) -> Iterator[str]:
    """What to tell the user about wildcards among *words* of *cmd* that no task's name matches,
    for no service that they mean has such a table.

    Raises: GraphError for one that means nothing: doit would run nothing for it, say nothing, and
    end as if all was well.
    """
    if not takes_tasks(cmd) or any(
        task.loader or task.params or task.pos_arg for task in users_tasks
    ):
        return  # tasks that doit makes later, or what may be meant for one
    names = [*_names_of_ours(session), *(task.name for task in users_tasks)]
    for word in words:
        if "*" not in word or fnmatch.filter(names, word):
            continue
        kind, _, pattern = word.partition(":")
        if kind not in AFTER or not fnmatch.filter(session.graph.services, pattern):
            raise GraphError(word, "no task has such a name", "`doit list --all` shows all")
        yield f"{word}: no service of that name has a [{kind}] table"


def _check_after(names: Iterable[str], users_tasks: Sequence[Task]) -> None:
    """See to it that *names* are of *users_tasks*.  Raises: ConfigError with the nearest name."""
    theirs = [task.name for task in users_tasks]
    for name in names:
        if name not in theirs:
            what = f"there is no task of your own {name!r}"
            raise ConfigError("dodo.py: Workspace(after=…)", what, did_you_mean(name, theirs))


def _refuse(word: str, known: dict[str, str], session: "Session | LateSession") -> None:
    kind, _, name = word.partition(":")
    if kind in AFTER and name in session.graph.services:
        raise GraphError(word, "there is no such task", f"{name} has no [{kind}] table")
    images: dict[str, str] = {}  # a service alone, or its folder, stands for the image
    for service in session.graph.services.values():
        images |= dict.fromkeys((service.name, service.folder), f"image:{service.name}")
    meant = images | known
    import difflib

    near = difflib.get_close_matches(word.rstrip("/"), meant, n=1, cutoff=0.7)
    if near:
        raise GraphError(word, "there is no such task", f"did you mean '{meant[near[0]]}'?")
    if kind in GROUPS:
        raise GraphError(word, "there is no such task", "`doit list --all` shows all")


def _check_name(word: str, session: "Session | LateSession", users_tasks: Sequence[Task]) -> None:
    """See to it that *word* is the name of a task: doit's `info` looks up nothing else, and ends
    with a KeyError.  Raises: GraphError."""
    known = [*_names_of_ours(session), *(task.name for task in users_tasks)]
    if word not in known:
        maker = session.task_of_target(word)
        hint = f"{maker} makes it" if maker else did_you_mean(word, known)
        raise GraphError(word, "there is no such task", hint)


def _names_of_ours(session: "Session | LateSession") -> Iterator[str]:
    yield from GROUPS
    yield from session.graph.tasks
    for kind in AFTER:
        for name in session.names_for(kind):
            yield f"{kind}:{name}"
