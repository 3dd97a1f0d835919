"""`doit why NAME…`: what would run for a task and why, in plain words; runs nothing."""

from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import did_you_mean
from scratchtasks.plugin.loader import ScratchLoader
from scratchtasks.plugin.session import Session


class Why(DoitCmdBase):  # type: ignore[misc]
    """Says for each task and all it needs whether it is up to date, and if not, why."""

    name = "why"
    doc_purpose = "say why tasks would run"
    doc_usage = "[NAME|TASK|LABEL ...]"
    doc_description = "NAME is a service; without arguments: all images."

    def _execute(self, pos_args: list[str]) -> int:
        session = session_of(self.loader)
        told: set[str] = set()
        for word in pos_args or [name for name in session.graph.tasks if name.startswith("image:")]:
            self._tell(session, _task_name(session, word), told)
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


def session_of(loader: Any) -> Session:
    """The session behind *loader*.  Raises: InvalidCommand when doit uses another loader."""
    session = loader.session if isinstance(loader, ScratchLoader) else None
    if session is None:
        raise InvalidCommand(
            'this command needs a Workspace in dodo.py and [tool.doit] loader = "scratch"'
        )
    return session


def _task_name(session: Session, word: str) -> str:
    for name in (word, f"image:{word}"):
        if name in session.graph.tasks:
            return name
    known = [*session.graph.services, *session.graph.tasks]
    raise InvalidCommand(f"unknown task {word!r}; {did_you_mean(word, known)}")
