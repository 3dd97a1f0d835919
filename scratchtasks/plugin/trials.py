"""Smoke tests of finished images, as `smoke:NAME` runs them."""

import os
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError, StoreError
from scratchtasks.core.label import parse_label
from scratchtasks.core.target import Service
from scratchtasks.core.task import Task
from scratchtasks.store.atomic import read_named

from .events import Finished, Outcome, Started, Work

if TYPE_CHECKING:
    from scratchtasks.core.structure import StructureTest

    from .session import Session


class Trials:
    """Tries images out; what has passed once is not tried again."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def smoke(self, task: Task) -> bool:
        """Try the image of *task* out, on every platform it has; whether that was done now, and
        not remembered.

        Raises: SinkError for the first that fails; ConfigErrors for all faults of a structure
        test's file; ScratchError; Cancelled.
        """
        from scratchtasks.sinks.smoke.verdict import smoke

        session, world = self._session, self._session.world
        service = session.graph.services[task.name.removeprefix("image:")]
        if service.smoke is None:
            return False
        is_news = False
        structure = self._structure(service)
        _, images = session.exports.images_of(task)
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
                    structure,
                    where=str(task.label),
                    store=world.store,
                    files=world.files,
                    cache=world.cache,
                    processes=world.processes,
                    env=world.env,
                    folder=os.path.join(world.scratch, "tmp"),
                )
                outcome, seconds = "hit" if verdict.cached else "ran", verdict.seconds
                is_news |= not verdict.cached
            finally:
                session.events.emit(Finished(work, outcome, seconds))
        return is_news

    def _structure(self, service: Service) -> list["StructureTest"]:
        """The structure tests of *service*, read anew each time: their content counts."""
        if service.smoke is None or not service.smoke.structure_test:
            return []
        from scratchtasks.config.structure import parse_structure

        tests = []
        for source in service.smoke.structure_test:
            path = self._path(source, service)
            try:
                data = read_named(os.path.join(self._session.world.root, path))
                text = None if data is None else data.decode()
            except UnicodeDecodeError as error:
                what = f"wanted UTF-8, got byte 0x{error.object[error.start]:02x}"
                raise ConfigError(path, what) from None
            except StoreError as error:
                raise ConfigError(path, error.what) from None
            if text is None:
                where = f"{service.origin}: smoke.structure_test"
                raise ConfigError(where, f"there is no file {path}")
            tests.append(parse_structure(text, path))
        return tests

    def _path(self, source: str, service: Service) -> str:
        """The file that *source* means, relative to the root."""
        if not source.startswith("//"):
            return os.path.normpath(os.path.join(service.folder, source))
        label = parse_label(source)
        if source in {str(rule.label) for rule in self._session.declared.genrules}:
            where = f"{service.origin}: smoke.structure_test"
            raise ConfigError(where, f"wanted a file, got the genrule {source}")
        return os.path.join(label.package, label.name)
