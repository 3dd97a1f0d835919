"""The engines that `load` can bring images to, by the names that users give them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from scratchtasks.core.span import OnSpan
from scratchtasks.store.blobs import ContentStore

from . import docker
from .docker import How, Loadable
from .docker.endpoint import endpoint

if TYPE_CHECKING:
    from docker import DockerClient


class Target(Protocol):
    """Somewhere images run; whatever fails is a SinkError."""

    @property
    def client(self) -> "DockerClient":
        """A client of it, where it speaks the API of Docker Engine and runs containers.

        Raises: SinkError where it does not.
        """
        ...

    def warm_up(self) -> None:
        """Ask already what loading asks first.  Raises: SinkError."""
        ...

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures whose Linux programs it runs, the best first."""
        ...

    def load(self, images: Sequence[Loadable], store: ContentStore) -> list[How]:
        """Bring *images* there, only what is lacking; what was done for each."""
        ...

    def id_of(self, image: Loadable) -> str:
        """What names *image*, once it is loaded, there, and will never name another."""
        ...

    def remove_displaced(self) -> None:
        """Remove images of ours that `load` has left without a name and nothing runs."""
        ...


@contextmanager
def open_engine(
    engine: str, env: Mapping[str, str], tell: OnSpan | None = None
) -> Iterator[Target]:
    """The target *engine*: `docker`, `podman`, `kind` or `kind:CLUSTER`, as *env* places it.

    *tell* hears of each archive that is sent there.

    Raises: SinkError when it cannot be reached.
    """
    name, _, cluster = engine.partition(":")
    if name == "kind":
        from .kind import Kind

        yield Kind(cluster or env.get("KIND_CLUSTER_NAME") or "kind", env, tell)
    elif name == "podman":
        from .docker.podman import podman

        with podman(env) as client:
            yield _ByApi(client, tell)
    else:
        client = docker.connect(env)
        try:
            yield _ByApi(client, tell)
        finally:
            client.close()


def runs_containers(engine: str) -> bool:
    """Whether *engine* runs containers, and not only pods."""
    return engine.partition(":")[0] != "kind"


def is_near(engine: str, env: Mapping[str, str]) -> bool:
    """Whether *engine* is asked at a socket of this machine, so that it answers at once or never.

    Raises: SinkError when *env* names no engine.
    """
    return engine == "docker" and endpoint(env).host.startswith("unix://")


class _ByApi:
    """What speaks the API of Docker Engine."""

    def __init__(self, client: "DockerClient", tell: OnSpan | None) -> None:
        self.client = client
        self._engine = docker.Engine(client, tell)

    def warm_up(self) -> None:
        _ = self._engine.platform, self._engine.is_containerd  # which keeps the answers

    @property
    def architectures(self) -> tuple[str, ...]:
        return docker.architectures_of(self._engine)

    def load(self, images: Sequence[Loadable], store: ContentStore) -> list[How]:
        return docker.load(images, self._engine, store)

    def id_of(self, image: Loadable) -> str:
        return docker.image_id(image, self._engine)

    def remove_displaced(self) -> None:
        self._engine.remove_displaced()
