"""One HTTP exchange at a time over urllib3: bounded in time and size, never redirected.

Source: RFC 9110.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from scratchtasks.core.frozen import dataclass

from .credentials import Credentials
from .failures import failure_of, too_slow
from .surroundings import proxy_of, tls_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from .connection import Deadline

_DRAIN = 64 * 1024
_HEADERS = {"User-Agent": "scratchtasks", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient and how greedy a Registry is; times in seconds, sizes in bytes.

    *idle* is how long a connection may be silent, *answer* how long an answer may take from its
    first byte awaited to its last, *wait* the longest pause that a registry may ask for.  What
    would leave a push half done is tried *insistence* times, all else *attempts* times.  A blob
    larger than *chunk* is sent in pieces of it.  *workers* requests run at once.
    """

    connect: float = 15
    idle: float = 120
    answer: float = 300
    attempts: int = 5
    insistence: int = 10
    backoff: float = 0.25
    wait: float = 60
    chunk: int = 16 << 20
    workers: int = 8
    helper: float = 30


@dataclass(frozen=True, slots=True)
class Body:
    """What a request sends: *size* bytes, which *chunks* gives anew for every attempt."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


Receive = Callable[[int, bytes], None]
"""Takes the body of a successful answer piece by piece, with the answer's status."""

NO_BODY = Body(0, lambda: iter(()))


def body_of(data: bytes) -> Body:
    """A Body of these bytes."""
    return Body(len(data), lambda: iter((data,)))


@dataclass(frozen=True, slots=True)
class Answer:
    """*headers* by lower-case name; *body* holds no more than was asked for; *url* is asked one."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    is_cut: bool = False


def shown(method: str, url: str) -> str:
    """A request as errors name it: no query, which may carry signatures and upload states."""
    parts = urlsplit(url)
    return f"{method} {parts.netloc.rpartition('@')[2]}{parts.path}"


class Transport:
    """Connections to any number of hosts, kept open; safe to use from several threads.

    Once *is_cancelled*, every exchange under way is cut off.
    """

    def __init__(
        self, env: Mapping[str, str], limits: Limits, is_cancelled: Callable[[], bool]
    ) -> None:
        self._env = env
        self._limits = limits
        self._is_cancelled = is_cancelled
        self._managers: dict[str, PoolManager] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            manager.clear()

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        limit: int,
        receive: Receive | None = None,
    ) -> Answer:
        """Send one request to the absolute *url*; at most *limit* bytes of the answer are read.

        The body of an answer 200 or 206 goes to *receive*, if that is given, and not into the
        Answer.

        Raises: RegistryError with status 0 when there is no whole answer; StoreError from *body*;
        what *receive* raises.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        has_body = method in ("POST", "PUT", "PATCH")
        sent = {**_HEADERS, **headers}
        if has_body:
            sent["Content-Length"] = str(body.size)
        response = None
        try:
            response = self._manager(url).urlopen(
                method,
                url,
                body=body.chunks() if has_body and body.size else None,
                headers=sent,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=self._limits.connect, read=self._limits.idle),
            )
            answer = self._answer(response, url, limit, receive)
            _deadline_of(response).cancel()
            if _deadline_of(response).has_passed and not _tells_its_end(answer):
                raise too_slow(shown(method, url), self._limits)
            return answer
        except HTTPError as error:
            if response is not None and _deadline_of(response).has_passed:
                raise too_slow(shown(method, url), self._limits) from None
            raise failure_of(shown(method, url), url, error, self._limits) from None
        finally:
            if response is not None:
                _deadline_of(response).cancel()

    def _answer(
        self, response: "BaseHTTPResponse", url: str, limit: int, receive: Receive | None
    ) -> Answer:
        data = bytearray()
        size = 0
        is_received = receive is not None and response.status in (200, 206)
        try:
            # Some compress though identity was asked for: what is received is held to its digest,
            # everything else is read.
            for piece in response.stream(_DRAIN, decode_content=not is_received):
                size += len(piece)
                if receive is None or not is_received:
                    data += piece
                elif size <= limit:
                    receive(response.status, piece)
                if size > limit:
                    break
        except BaseException:
            response.close()  # what is still to come must not be taken for the next answer
            raise
        is_cut = size > limit
        if is_cut:
            response.close()
        response.release_conn()
        headers = {name.lower(): value for name, value in response.headers.items()}
        if challenge := response.headers.get("WWW-Authenticate"):
            headers["www-authenticate"] = challenge  # of all such headers: there may be two
        return Answer(response.status, headers, bytes(data[:limit]), url, is_cut)

    def _manager(self, url: str) -> "PoolManager":
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if origin not in self._managers:
                self._managers[origin] = self._connect(parts.scheme, parts.netloc)
            return self._managers[origin]

    def _connect(self, scheme: str, host: str) -> "PoolManager":
        import urllib3

        options: dict[str, Any] = {"maxsize": self._limits.workers}
        if scheme == "https":
            options["ssl_context"] = tls_of(host, self._env)
        proxy = proxy_of(scheme, host, self._env)
        if proxy:
            address = urlsplit(proxy)
            login = Credentials(
                username=unquote(address.username or ""), password=unquote(address.password or "")
            )
            # Not urllib3's make_headers, which takes Latin-1 only.
            secret = {"proxy-authorization": login.basic} if login else None
            plain = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
            manager: PoolManager = urllib3.ProxyManager(plain, proxy_headers=secret, **options)
        else:
            manager = urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = {
            name: cast(Any, type(pool.__name__, (pool,), {"ConnectionCls": self._bounded(pool)}))
            for name, pool in manager.pool_classes_by_scheme.items()
        }
        return manager

    def _bounded(self, pool: Any) -> type:
        from .connection import Bounded, WholeHead

        own = {
            "seconds": self._limits.answer,
            "idle": self._limits.idle,
            "is_cancelled": staticmethod(self._is_cancelled),
            "response_class": WholeHead,
        }
        return type("Connection", (Bounded, pool.ConnectionCls), own)


def _tells_its_end(answer: Answer) -> bool:
    """Whether a part of *answer* would have been an error already."""
    encoding = answer.headers.get("transfer-encoding", "")
    return "content-length" in answer.headers or "chunked" in encoding.lower()


def _deadline_of(response: Any) -> "Deadline":
    return cast("Deadline", response.deadline)
