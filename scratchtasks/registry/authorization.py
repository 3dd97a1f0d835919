"""The `Authorization` header for one registry: basic, or bearer tokens by scope.

Source: distribution's token authentication specification (GET with basic authentication) and its
OAuth 2 variant (POST with a refresh token); OCI distribution-spec v1.1.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from .challenge import Challenge, parse_challenge
from .credentials import NOBODY, Credentials, is_token
from .errors import RegistryError, Secrets, explain
from .patience import Patience, retry_after_of
from .reference import DOCKER_HUB, Repository
from .transport import NO_BODY, Answer, Body, body_of, shown

Exchange = Callable[[str, str, Mapping[str, str], Body, int], Answer]

_TOKEN_LIMIT = 1 << 20
_SHORTEST, _LONGEST = 60, 24 * 60 * 60
"""Seconds that a token is believed to live: a missing time means a minute, by the specification."""

_MARGIN = 0.8
"""A token counts as old after this part of its life, so that it does not end on the way."""


def login_hint(repository: Repository) -> str:
    """The command that makes *repository*'s registry known."""
    return f"docker login {repository.host}" if repository.host != DOCKER_HUB else "docker login"


def unknown_hint(repository: Repository, sent: Credentials | None) -> str:
    """What to do after a 401 of *repository*'s registry, which was shown *sent*."""
    how = f"the login of {sent.origin} was sent" if sent else "no login was sent"
    return f"{how}; {login_hint(repository)}"


class Authorization:
    """What one registry is shown; learns how from its first 401, thread-safe.

    *is_plain_allowed* says of a `host[:port]` whether secrets may go there over plain HTTP.
    *actions* are what tokens are asked for, as in a scope.
    """

    def __init__(
        self,
        find: Callable[[Repository], Credentials],
        exchange: Exchange,
        patience: Patience,
        secrets: Secrets,
        is_plain_allowed: Callable[[str], bool],
        actions: str = "pull,push",
    ) -> None:
        self._actions = actions
        self._find = find
        self._exchange = exchange
        self._patience = patience
        self._secrets = secrets
        self._is_plain_allowed = is_plain_allowed
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def header(self, repository: Repository, pull_from: str = "", *, deletes: bool = False) -> str:
        """The header for *repository*, and for pulling from the path *pull_from*.

        *deletes* asks for the right to take something away too.
        "" until the registry has asked for one, and when there is nothing to show.

        Raises: SinkError (credentials cannot be read, the token server refuses).
        """
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return self._basic(self._credentials(repository))
        scopes = self._scopes(repository, pull_from, deletes)
        with self._lock:
            lock = self._locks.setdefault(scopes, threading.Lock())
        with lock:
            token, until = self._tokens.get(scopes, ("", 0.0))
            if time.monotonic() >= until:
                token, seconds = self._fetch(challenge, repository, scopes)
                self._tokens[scopes] = token, time.monotonic() + seconds * _MARGIN
        return f"Bearer {token}" if token else ""

    def renew(
        self,
        refusal: Answer,
        repository: Repository,
        refused: str,
        pull_from: str = "",
        *,
        deletes: bool = False,
    ) -> str:
        """The header that may satisfy the 401 *refusal*; *refused* is the one that did not.

        "" when there is no other.  Raises: as `header`.
        """
        challenge = parse_challenge(refusal.headers.get("www-authenticate", ""))
        if challenge is None:
            return ""
        self._check_realm(challenge, refusal)
        scopes = self._scopes(repository, pull_from, deletes)
        with self._lock:
            self._challenge = challenge
            if refused and refused == f"Bearer {self._tokens.get(scopes, ('', 0))[0]}":
                del self._tokens[scopes]
        header = self.header(repository, pull_from, deletes=deletes)
        return header if header != refused else ""

    def _scopes(self, repository: Repository, pull_from: str, deletes: bool) -> tuple[str, ...]:
        own = f"repository:{repository.path}:{self._actions}" + (",delete" if deletes else "")
        return (own, f"repository:{pull_from}:pull") if pull_from else (own,)

    def _credentials(self, repository: Repository) -> Credentials:
        found = self._find(repository)
        self._secrets.add(found.password, found.identity_token, found.registry_token)
        self._secrets.add(found.basic.removeprefix("Basic "))
        return found

    def _basic(self, found: Credentials) -> str:
        if found.basic:
            return found.basic
        return f"Bearer {found.registry_token}" if found.registry_token else ""

    def _check_realm(self, challenge: Challenge, refusal: Answer) -> None:
        if challenge.scheme == "basic":
            return
        where = shown("GET", refusal.url)
        try:
            realm = urlsplit(challenge.realm)
            host = realm.netloc
            is_url = realm.scheme in ("http", "https") and realm.hostname and realm.port != 0
        except ValueError:
            is_url = False
        if not is_url or "@" in host or not is_token(challenge.realm):
            raise RegistryError(where, "names a token server that is not a URL")
        is_secure = urlsplit(refusal.url).scheme == "https"
        if realm.scheme == "http" and (is_secure or not self._is_plain_allowed(host)):
            raise RegistryError(
                where, f"names the token server {host} over plain HTTP, which is not asked"
            )

    def _fetch(
        self, challenge: Challenge, repository: Repository, scopes: tuple[str, ...]
    ) -> tuple[str, float]:
        found = self._credentials(repository)
        if found.registry_token:
            return found.registry_token, float("inf")
        answer = self._patience.insist(
            lambda: self._ask(challenge, found, scopes, unknown_hint(repository, found))
        )
        where = shown("GET", challenge.realm)
        try:
            value: Any = json.loads(answer.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or answer.is_cut:
            raise RegistryError(where, "wanted a JSON object with a token, got something else")
        token = value.get("access_token") or value.get("token")
        if not isinstance(token, str) or not is_token(token):
            raise RegistryError(where, "wanted a token in its answer, got none")
        self._secrets.add(token)
        seconds = value.get("expires_in")
        lives = min(_LONGEST, seconds) if isinstance(seconds, int | float) else 0
        return token, max(lives, _SHORTEST)

    def _ask(
        self, challenge: Challenge, found: Credentials, scopes: tuple[str, ...], hint: str
    ) -> Answer:
        service = [("service", challenge.service)] if challenge.service else []
        if found.identity_token:
            method, url = "POST", challenge.realm
            form = [
                ("grant_type", "refresh_token"),
                *service,
                ("client_id", "scratchtasks"),
                ("scope", " ".join(scopes)),
                ("refresh_token", found.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = body_of(urlencode(form).encode())
        else:
            method, body = "GET", NO_BODY
            query = urlencode([*service, *(("scope", scope) for scope in scopes)])
            parts = urlsplit(challenge.realm)
            joined = f"{parts.query}&{query}" if parts.query else query
            url = urlunsplit(parts._replace(query=joined, fragment=""))
            headers = {"Authorization": found.basic} if found.basic else {}
        answer = self._exchange(method, url, headers, body, _TOKEN_LIMIT)
        if answer.status not in range(200, 300):  # home-made ones say that a token was created
            what, codes = explain(answer.status, answer.body, self._secrets.scrub)
            raise RegistryError(
                shown(method, answer.url),
                what,
                hint if found is NOBODY or answer.status in (400, 401, 403) else "",
                status=answer.status,
                codes=codes,
                retry_after=retry_after_of(answer.headers.get("retry-after", "")),
            )
        return answer
