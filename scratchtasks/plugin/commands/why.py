"""`doit why NAME…`: what would run for a task and why, in plain words; runs nothing."""

from collections.abc import Iterator, Mapping, Sequence

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import GraphError, ScratchError, count_of, did_you_mean
from scratchtasks.core.task import Task
from scratchtasks.plugin.reporter import META
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.tasks import AFTER, NOTES

from .analyzed import session_of
from .options import OptionsAnywhere

_SHOWN = 3


class Why(OptionsAnywhere, DoitCmdBase):  # type: ignore[misc]
    """Says for each task and all it needs whether it is up to date, and if not, why."""

    name = "why"
    doc_purpose = "say why tasks would run"
    doc_usage = "[NAME|TASK|LABEL ...]"
    doc_description = (
        "NAME is a service: everything about its image is told.  Without arguments: what is stale"
        " by itself in all images, and what follows from it."
    )

    def _execute(self, pos_args: list[str]) -> int:
        session = session_of(self.loader)
        if not pos_args:
            self.outstream.write("".join(f"{line}\n" for line in _overview(session)))
            return 0
        own = {task.name for task in self.task_list if META not in (task.meta or ())}
        try:
            asked = [(word, _task_name(session, word, own)) for word in pos_args]
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None
        told: set[str] = set()
        for word, name in asked:
            self._tell(session, name, told)
            if note := NOTES.get(word.partition(":")[0]):
                self.outstream.write(f"{word}: {note}\n")
        return 0

    def _tell(self, session: Session, name: str, told: set[str]) -> None:
        if name in told:
            return
        told.add(name)
        task = session.graph.tasks[name]
        for dep in task.deps:
            self._tell(session, dep, told)
        reason = session.why_stale(task)
        self.outstream.write(f"{task.label}: {reason or 'up to date'}\n")


def _overview(session: Session) -> Iterator[str]:
    """Lines about all images: each reason once, with the tasks that are stale by themselves and
    the images that follow; then how many are up to date."""
    tasks = session.graph.tasks
    reasons: dict[str, str] = {}
    causes: dict[str, frozenset[str]] = {}
    for name in _needed([name for name in tasks if name.startswith("image:")], tasks):
        # What needs something stale is stale for that, and it cannot be known yet whether also
        # for a reason of its own.
        causes[name] = frozenset().union(*(causes[dep] for dep in tasks[name].deps))
        if not causes[name] and (reason := session.why_stale(tasks[name])):
            reasons[name] = reason
            causes[name] = frozenset((name,))
    alike: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        alike.setdefault(reason, []).append(name)
    images = [name for name in tasks if name.startswith("image:")]
    for reason, names in alike.items():
        yield f"{_some([str(tasks[name].label) for name in names])}: {reason}"
        stale = [each for each in images if not causes[each].isdisjoint(names)]
        following = [each.partition(":")[2] for each in stale if each not in names]
        if following:
            yield f"    and so {count_of(len(following), 'image')}: {_some(following)}"
    current = sum(not causes[name] for name in images)
    if current or not images:
        yield f"{count_of(current, 'image')} up to date"


def _needed(names: Sequence[str], tasks: Mapping[str, Task]) -> dict[str, None]:
    """The tasks *names* and all that they need, that first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in found:
            for dep in tasks[name].deps:
                visit(dep)
            found[name] = None

    for name in names:
        visit(name)
    return found


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _task_name(session: Session, word: str, own: set[str]) -> str:
    """The task that *word* means: for what is done with an image, the one that makes it.

    Raises: GraphError with the nearest name, or where to ask about one of the user's *own*.
    """
    kind, _, service = word.partition(":")
    is_after = kind in AFTER and service in session.names_for(kind)
    for name in (f"image:{service}" if is_after else word, f"image:{word}"):
        if name in session.graph.tasks:
            return name
    if word in own:
        raise GraphError(word, "is a task of your own", f"see `doit info {word}`")
    known = [*session.graph.services, *session.graph.tasks]
    raise GraphError(word, "there is no such task", did_you_mean(word, known))
