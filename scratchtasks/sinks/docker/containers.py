"""Containers that run our images in an engine: one for each service, replaced only by a better one.

What is decided is in `decide` and `trouble`, which touch nothing; `bring_up` and `take_down` do it.
A container is ours if its labels say so: somebody else's is never touched, whatever its name.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from scratchtasks.core.digest import key_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass

from .faults import sdk_errors

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

SERVICE = "scratchtasks.service"
WORKSPACE = "scratchtasks.workspace"
_SETTINGS = "scratchtasks.settings"

PREFIX = "scratch-"
"""Before the name of a service, that of its container."""

_SETTLE = 0.5
"""Seconds that a program has to live to count as started, unless it ends well before."""

_STOP = 3
"""Seconds that the old program has to end by itself."""

_SHOWN, _SHOWN_BYTES = 20, 4096
"""Of the end of its log: what a program which ended at once is shown with."""

_TRIES, _PAUSE = 20, 0.05
"""How often, with so many seconds between two tries."""

_LOOPBACK = "127.0.0.1"

How = Literal["started", "replaced", "resumed", "unchanged"]
Shield = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """*port* (`8080/tcp`) of a container at *host* of *address*; host 0 is any free port."""

    port: str
    host: int
    address: str = _LOOPBACK

    def __str__(self) -> str:
        number, _, protocol = self.port.partition("/")
        where = f"[{self.address}]" if ":" in self.address else self.address
        if protocol == "tcp":
            return f"http://{where}:{self.host} ({number}/tcp)"
        return f"{where}:{self.host} ({self.port})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A container as it should be: *service* of the workspace at *workspace* (absolute).

    *image* is the engine's id; *env* is added to the image's; *hosts* are addresses by name;
    *volumes* are absolute paths in it, each of which keeps its content from one container to
    the next.
    """

    service: str
    workspace: str
    image: str
    ports: tuple[Published, ...] = ()
    env: Mapping[str, str]
    hosts: Mapping[str, str]
    volumes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return PREFIX + self.service

    @property
    def labels(self) -> dict[str, str]:
        """Marks it as ours; the last one tells whether anything has changed since."""
        settings = key_of("up", 1, asdict(self))
        return {SERVICE: self.service, WORKSPACE: self.workspace, _SETTINGS: settings}


@dataclass(frozen=True, slots=True)
class There:
    """A container in the engine: what `decide` has to know of it."""

    id: str
    name: str
    is_running: bool
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Up:
    """What `bring_up` did: the *ports* as they are now; the exit *code* if it has ended, well."""

    how: How
    ports: tuple[Published, ...]
    code: int | None = None


def decide(wanted: Wanted, there: Sequence[There]) -> tuple[How, tuple[There, ...]]:
    """What is to be done, and the containers of ours that are in its place now: of "unchanged" the
    first one stays.

    Raises: SinkError when *wanted*'s name belongs to somebody else, or to another workspace.
    """
    ours = []
    for one in there:
        is_ours = (one.labels.get(SERVICE), one.labels.get(WORKSPACE)) == (
            wanted.service,
            wanted.workspace,
        )
        if is_ours:
            ours.append(one)
        elif one.name == wanted.name:
            owner = one.labels.get(WORKSPACE)
            whose = f"belongs to the workspace {owner}" if owner else "is not ours"
            what = f"a container of that name is there, and {whose}"
            raise SinkError(one.name, what, f"docker rename {one.name} ANOTHER, or docker rm it")
    if not ours:
        return "started", ()
    # Those under other names were left behind by a run that was killed.
    for one in ours:
        is_same = one.labels.get(_SETTINGS) == wanted.labels[_SETTINGS]
        if is_same and one.is_running and one.name == wanted.name:
            return "unchanged", (one, *(other for other in ours if other is not one))
    return "replaced", tuple(ours)


def trouble(reason: str, ports: Sequence[Published]) -> tuple[str, str]:
    """An engine's *reason* for not starting a container, in our words, and a hint."""
    is_taken = "already allocated" in reason or "address already in use" in reason
    taken = [port for port in ports if is_taken and _names(reason, port)]
    if taken:
        # Of one number for two protocols the one that the engine names, if it does.
        port = max(taken, key=lambda each: each.port.rpartition("/")[2] in reason.lower())
        what = f"port {port.host} of {port.address} is taken"
        other = f"{port.host + 1}:{port.port.removesuffix('/tcp')}"
        return what, f"choose another one: --port {other} (0 for any)"
    return reason.removesuffix(": unknown").rpartition("OCI runtime create failed: ")[2], ""


def _names(reason: str, port: Published) -> bool:
    where = f"{re.escape(port.address)}]?:{port.host}(?![0-9])"
    return re.search(where, reason) is not None


def bring_up(wanted: Wanted, client: "DockerClient", shield: Shield = nullcontext) -> Up:
    """Have a container run as *wanted*; what runs in its place stays until the new one has started.

    If the new one does not start, or ends badly at once, the old one runs again; *shield* is
    around that.

    Raises: SinkError, with what the program printed; whatever a signal handler raises, and then
    the old one runs again, too.
    """
    with sdk_errors(wanted.name):
        how, ours = decide(wanted, _list(client, wanted))
        if how == "unchanged":
            same, *others = [client.containers.get(one.id) for one in ours]
            for other in others:
                _remove(other)
            if same.status == "paused":
                same.unpause()
                how = "resumed"
            return Up(how, _ports(same, wanted))
        old = [client.containers.get(one.id) for one in ours]
        running = [one for one, there in zip(old, ours, strict=True) if there.is_running]
        ports = _numbered(wanted.ports, [one.attrs["NetworkSettings"] for one in running])
        name = f"{wanted.name}-{os.urandom(4).hex()}"
        stopped = []
        try:
            new = _create(replace(wanted, ports=ports), name, wanted.labels, client)
            for one in running:
                stopped.append(one)
                one.stop(timeout=_STOP)  # the new one needs its ports
            code = _start(new, wanted)
        except BaseException:
            with shield():
                try:
                    _discard(name, client)
                finally:  # whatever has become of the new one
                    for one in stopped:
                        one.stop(timeout=_STOP)  # an engine goes on with what we have given up
                        one.start()
            raise
        try:
            _take_place(new, old, wanted.name)
        except BaseException:
            _take_place(new, old, wanted.name)  # it runs: whatever comes, it has its name
            raise
        _drop_images(old, wanted.image, client)
        return Up(how, () if code is not None else _ports(new, wanted), code)


def take_down(
    workspace: str, services: Sequence[str], client: "DockerClient", *, with_volumes: bool
) -> list[str]:
    """Remove the containers of *services*, or all of *workspace*; their names.

    Volumes keep what is in them, unless *with_volumes*.  Raises: SinkError.
    """
    gone: list[str] = []
    with sdk_errors("docker"):
        for container in _ours(client, workspace, services):
            name = str(container.name)
            container.stop(timeout=_STOP)
            container.remove(force=True)
            _drop_images([container], "", client)
            gone.append(name)
        if with_volumes:
            for volume in client.volumes.list(filters={"label": f"{WORKSPACE}={workspace}"}):
                if not services or (volume.attrs.get("Labels") or {}).get(SERVICE) in services:
                    volume.remove()
    return gone


def services_up(workspace: str, client: "DockerClient") -> set[str]:
    """The services of *workspace* that have a container.  Raises: SinkError."""
    with sdk_errors("docker"):
        return {str(each.labels[SERVICE]) for each in _ours(client, workspace, ())}


def _ours(client: "DockerClient", workspace: str, services: Sequence[str]) -> "list[Container]":
    found = client.containers.list(all=True, filters={"label": f"{WORKSPACE}={workspace}"})
    return [one for one in found if not services or one.labels.get(SERVICE) in services]


def _list(client: "DockerClient", wanted: Wanted) -> list[There]:
    """Containers that carry *wanted*'s labels or name."""
    label = f"{SERVICE}={wanted.service}"
    found = {}
    for filters in ({"label": label}, {"name": wanted.name}):  # and longer names
        for one in client.api.containers(all=True, filters=filters):
            name = (one.get("Names") or ["/"])[0].removeprefix("/")
            is_running = one.get("State") in ("running", "paused", "restarting")
            found[one["Id"]] = There(one["Id"], name, is_running, one.get("Labels") or {})
    return list(found.values())


def _numbered(
    ports: Sequence[Published], running: Sequence[Mapping[str, Any]]
) -> tuple[Published, ...]:
    """*ports* with a number where any will do: what *running* ones have, else a free one.

    Left to the engine, it would be another one whenever a container starts, the old one's
    return to its place included.
    """
    numbered = []
    for each in ports:
        bound = [(one.get("Ports") or {}).get(each.port) or [{}] for one in running]
        known = [int(first[0]["HostPort"]) for first in bound if first[0].get("HostPort")]
        if not each.host and known:
            each = replace(each, host=known[0])
        elif not each.host and each.address == _LOOPBACK:
            each = replace(each, host=_free_port(each.port))
        numbered.append(each)
    return tuple(numbered)


def _free_port(port: str) -> int:
    """A number that nobody uses on this machine's loopback for *port*'s protocol."""
    kind = socket.SOCK_DGRAM if port.endswith("/udp") else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as any_socket:
        any_socket.bind((_LOOPBACK, 0))
        number: int = any_socket.getsockname()[1]
        return number


def _create(
    wanted: Wanted, name: str, our_labels: Mapping[str, str], client: "DockerClient"
) -> "Container":
    volumes = {}
    ports: dict[str, Any] = {each.port: (each.address, each.host or None) for each in wanted.ports}
    for path in wanted.volumes:
        where = f"{wanted.workspace}\0{wanted.service}\0{path}"
        volume = f"{wanted.name}-{key_of('volume', where)[:12]}"
        labels = {SERVICE: wanted.service, WORKSPACE: wanted.workspace}
        client.volumes.create(volume, labels=labels)
        volumes[volume] = {"bind": path, "mode": "rw"}
    return client.containers.create(
        wanted.image,
        name=name,
        detach=True,
        environment=dict(wanted.env),
        extra_hosts=dict(wanted.hosts),
        labels=dict(our_labels),
        ports=ports,
        volumes=volumes,
    )


def _take_place(new: "Container", old: "Sequence[Container]", name: str) -> None:
    """Remove *old* and give *new* their *name*; what was done before is not done again."""
    for one in old:
        _remove(one)
    new.reload()
    if new.name != name:
        new.rename(name)


def _remove(container: "Container") -> None:
    """Have *container* gone, even if the engine is at work on that already."""
    from docker.errors import APIError, NotFound

    with suppress(NotFound):
        try:
            container.remove(force=True)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            container.wait(condition="removed")


def _discard(name: str, client: "DockerClient") -> None:
    """Have no container *name*, if it has come to that: an engine at work on one lists it before
    it can remove it."""
    from docker.errors import NotFound

    for _ in range(_TRIES):
        with suppress(NotFound):
            client.api.remove_container(name, force=True)
            return
        if not client.api.containers(all=True, filters={"name": name}):
            return
        time.sleep(_PAUSE)


def _drop_images(old: "Sequence[Container]", current: str, client: "DockerClient") -> None:
    """Remove the images of *old* that have no name any more: each edit would leave one behind."""
    from docker.errors import DockerException

    for image in {str(one.attrs["Image"]) for one in old} - {current}:
        try:
            if not client.images.get(image).tags:
                client.images.remove(image)
        except DockerException:
            continue  # gone, or in use by somebody else


def _start(container: "Container", wanted: Wanted) -> int | None:
    """Start *container*; its exit code if it ended well already.  Raises: SinkError if not."""
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        what, hint = trouble(str(error.explanation or error), wanted.ports)
        raise SinkError(wanted.name, f"cannot start: {what}", hint) from None
    deadline = time.monotonic() + _SETTLE
    while True:
        container.reload()
        state: Mapping[str, Any] = container.attrs["State"]
        if not state["Running"]:
            break
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(0.05, left))
    code = int(state["ExitCode"])
    if code == 0:
        return 0
    said = "".join(f"\n    {line}" for line in _last_words(container).splitlines())
    raise SinkError(wanted.name, f"ended at once with exit code {code}{said}")


def _last_words(container: "Container") -> str:
    """The end of what *container* has printed; a line may be of any length."""
    end, is_cut = b"", False
    for piece in container.logs(stream=True, follow=False, tail=_SHOWN):
        end += piece
        is_cut = is_cut or len(end) > _SHOWN_BYTES
        end = end[-_SHOWN_BYTES:]
    return "…" * is_cut + end.decode(errors="replace")


def _ports(container: "Container", wanted: Wanted) -> tuple[Published, ...]:
    """The ports of *wanted* as they are published now."""
    container.reload()
    there = container.attrs["NetworkSettings"].get("Ports") or {}
    actual = []
    for each in wanted.ports:
        bound = (there.get(each.port) or [{}])[0].get("HostPort") or each.host
        actual.append(Published(port=each.port, host=int(bound), address=each.address))
    return tuple(actual)
