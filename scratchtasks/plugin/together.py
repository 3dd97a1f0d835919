"""What is best made together: by one compiler call, or side by side."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.parallel import map_all
from scratchtasks.core.task import Task
from scratchtasks.execute.plan import Batch, Chain, Plan, failures_of, plan, run_batches, run_probes

if TYPE_CHECKING:
    from .session import Session

_MANY = 64
"""Chains that are made side by side: when the last ends, cores wait for it."""


class Together:
    """Plans for many actions of *session*, and makes what was planned.

    *workers* are threads; 0 are as many as there are cores.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session

    def plan(
        self, names: Sequence[str], together: int = _MANY, *, with_singles: bool = True
    ) -> Plan:
        """What is best made together of the actions *names*, at most *together* chains a group;
        *with_singles* as for `execute.plan.plan`.

        What is found to fail is told, unless a task of the user's may mend it yet.
        """
        session, engine = self._session, self._session.engine
        with engine.planning():
            run_probes(engine, names)
            planned = plan(engine, names, together, with_singles=with_singles)
            failures = failures_of(engine, names) if session.users_tasks == () else ()
        if failures:
            session.events.foreseen(failures)
        return planned

    def build_batches(self, batches: Sequence[Batch], workers: int) -> None:
        """Run *batches* of stale actions.  Raises: Cancelled."""
        self._session.lock()
        run_batches(self._session.engine, batches, workers)

    def build_planned(self, names: Sequence[str], workers: int) -> None:
        """Plan for the actions *names* as they are found now, and make what is best made
        together.  Raises: Cancelled."""
        self._session.lock()
        planned = self.plan(names)
        self.build_batches(planned.batches, workers)
        if planned.groups:
            self._session.use_threads(1)
        for group in planned.groups:
            self.build_chains(group, workers)

    def build_chains(self, chains: Sequence[Chain], workers: int) -> None:
        """Build *chains*, each in its order.

        An image is exported to `dist/` too.  What fails ends its chain, and is told by the task
        that is to build it.

        Raises: Cancelled.
        """
        session = self._session
        session.lock()

        def build(chain: Chain) -> None:
            with suppress(ScratchError):
                for name in chain:
                    image = self._image_tasks.get(name)
                    if image is None:
                        session.engine.build(name)
                    elif session.why_stale(image):
                        session.build_image(image)

        map_all(build, chains, workers)

    @cached_property
    def _image_tasks(self) -> Mapping[str, Task]:
        """The tasks of images, by the name of the action that makes the image."""
        session = self._session
        tasks = session.graph.tasks.values()
        return {task.actions[-1]: task for task in tasks if session.is_image(task)}
