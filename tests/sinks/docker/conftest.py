"""Both kinds of Docker Engine, and a store to make images in."""

import io
import os
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker import DockerClient

from scratchtasks.core.span import OnSpan
from scratchtasks.sinks import docker
from scratchtasks.sinks.docker import How, Loadable
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .made import OWNER, Made, compile_program
from .relay import Relay, relay

HOSTS = {
    "classic": ("DOCKER_HOST", "unix:///var/run/docker.sock"),
    "containerd": ("SCRATCH_TEST_CONTAINERD_HOST", ""),
}
"""For each kind of store, the variable that names such an engine, and its default."""


def host_of(kind: str) -> str:
    """The DOCKER_HOST of the engine with that kind of store; the test fails without."""
    variable, default = HOSTS[kind]
    host = os.environ.get(variable) or default
    if not host.startswith("unix://"):
        pytest.fail(f"{variable}: wanted unix://… of an engine, got {host!r}", pytrace=False)
    return host


@dataclass(frozen=True)
class Engine:
    """An engine: *client* is connected directly, what is loaded goes through *relay*."""

    kind: str
    client: DockerClient
    host: str
    relay: Relay
    made: Made

    def load(self, *images: Loadable, tell: OnSpan | None = None) -> list[How]:
        """Load *images*, with the counters at zero before."""
        self.relay.requests.clear()
        self.relay.sent = 0
        client = docker.connect({"DOCKER_HOST": self.host})
        try:
            return docker.load(images, docker.Engine(client, tell), self.made.store)
        finally:
            client.close()

    def run(self, image: str) -> str:
        """What a container of *image* prints."""
        container = self.client.containers.create(image, network_mode="none")
        try:
            container.start()
            ended = container.wait(timeout=60)
            # Not what `containers.run` gives: it follows the log, and may miss all of it.
            said: bytes = container.logs()
            assert ended["StatusCode"] == 0, said
            return said.decode()
        finally:
            container.remove(force=True)

    def read(self, image: str) -> str:
        """What a container of *image* would print; faster, as none is started."""
        container = self.client.containers.create(image, network_mode="none")
        try:
            chunks, _ = container.get_archive("/etc/message")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                file = tar.extractfile("message")
                assert file is not None
                return file.read().decode()
        finally:
            container.remove()

    def id(self, image: str) -> str:
        """The id of *image* there."""
        return str(self.client.images.get(image).id)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program that prints /etc/message."""
    return compile_program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def made(tmp_path: Path, program: bytes, name: str) -> Made:
    """An empty store, and the program for images in it.

    The program is unlike any other test's, so that no engine has its layer yet.
    """
    files = FileStates(str(tmp_path), str(tmp_path / "files.db"))
    store = ContentStore(str(tmp_path / "blobs"), files)
    return Made(store, files, program + name.encode(), name)


@pytest.fixture
def name() -> str:
    """The name of an image that nobody else has."""
    return f"scratchtasks-test-{uuid.uuid4().hex}"


@pytest.fixture
def open_engine(made: Made) -> Iterator[Callable[[str, str], Engine]]:
    """Gives the Engine of a kind, at a host; images of *made* are removed at the end."""
    with ExitStack() as stack:

        def connect(kind: str, host: str) -> Engine:
            # Short, for a socket's path has 108 bytes at most.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay")))
            relayed, it = stack.enter_context(relay(folder, host))
            client = DockerClient(base_url=host)
            stack.callback(client.close)
            stack.callback(_remove_images, client, made.owner)
            return Engine(kind, client, relayed, it, made)

        yield connect


@pytest.fixture(params=list(HOSTS))
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str, str], Engine]) -> Engine:
    """Each of the two engines."""
    return open_engine(request.param, host_of(request.param))


def _remove_images(client: DockerClient, owner: str) -> None:
    for image in client.images.list(filters={"label": f"{OWNER}={owner}"}):
        for name in image.tags or [str(image.id)]:
            client.images.remove(name, force=True)
