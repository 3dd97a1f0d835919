"""Containers of one test run in the Docker Engine, each removed by its id when it has ended."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker.errors import ImageNotFound
from docker.models.containers import Container


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    def answer(self) -> dict[str, Any]:
        """The one line of JSON that a service answers with when all went well."""
        assert self.code == 0, self
        value: dict[str, Any] = json.loads(self.stdout)
        return value

    def error(self) -> str:
        """The reason that a service gives for its failure."""
        assert self.code == 1, self
        reason: str = json.loads(self.stdout)["error"]
        return reason


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker Engine, and the ids there of the images under test, by name."""

    client: DockerClient
    ids: Mapping[str, str]

    def run(self, name: str, *command: str, **options: Any) -> Ended:
        """Run image *name* to its end; *options* are the Docker SDK's."""
        with self.container(name, command, **options) as container:
            code = container.wait(timeout=60)["StatusCode"]
            return Ended(
                code,
                container.logs(stdout=True, stderr=False).decode(),
                container.logs(stdout=False, stderr=True).decode(),
            )

    @contextmanager
    def container(
        self, name: str, command: Sequence[str] = (), **options: Any
    ) -> Iterator[Container]:
        """A running container of image *name*, without a network unless *options* give one."""
        options = {"network_mode": "none", **options}
        container = self.client.containers.create(self.ids[name], list(command) or None, **options)
        try:
            container.start()
            yield container
        finally:
            container.remove(force=True, v=True)

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of image *name*."""
        value: dict[str, Any] = self.client.api.inspect_image(self.ids[name])  # type: ignore[no-untyped-call]
        return value


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until *condition* holds; fails with *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds:g} s: {what}"
        time.sleep(0.05)


@contextmanager
def borrowed_tags(
    client: DockerClient, tags: Sequence[str], load: Callable[[], object]
) -> Iterator[dict[str, str]]:
    """The ids that *tags* have after *load*.  In the end the tags are given back to the images
    that had them before, and images that came by *load* go."""
    before = {tag: _id_of(client, tag) for tag in tags}
    there = set(client.api.images(quiet=True, all=True))
    load()
    ids = {tag: str(client.images.get(tag).id) for tag in tags}
    try:
        yield ids
    finally:
        for tag, ours in ids.items():
            if _id_of(client, tag) == ours != before[tag]:
                client.images.remove(tag, noprune=True)
                if (owner := before[tag]) is not None:
                    client.images.get(owner).tag(tag)
            if ours not in there and _id_of(client, ours) and not client.images.get(ours).tags:
                client.images.remove(ours)


def _id_of(client: DockerClient, name: str) -> str | None:
    try:
        return client.images.get(name).id
    except ImageNotFound:
        return None
