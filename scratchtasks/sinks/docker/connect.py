"""A client of the Docker Engine that the user's docker CLI talks to."""

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scratchtasks.core.errors import SinkError

from .endpoint import Endpoint, endpoint
from .faults import hint_for, reason_of
from .ssh import client_over_ssh, ssh_command

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.tls import TLSConfig

TIMEOUT = 60
"""Seconds of silence after which an engine is given up."""

_ANY_VERSION = "1.40"
"""Of the API; the request for the version that the engine speaks holds none."""


def connect(env: Mapping[str, str]) -> "DockerClient":
    """A client of the engine that *env* names, as the docker CLI finds it; close it after use.

    DOCKER_HOST, DOCKER_CONTEXT, the chosen docker context, TLS files and `ssh://` hosts count.

    Raises: SinkError when there is no engine, or what is there does not answer as one.
    """
    return connect_to(endpoint(env), env)


def connect_to(
    found: Endpoint, env: Mapping[str, str], where: str = "docker", hint: str = ""
) -> "DockerClient":
    """A client of the engine at *found*; *where* names it in messages, *hint* says what to do.

    Raises: SinkError when what is there does not answer as an engine.
    """
    from docker.errors import DockerException

    try:
        version = env.get("DOCKER_API_VERSION") or _version(found, env)
        return _client(found, env, version)
    except (OSError, ValueError, DockerException) as error:
        raise SinkError(
            where, f"no engine answers at {found}: {reason_of(error)}", hint or hint_for(error)
        ) from None


def _version(found: Endpoint, env: Mapping[str, str]) -> str:
    # The SDK would ask by itself, but leaves sockets open when the answer is none.
    if found.host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(TIMEOUT)  # else one that takes no more connections hangs us
            trial.connect(found.host.removeprefix("unix://"))
    asking = _client(found, env, _ANY_VERSION)
    try:
        told: object = asking.api.version(api_version=False)
    finally:
        asking.close()
    version = told.get("ApiVersion") if isinstance(told, dict) else None
    if not isinstance(version, str):
        raise ValueError(f"its answer names no ApiVersion: {str(told)[:80]}")
    return version


def _client(found: Endpoint, env: Mapping[str, str], version: str) -> "DockerClient":
    """A client that has not connected yet, for *version* is given."""
    from docker import DockerClient

    if found.host.startswith("ssh://"):
        return client_over_ssh(ssh_command(found.host), env, version, TIMEOUT)
    tls = _tls(found)
    client = DockerClient(base_url=found.host, version=version, timeout=TIMEOUT, tls=tls or False)
    if tls:
        client.api.trust_env = False  # else REQUESTS_CA_BUNDLE would win over the engine's CA
    return client


def _tls(found: Endpoint) -> "TLSConfig | None":
    from docker.tls import TLSConfig

    if found.tls is None or not found.host.startswith("tcp://"):
        return None
    tls = found.tls
    pair = (tls.cert, tls.key) if tls.cert and tls.key else None
    return TLSConfig(client_cert=pair, ca_cert=tls.ca or None, verify=tls.verify)
