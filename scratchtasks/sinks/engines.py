"""The engines that `load` can bring images to, by the names that users give them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from scratchtasks.core.errors import SinkError
from scratchtasks.core.span import OnSpan
from scratchtasks.store.blobs import ContentStore

from . import docker
from .docker import How, Loadable

if TYPE_CHECKING:
    from docker import DockerClient


class Target(Protocol):
    """Somewhere images run; whatever fails is a SinkError."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures whose Linux programs it runs, the best first."""
        ...

    def load(self, images: Sequence[Loadable], store: ContentStore) -> list[How]:
        """Bring *images* there, only what is lacking; what was done for each."""
        ...

    def id_of(self, reference: str) -> str:
        """What names the image *reference* there, and will never name another."""
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
    else:
        with open_client(engine, env) as client:
            yield _ByApi(client, tell)


@contextmanager
def open_client(engine: str, env: Mapping[str, str]) -> "Iterator[DockerClient]":
    """A client of *engine*, where it speaks the API of Docker Engine and can run containers.

    Raises: SinkError when it cannot be reached, or is a kind cluster.
    """
    if engine.partition(":")[0] == "kind":
        what = f"the engine {engine} runs pods, not containers"
        hint = "doit load, and `doit resolve --local` for manifests that name what is loaded"
        raise SinkError("up", what, hint)
    if engine == "podman":
        from .docker.podman import podman

        with podman(env) as client:
            yield client
        return
    client = docker.connect(env)
    try:
        yield client
    finally:
        client.close()


class _ByApi:
    """What speaks the API of Docker Engine."""

    def __init__(self, client: "DockerClient", tell: OnSpan | None) -> None:
        self._client = client
        self._tell = tell

    @property
    def architectures(self) -> tuple[str, ...]:
        return docker.architectures_of(self._client)

    def load(self, images: Sequence[Loadable], store: ContentStore) -> list[How]:
        return docker.load(images, self._client, store, self._tell)

    def id_of(self, reference: str) -> str:
        return docker.image_id(self._client, reference)
