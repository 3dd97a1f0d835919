"""Which Docker Engine is meant: by DOCKER_HOST or a docker context, as the docker CLI decides.

Source: docker CLI, command-line reference ("Environment variables") and "Docker contexts";
context stores are `contexts/meta/<sha256 of name>/meta.json` and `contexts/tls/<same>/docker/`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.home import home_of
from scratchtasks.registry.reference import is_loopback

DEFAULT_HOST = "unix:///var/run/docker.sock"
_PORT = 2375


@dataclass(frozen=True, slots=True)
class TLS:
    """Paths of PEM files, "" where there is none; *verify*: whether the server's is checked."""

    ca: str
    cert: str
    key: str
    verify: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The engine at *host* (a URL); *origin* says who named it, "" for the default."""

    host: str
    origin: str = ""
    tls: TLS | None = None

    def __str__(self) -> str:
        return f"{self.host} ({self.origin})" if self.origin else self.host


def is_here(url: str) -> bool:
    """Whether the engine that the SDK calls *url* is on this machine: at a socket, or loopback."""
    return is_loopback(urlsplit(url).netloc)


def endpoint(env: Mapping[str, str]) -> Endpoint:
    """The engine that the docker CLI would talk to under *env*.

    DOCKER_HOST wins over DOCKER_CONTEXT, that over the context chosen by `docker context use`.

    Raises: SinkError when that context does not exist or cannot be read.
    """
    folder = env.get("DOCKER_CONFIG") or os.path.join(home_of(env), ".docker")
    if env.get("DOCKER_HOST"):
        host = _spelt_out(env["DOCKER_HOST"])
        return Endpoint(host, "from DOCKER_HOST", _tls_of_env(env, folder))
    if env.get("DOCKER_CONTEXT"):
        name, origin = env["DOCKER_CONTEXT"], "DOCKER_CONTEXT"
    else:
        path = os.path.join(folder, "config.json")
        name, origin = _chosen_context(path), path
    if name in ("", "default"):
        return Endpoint(DEFAULT_HOST, tls=_tls_of_env(env, folder))
    return _of_context(name, origin, os.path.join(folder, "contexts"))


def _spelt_out(host: str) -> str:
    """*host* with what the docker CLI adds: `tcp://`, its port with TLS too, and its socket."""
    scheme, joint, rest = host.strip().rpartition("://")
    if scheme in ("", "unix") and not rest:
        return DEFAULT_HOST
    if scheme not in ("", "tcp") or rest.startswith("/"):  # a path without unix:// is none
        return scheme + joint + rest
    place, slash, path = rest.partition("/")
    if not place.startswith("["):  # which it refuses without a port
        name, _, port = place.partition(":")
        place = f"{name or 'localhost'}:{port or _PORT}"
    return f"tcp://{place}{slash}{path}"


def _tls_of_env(env: Mapping[str, str], folder: str) -> TLS | None:
    verify = bool(env.get("DOCKER_TLS_VERIFY"))
    if not verify and not env.get("DOCKER_TLS"):
        return None
    return _tls_in(env.get("DOCKER_CERT_PATH") or folder, verify)


def _tls_in(folder: str, verify: bool) -> TLS:
    paths = [os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem")]
    ca, cert, key = (path if os.path.isfile(path) else "" for path in paths)
    return TLS(ca, cert, key, verify)


def _chosen_context(path: str) -> str:
    try:
        value = _read_json(path)
    except FileNotFoundError:
        return ""
    name = value.get("currentContext")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise SinkError(path, f"currentContext: wanted the name of a context, got {name!r}")
    return name


def _of_context(name: str, origin: str, folder: str) -> Endpoint:
    # Hashed, so that no name leads out of the folder.
    store = hashlib.sha256(name.encode()).hexdigest()
    path = os.path.join(folder, "meta", store, "meta.json")
    try:
        value = _read_json(path)
    except FileNotFoundError:
        raise SinkError(
            origin, f"there is no docker context {name!r}", "see `docker context ls`"
        ) from None
    endpoints = value.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(docker, dict) or not isinstance(host, str) or not host:
        raise SinkError(path, f"docker context {name!r} names no host (Endpoints.docker.Host)")
    tls = _tls_in(os.path.join(folder, "tls", store, "docker"), not docker.get("SkipTLSVerify"))
    has_tls = bool(tls.ca or tls.cert) or not tls.verify
    return Endpoint(host, f"docker context {name!r}", tls if has_tls else None)


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            value = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise SinkError(path, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SinkError(path, f"is not JSON: {error}") from None
    except RecursionError:
        raise SinkError(path, "is not JSON: nested too deeply") from None
    if not isinstance(value, dict):
        raise SinkError(path, f"wanted a JSON object, got {type(value).__name__}")
    return value
