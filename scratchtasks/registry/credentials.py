"""Who the user is to a registry, from the files that docker, podman and skopeo log in to.

Source: the docker CLI's `config.json`; containers-auth.json(5).
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.home import home_of

from .reference import DOCKER_HUB, Repository

AskHelper = Callable[[str, str, str], tuple[str, str] | None]
"""(helper, server, file that names the helper) → user name and secret, if it has them."""

_FILE_LIMIT = 4 << 20
_RUN = "/run/containers"
"""Where podman and skopeo keep logins by user id, if there is no XDG_RUNTIME_DIR."""

_VARIABLE = "DOCKER_AUTH_CONFIG"
"""Holds a `config.json`, where CI has no file for it (docker/cli, pull request 6008)."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_HALF = re.compile("[\ud800-\udfff]")
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, "registry-1.docker.io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and password, or one of two sorts of token; all empty is nobody.

    *identity_token* buys access tokens from a token server, *registry_token* is one.  *origin* is
    the file or variable that had them, or names the helper that did.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = field(default="", compare=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The `Authorization` header of basic authentication, "" without a password."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


NOBODY = Credentials()


def is_token(text: str) -> bool:
    """Whether *text* can stand after `Bearer`; http.client would show it where it cannot."""
    return _TOKEN.fullmatch(text) is not None


def is_unicode(text: str) -> bool:
    """Whether *text* can be sent: JSON may hold halves of characters."""
    return text.isascii() or not _HALF.search(text)


def find_credentials(repository: Repository, env: Mapping[str, str], ask: AskHelper) -> Credentials:
    """The credentials for *repository*, NOBODY when there are none.

    Looks into `REGISTRY_AUTH_FILE`, else what `DOCKER_AUTH_CONFIG` holds, else docker's
    `config.json` (below `DOCKER_CONFIG` or `~/.docker`), else podman's `auth.json`.  In each, the
    longest matching path of the repository wins, and a credential helper, called by *ask*, wins
    over what is written in the file.

    Raises: SinkError when a file is not what it should be, or a helper fails.
    """
    for path in _files(env):
        config = _held(env[path]) if path == _VARIABLE else _read(path)
        if config is None:
            continue
        found = _from_config(config, repository, path, ask)
        if found:
            return replace(found, origin=path)
    return NOBODY


def _files(env: Mapping[str, str]) -> Iterator[str]:
    home = home_of(env)
    if env.get("REGISTRY_AUTH_FILE"):
        yield env["REGISTRY_AUTH_FILE"]
    if env.get(_VARIABLE):
        yield _VARIABLE
    yield f"{env.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"
    if env.get("REGISTRY_AUTH_FILE"):
        return
    if env.get("XDG_RUNTIME_DIR"):
        yield f"{env['XDG_RUNTIME_DIR']}/containers/auth.json"
    elif os.path.exists(own := f"{_RUN}/{os.getuid()}/auth.json"):  # others may not look there
        yield own
    yield f"{env.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json"


def _held(text: str) -> dict[str, Any] | None:
    """The logins in *text*; what is no JSON object is none, as docker only warns of it: CI systems
    may put the path of a file there.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SinkError(path, f"cannot be read: {error.strerror}") from None
    if len(data) > _FILE_LIMIT:
        raise SinkError(path, f"wanted at most {_FILE_LIMIT} bytes")
    if not data.strip():
        return None  # podman and `docker logout` leave empty files behind
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        # The text itself may hold passwords: only the position is told.
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SinkError(path, f"is not JSON{place}", "log in again, or repair it") from None
    if not isinstance(value, dict):
        raise SinkError(path, "wanted a JSON object", "log in again, or repair it")
    return value


def _from_config(
    config: dict[str, Any],
    repository: Repository,
    path: str,
    ask: AskHelper,
) -> Credentials:
    helpers = _table(config, "credHelpers", path)
    auths = _table(config, "auths", path)
    for scope in _scopes(repository):
        spelled = next((key for key in auths if _plain(key) == scope), "")
        is_host = "/" not in scope
        listed = next((key for key in helpers if _plain(key) == scope), None)
        helper = None if listed is None else helpers[listed]
        if helper is None and (spelled or is_host):  # "" means: the file, and no store
            helper = config.get("credsStore")
        if helper:
            # Asked by the name that docker uses; then by the one that `docker login` was given,
            # and by podman's, which is the helper's own key.
            usual = _server(repository) if is_host else scope
            for server in dict.fromkeys(filter(None, (usual, spelled, listed))):
                answer = ask(helper, server, path)
                if answer:
                    return _from_helper(*answer)
        if spelled:
            found = _from_entry(auths[spelled], f"{path}: auths[{spelled!r}]")
            if found:
                return found
    return NOBODY


def _table(config: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SinkError(f"{path}: {key}", "wanted a JSON object")
    return value


def _scopes(repository: Repository) -> Iterator[str]:
    """`host/team/api`, `host/team`, `host`: what an entry may be for, most specific first."""
    parts = repository.path.split("/")
    for count in range(len(parts), -1, -1):
        yield "/".join([repository.host, *parts[:count]])


def _plain(key: str) -> str:
    """An entry's key as one of `_scopes`: without `https://`, `/v1/` and Docker Hub's aliases."""
    text = key.lower().removeprefix("https://").removeprefix("http://").rstrip("/")
    text = text.removesuffix("/v1").removesuffix("/v2")
    host, slash, path = text.partition("/")
    return (DOCKER_HUB if host in _HUB_KEYS else host) + slash + path


def _server(repository: Repository) -> str:
    return _HUB_KEYS[0] if repository.host == DOCKER_HUB else repository.host


def _from_helper(username: str, secret: str) -> Credentials:
    if username == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret)


def _from_entry(entry: object, where: str) -> Credentials:
    if not isinstance(entry, dict):
        raise SinkError(where, "wanted a JSON object")
    texts = {
        key: entry.get(key) or ""
        for key in ("auth", "username", "password", "identitytoken", "registrytoken")
    }
    for key, text in texts.items():
        if not isinstance(text, str) or not is_unicode(text):
            raise SinkError(f"{where}.{key}", "wanted text")
    if texts["registrytoken"] and not is_token(texts["registrytoken"]):
        what = "wanted a token of printable ASCII without spaces"
        raise SinkError(f"{where}.registrytoken", what, "log in again, or repair it")
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            auth = re.sub("[\r\n]", "", texts["auth"])  # `base64` wraps its lines
            pair = base64.b64decode(auth, validate=True).decode().rstrip("\0")
        except (binascii.Error, ValueError):
            pair = ""
        username, colon, password = pair.partition(":")
        if not colon or not username:
            raise SinkError(
                f"{where}.auth", "wanted base64 of user:password", "log in again, or repair it"
            )
    return Credentials(
        username=username,
        password=password,
        identity_token=texts["identitytoken"],
        registry_token=texts["registrytoken"],
    )
