"""How `doit up` runs a service: what it declares, and what the command line chose otherwise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Service

if TYPE_CHECKING:
    from scratchtasks.sinks.docker.containers import Wanted

_PORT = re.compile(
    r"(?:(?P<name>[a-z0-9][a-z0-9._-]*):)?(?P<host>[0-9]{1,5}):(?P<port>[0-9]{1,5})(?:/(?P<kind>tcp|udp|sctp))?"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class HostPort:
    """*port* (`8080/tcp`) of the service *name* (any, if "") goes to *host*; *word* said so."""

    name: str
    port: str
    host: int
    word: str

    def is_for(self, service: Service, port: str) -> bool:
        return self.port == port and self.name in ("", service.name)


@dataclass(frozen=True, slots=True)
class Choices:
    """The command line: host ports, where they are published ("": it depends), variables."""

    ports: tuple[HostPort, ...]
    address: str
    env: Mapping[str, str]

    def at(self, engine: str) -> "Choices":
        """These for the engine at the URL *engine*: loopback of this machine, if it is here."""
        if self.address:
            return self
        from scratchtasks.sinks.docker.endpoint import is_here

        return replace(self, address="127.0.0.1" if is_here(engine) else "0.0.0.0")  # noqa: S104

    def check(self, services: Sequence[Service]) -> None:
        """Raises: ConfigError for a choice that fits no declared port of *services*, and for a
        host port that two of them would share.
        """
        for each in self.ports:
            if not any(each.is_for(one, port) for one in services for port in one.image.ports):
                there = ", ".join(f"{s.name} {port}" for s in services for port in s.image.ports)
                what = f"no service here declares the port {each.port}"
                raise ConfigError(f"--port {each.word}", what, f"declared: {there or 'none'}")
        taken: dict[tuple[int, str], str] = {}
        for one in services:
            for port in one.image.ports:
                kind = port.rpartition("/")[2]
                host = self.host_of(one, port)
                other = taken.setdefault((host, kind), one.name)
                if host and other != one.name:
                    choice = f"{one.name}:{host + 1}:{port.removesuffix('/tcp')}"
                    hint = f"choose another one: --port {choice}"
                    raise ConfigError("up", f"{other} and {one.name} both want port {host}", hint)

    def host_of(self, service: Service, port: str) -> int:
        """The host port for the declared *port* of *service*: the same, unless chosen."""
        hosts = [each.host for each in self.ports if each.is_for(service, port)]
        return hosts[-1] if hosts else int(port.partition("/")[0])


def parse_choices(
    ports: Sequence[str],
    address: str,
    names: Sequence[str],
    given: Mapping[str, str],
    environment: Mapping[str, str],
) -> Choices:
    """The choices that a command line makes; *names* are variables of *environment*, *given*
    those with a value.

    Raises: ConfigError for the first that is no port, no address or no variable.
    """
    import ipaddress

    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            what = f"wanted an IPv4 or IPv6 address, got {address!r}"
            raise ConfigError("--address", what) from None
    env = {}
    for name in names:
        if not _VARIABLE.fullmatch(name):
            what = f"wanted the name of a variable, got {name!r}"
            raise ConfigError("--env", what, "values are given without it: NAME=VALUE")
        if name not in environment:
            hint = "set it, or give its value here: NAME=VALUE"
            raise ConfigError(f"--env {name}", "there is no such variable", hint)
        env[name] = environment[name]
    return Choices(tuple(map(_host_port, ports)), address, {**env, **given})


def wanted(service: Service, image: str, root: str, choices: Choices) -> "Wanted":
    """The container of *service* with *image* (the engine's id) in the workspace *root*."""
    from scratchtasks.sinks.docker.containers import Published, Wanted

    address = choices.address or "127.0.0.1"
    return Wanted(
        service=service.name,
        workspace=root,
        image=image,
        ports=tuple(
            Published(port=port, host=choices.host_of(service, port), address=address)
            for port in service.image.ports
        ),
        env=choices.env,
        hosts=service.hosts,
        volumes=service.image.volumes,
    )


def _host_port(word: str) -> HostPort:
    match = _PORT.fullmatch(word)
    if match is None or max(int(match["host"]), int(match["port"])) > 65535:
        what = f"wanted HOST:PORT or NAME:HOST:PORT, got {word!r}"
        raise ConfigError("--port", what, "9090:8080 publishes the declared port 8080 as 9090")
    port = f"{int(match['port'])}/{match['kind'] or 'tcp'}"
    return HostPort(match["name"] or "", port, int(match["host"]), word)
