"""One registry: how it is reached, what it wants to be shown, and which URLs are its own."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import SplitResult, urlsplit

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass

from .authorization import Authorization
from .errors import RegistryError
from .reference import Repository
from .transport import Answer, Body, Receive, Transport

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a registry about *repository*, wherever it is asked.

    *pull_from* is the path of a second repository that must be readable; at most *limit* bytes
    of the answer are wanted, by *receive* if it is given.
    """

    method: str
    url: str
    repository: Repository
    headers: Mapping[str, str]
    body: Body
    pull_from: str
    limit: int
    receive: Receive | None = None

    @property
    def deletes(self) -> bool:
        """Whether something is to be taken away, a right of its own."""
        return self.method == "DELETE"

    def at(self, url: str) -> "Request":
        """The same at *url*."""
        return replace(self, url=url)

    def showing(self, authorization: str) -> "Request":
        """The same with the `Authorization` header *authorization*, if it is one."""
        if not authorization:
            return self
        return replace(self, headers={**self.headers, "Authorization": authorization})


class Site:
    """What answers at the `host[:port]` *host*; *scheme* is how, if it is not *is_unsure*.

    *first* is held by the request that finds out; *is_known* is set when one was answered.  If
    none was after all tries, *silence* says so to the requests that waited: eight workers would
    find it out one after another.
    """

    def __init__(
        self,
        host: str,
        scheme: str,
        transport: Transport,
        authorization: Authorization,
        *,
        is_unsure: bool,
    ) -> None:
        self.host = host
        self.scheme = scheme
        self.is_known = False
        self.silence: RegistryError | None = None
        self.first = threading.Lock()
        self._is_unsure = is_unsure
        self._transport = transport
        self._authorization = authorization

    @property
    def base(self) -> str:
        """Its URL, without a path."""
        return f"{self.scheme}://{self.host}"

    def owns(self, url: SplitResult) -> bool:
        """Whether *url* leads to this registry, with or without the usual port spelled out.

        Registries behind a proxy that ends TLS often say http of themselves.
        """
        own = urlsplit(self.base)
        usual = {None, _PORTS[self.scheme], _PORTS.get(url.scheme)}
        return url.hostname == own.hostname and (
            url.port == own.port or {url.port, own.port} <= usual
        )

    def ask(self, request: Request) -> Answer:
        """Send *request* once, with what this registry wants to be shown if it goes there.

        Raises: RegistryError when there is no whole answer; SinkError (credentials), StoreError.
        """
        url = urlsplit(request.url)
        if f"{url.scheme}://{url.netloc}" != self.base:
            return self._send(request)
        repository, pull_from, deletes = request.repository, request.pull_from, request.deletes
        used = self._authorization.header(repository, pull_from, deletes=deletes)
        answer = self._reach(request.showing(used))
        if answer.status == 401:
            renewed = self._authorization.renew(
                answer, repository, used, pull_from, deletes=deletes
            )
            if renewed:
                answer = self._reach(request.at(answer.url).showing(renewed))
        return answer

    def _reach(self, request: Request) -> Answer:
        """Send *request* by HTTP or by TLS where both may be spoken: on loopback.

        Only the first is unsure of that, and it carries no secret yet.
        """
        if self.is_known or self.scheme == "https" or not self._is_unsure:
            return self._send(request)
        failure: SinkError | None = None
        answer: Answer | None = None
        try:
            answer = self._send(request)
            if answer.status != 400:
                return answer
        except RegistryError as error:
            failure = error
        try:
            answer = self._send(request.at("https://" + request.url.removeprefix("http://")))
            self.scheme = "https"
        except RegistryError as error:
            if "certificate" in error.what:
                self.scheme = "https"
                raise
        if answer is None:
            assert failure is not None
            raise failure
        return answer

    def _send(self, request: Request) -> Answer:
        return self._transport.exchange(
            request.method,
            request.url,
            request.headers,
            request.body,
            request.limit,
            request.receive,
        )
