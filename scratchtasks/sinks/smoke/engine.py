"""Trials in a Docker Engine, through the docker SDK."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import Json, hex_of
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.hosts import FIXED_NAMES
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.rootfs import PlainLayer, Rootfs
from scratchtasks.oci.inflate import LayerReader
from scratchtasks.oci.media import LAYER_GZIP
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from ..docker import Engine, Loadable, connect, load
from ..docker.endpoint import is_here
from ..docker.faults import sdk_errors
from .leftovers import REPOSITORY, own_labels, own_tag, sweep
from .probe import KEPT, MOST_PROCESSES, PAUSES, ask, keep
from .root import read_file
from .trial import Outcome, Trial, Unusable, is_satisfied, stopped_before

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_NOT_ON_PATH = "executable file not found in $PATH"
_FORMAT = "exec format error"
_LARGEST = 1 << 40
"""Bytes of the largest layer that is believed."""

_LOG = {"max-size": "64m", "max-file": "2"}
"""What an engine's disk has to hold of a program that prints without end.  The engine writes up to
50 bytes for one: this much has the KEPT ones in any case."""


class InEngine:
    """Runs trials of one image in the engine that *env* names; leaving it as a context manager
    removes all traces of them there, and entering the engine those of runs that were killed.

    An image that the engine lacks is loaded for the trials, under a name of its own.  Containers
    have no network, or with a probe one port of this machine's loopback.
    """

    def __init__(
        self, where: str, store: ContentStore, files: FileStates, env: Mapping[str, str]
    ) -> None:
        self._where, self._store, self._files, self._env = where, store, files, env
        self._stack = ExitStack()
        self._place: _Place | None = None

    def __enter__(self) -> "InEngine":
        return self

    def __exit__(self, *_: object) -> None:
        with sdk_errors(self._where):
            self._stack.close()

    def run(self, trial: Trial) -> Outcome:
        """What comes of *trial*, and of those before it.

        Raises: Unusable (no engine, or it cannot run this platform); SinkError (it refuses);
        StoreError.
        """
        with sdk_errors(self._where):
            place = self._place = self._place or self._opened(trial)
            if trial.definition.http_path and not is_here(place.client.api.base_url):
                raise Unusable("the engine is on another machine, out of the probe's reach")
            name = place.name
            with ExitStack() as made:
                for step in trial.before:
                    outcome, name = _run(step, name, place.hosts, place.client, made)
                    if (stopped := stopped_before(step, outcome)) is not None:
                        return stopped
                return _run(trial, name, place.hosts, place.client)[0]

    def _opened(self, trial: Trial) -> "_Place":
        try:
            client = connect(self._env)
        except SinkError as error:
            raise Unusable(error.what) from None
        self._stack.callback(client.close)
        sweep(client)
        root = root_of(trial.image, self._store, self._files)
        name = self._stack.enter_context(_image(trial.image, root, client, self._store))
        hosts = _extra_hosts(read_file(trial, self._store, "etc/hosts", self._where))
        return _Place(client, name, hosts)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an image is: its *name* in the engine of *client*, and the *hosts* it declares."""

    client: "DockerClient"
    name: str
    hosts: Mapping[str, str]


def root_of(image: PlatformImage, store: ContentStore, files: FileStates) -> Rootfs:
    """*image* as engines take it; sizes of tars are measured once and kept in *files*."""

    def size_of(layer: Layer) -> int:
        key: Json = ["tar size", layer.blob.digest]
        return int(files.probes.ask(key, lambda: str(_tar_size(layer, store))))

    layers = tuple(
        PlainLayer(layer.blob, layer.diff_id, size_of(layer), layer.kind) for layer in image.layers
    )
    return Rootfs(image.platform, image.config, layers)


def _tar_size(layer: Layer, store: ContentStore) -> int:
    is_gzip = layer.blob.media_type == LAYER_GZIP
    with store.open(layer.blob.digest) as file:
        tar = LayerReader(file, is_gzip=is_gzip, size=layer.blob.size, limit=_LARGEST)
        size = sum(map(len, iter(lambda: tar.read(1 << 20), b"")))
    if tar.fault:
        raise StoreError(store.path(layer.blob.digest), f"layer is damaged: {tar.fault}")
    return size


@contextmanager
def _image(
    image: PlatformImage, root: Rootfs, client: "DockerClient", store: ContentStore
) -> Iterator[str]:
    """A name of *image* in the engine that nobody else has, for as long as it is used.

    An image that came for the trial only goes with its name.
    """
    name = f"{REPOSITORY}:{own_tag(hex_of(image.manifest.digest)[:16])}"
    try:
        load([Loadable(root, (name,))], Engine(client), store)
        yield name
    finally:
        _remove_image(client, name)


def _run(
    trial: Trial,
    image: str,
    hosts: Mapping[str, str],
    client: "DockerClient",
    made: ExitStack | None = None,
) -> tuple[Outcome, str]:
    """What comes of *trial* in *image*; with *made*, which removes it, also an image of what it
    left behind."""
    from docker.errors import APIError
    from docker.types import LogConfig

    wanted = trial.definition
    port = f"{wanted.http_port}/tcp"
    options: dict[str, Any] = {"network_mode": "none"}
    if wanted.http_path:
        options = {"ports": {port: ("127.0.0.1", None)}}
    name = f"{REPOSITORY}-{os.urandom(8).hex()}"
    try:
        container = client.containers.create(
            image,
            list(trial.argv[1:]),
            name=name,
            entrypoint=[trial.argv[0]],
            environment=dict(trial.env),
            extra_hosts=dict(hosts),
            healthcheck={"test": ["NONE"]},
            read_only=wanted.read_only,
            pids_limit=MOST_PROCESSES,
            oom_score_adj=1000,  # where memory is short, the first to go
            labels=own_labels(),
            log_config=LogConfig(type="json-file", config=_LOG),  # others cannot be read back
            use_config_proxy=False,  # config.json's, with its password: no other way has it
            **options,
        )
        try:
            container.start()
        except APIError as error:
            return _refused(trial, str(error.explanation or error)), ""
        outcome = _watch(trial, container, port)
        left = ""
        if made is not None:
            tag = own_tag("setup")
            container.commit(REPOSITORY, tag)
            left = f"{REPOSITORY}:{tag}"
            made.callback(_remove_image, client, left)
    finally:
        _remove_container(client, name)
    if outcome.code == 1 and _FORMAT.encode() in outcome.stderr and not _is_native(trial, client):
        raise Unusable(_foreign(trial))
    return outcome, left


def _remove_container(client: "DockerClient", name: str) -> None:
    """Remove *name* with its volumes, and so end all that runs in it."""
    from docker.errors import NotFound

    with suppress(NotFound):  # it did not come to that
        client.api.remove_container(name, force=True, v=True)


def _remove_image(client: "DockerClient", image: str) -> None:
    from docker.errors import ImageNotFound

    with suppress(ImageNotFound):  # or it went with one that was made from it
        client.api.remove_image(image)


def _refused(trial: Trial, explanation: str) -> Outcome:
    if _FORMAT in explanation:
        raise Unusable(_foreign(trial))
    reason = explanation.removesuffix(": unknown").rpartition(": ")[2]
    reason = "no such file or directory" if reason.endswith(_NOT_ON_PATH) else reason
    return Outcome(code=None, stdout=b"", stderr=b"", refusal=reason)


def _foreign(trial: Trial) -> str:
    return f"the engine cannot run {trial.image.platform}"


def _is_native(trial: Trial, client: "DockerClient") -> bool:
    return bool(client.version()["Arch"] == trial.image.platform.architecture)


def _watch(trial: Trial, container: "Container", port: str) -> Outcome:
    """Wait until the program ended, was found good by the probe, or ran out of time."""
    wanted = trial.definition
    deadline = time.monotonic() + wanted.timeout_seconds
    pauses = iter(PAUSES)
    answer = ""
    while True:
        container.reload()
        state = container.attrs["State"]
        code = None if state["Running"] else int(state["ExitCode"])
        left = deadline - time.monotonic()
        if code is None and wanted.http_path and left > 0:
            answer = _probe(trial, container.attrs["NetworkSettings"], port, min(left, 5.0))
        is_good = bool(wanted.http_path) and answer == str(wanted.http_status)
        if code is not None or left <= 0 or (is_good and is_satisfied(wanted, *_logs(container))):
            break
        pause = next(pauses, PAUSES[-1] if wanted.http_path else PAUSES[2])
        time.sleep(min(pause, left))
    if code is None:
        _end(container)
    stdout, stderr = _logs(container)
    return Outcome(code=code, stdout=stdout, stderr=stderr, answer=answer)


def _end(container: "Container") -> None:
    from docker.errors import APIError

    try:
        container.kill()
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:  # which says that it has ended by itself
            raise


def _probe(trial: Trial, network: Mapping[str, Any], port: str, seconds: float) -> str:
    """Ask the published port; an engine beside us in containers is reached at its address."""
    wanted = trial.definition
    published = (network.get("Ports") or {}).get(port) or []
    if not published:
        return "no published port"
    answer = ask(("127.0.0.1",), int(published[0]["HostPort"]), wanted.http_path, seconds)
    if not answer.isdigit() and network.get("IPAddress"):
        other = ask((network["IPAddress"],), wanted.http_port, wanted.http_path, seconds)
        return other if other.isdigit() else answer
    return answer


def _logs(container: "Container") -> tuple[bytes, bytes]:
    tails = []
    for name in ("stdout", "stderr"):
        tail = bytearray()
        kinds = {"stdout": name == "stdout", "stderr": name == "stderr"}
        for chunk in container.logs(stream=True, follow=False, **kinds):
            keep(tail, chunk)
        tails.append(bytes(tail[-KEPT:]))
    return tails[0], tails[1]


def _extra_hosts(text: bytes) -> dict[str, str]:
    """The hosts of an /etc/hosts by name, without those that Docker writes itself."""
    found: dict[str, str] = {}
    for line in text.decode(errors="replace").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            if name not in FIXED_NAMES:
                found.setdefault(name, address)
    return found
