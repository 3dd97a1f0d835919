"""Smoke tests of finished images, as `smoke:NAME` runs them."""

import os
from typing import TYPE_CHECKING

from scratchtasks.analysis import Task

from .events import Finished, Outcome, Started, Work

if TYPE_CHECKING:
    from .session import Session


class Trials:
    """Tries images out; what has passed once is not tried again."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def smoke(self, task: Task) -> None:
        """Try the image of *task* out, on every platform it has.

        Raises: SinkError for the first that fails; ScratchError; Cancelled.
        """
        from scratchtasks.sinks.smoke.verdict import smoke

        session, world = self._session, self._session.world
        service = session.graph.services[task.name.removeprefix("image:")]
        if service.smoke is None:
            return
        _, images = session.images_of(task)
        for image in images:
            name = f"smoke:{service.name}@{image.platform}"
            work = Work(name, str(task.label), "Smoke", str(image.platform))
            session.events.emit(Started((work,)))
            outcome: Outcome = "failed"
            seconds = 0.0
            try:
                verdict = smoke(
                    image,
                    service.smoke,
                    where=str(task.label),
                    store=world.store,
                    files=world.files,
                    cache=world.cache,
                    processes=world.processes,
                    env=world.env,
                    folder=os.path.join(world.scratch, "tmp"),
                )
                outcome, seconds = "hit" if verdict.cached else "ran", verdict.seconds
            finally:
                session.events.emit(Finished(work, outcome, seconds))
