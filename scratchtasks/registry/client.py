"""The one door to registries: where requests go, with which authorization, and how often.

Source: OCI distribution-spec v1.1.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit, urlunsplit

from scratchtasks.core.errors import SinkError

from .authorization import Authorization, login_hint, unknown_hint
from .credentials import Credentials, find_credentials
from .errors import RegistryError, Secrets, explain
from .keychain import ask_helper
from .patience import Access, Patience, retry_after_of
from .reference import Repository, is_loopback
from .site import Request, Site
from .transport import NO_BODY, Answer, Body, Limits, Receive, Transport, shown

NO_HEAD = (405, 501)
"""What a registry, or a proxy before it, answers that knows no HEAD: it may know GET."""

_ANSWER_LIMIT = 64 * 1024
_REDIRECTS = 5
_URL_LIMIT = 16 * 1024
_UNSETTLED = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
"""Refusals of a manifest that pass: registries over object stores settle late, and distribution
2.8 writes links in place, so that they look empty while somebody else pushes the same image."""

_MOVED = frozenset({301, 302, 303, 307, 308})


class Registry:
    """A client of any number of registries; a `with` block's, safe to use from several threads.

    *env* is the user's environment (credentials, proxies, CAs).  Plain HTTP is spoken to loopback
    and to the `host[:port]`s in *insecure* only.  Secrets go to the registry that they belong to
    and to the token server it names, nowhere else.  *access* is what is asked for: some token
    servers refuse strangers who ask for more than they may do.  Once *is_over*, it is cancelled.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        insecure: Collection[str] = (),
        limits: Limits | None = None,
        access: Access = "push",
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.limits = limits or Limits()
        self.patience = Patience(self.limits, access, is_over)
        self._access = access
        self._env = env
        self._insecure = frozenset(host.lower() for host in insecure)
        self._transport = Transport(env, self.limits, lambda: self.patience.is_cancelled)
        self._secrets = Secrets()
        self._sites: dict[str, Site] = {}
        self._found: dict[Repository, Credentials] = {}
        self._answers: dict[tuple[str, str], tuple[str, str] | SinkError | None] = {}
        self._lock = threading.Lock()
        self._finding = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def cancel(self) -> None:
        """Begin nothing more, and cut off what is under way; fit for a signal handler."""
        self.patience.cancel()

    def request(
        self,
        repository: Repository,
        method: str,
        target: str,
        *,
        wanted: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Body = NO_BODY,
        pull_from: str = "",
        limit: int = _ANSWER_LIMIT,
        tries: int | None = None,
        receive: Receive | None = None,
    ) -> Answer:
        """The answer to *method* on *target*: `manifests/1.2` of *repository*, or a whole URL.

        *wanted* are the statuses that are no failure.  Transient failures are tried again, up to
        *tries* times (Limits.attempts).  *pull_from* is the path of a second repository that must
        be readable.  HEAD and GET follow redirects; to another host nothing secret goes along.
        *receive* is given the body, as by Transport.exchange.

        Raises: RegistryError with the registry's own words; SinkError, StoreError from *body*;
        what *receive* raises.
        """
        site = self._site(repository)

        def attempt() -> Answer:
            request = Request(
                method=method,
                # Made anew each time: the first answer may have changed how the site is reached.
                url=target if _is_url(target) else f"{site.base}/v2/{repository.path}/{target}",
                repository=repository,
                headers=headers or {},
                body=body,
                pull_from=pull_from,
                limit=limit,
                receive=receive,
            )
            answer = self._follow(
                lambda at: site.ask(request.at(at)), method, request.url, repository
            )
            if answer.status not in wanted:
                raise self._refusal(answer, method, repository)
            return answer

        if not site.is_known:
            with site.first:  # the others wait for what the first one learns
                if not site.is_known:
                    return self._introduce(site, attempt, tries)
        return self.patience.insist(attempt, tries)

    def _introduce(self, site: Site, attempt: Callable[[], Answer], tries: int | None) -> Answer:
        """The first answer of *site*, asked for as long as there was none."""
        if site.silence is not None:
            raise site.silence
        try:
            answer = self.patience.insist(attempt, tries)
        except RegistryError as error:
            if error.is_silence and tries is None:  # who tries once only will come again
                site.silence = error
            elif error.status:
                site.is_known = True
            raise
        site.is_known = True
        return answer

    def location(self, answer: Answer, method: str, repository: Repository) -> str:
        """Where *answer* sends the client next, as a whole URL that may be asked.

        Raises: RegistryError when there is none, or it is not safe to go there.
        """
        where = shown(method, answer.url)
        text = answer.headers.get("location", "")
        if not text:
            raise RegistryError(where, f"answered {answer.status} without a Location")
        site = self._site(repository)
        try:
            url = urlsplit(urljoin(answer.url, text))
            is_url = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            is_url = False
        if not is_url or len(text) > _URL_LIMIT or not text.isascii() or not text.isprintable():
            raise RegistryError(where, f"answered {answer.status} with a Location that is no URL")
        url = url._replace(fragment="")
        if "@" in url.netloc:
            raise RegistryError(where, f"sends us to {url.hostname} with a password of its own")
        if site.owns(url):  # the way in stays
            return urlunsplit(url._replace(scheme=site.scheme, netloc=site.host))
        is_secure = urlsplit(answer.url).scheme == "https"
        if url.scheme == "http" and (is_secure or not self._is_plain_allowed(url.netloc)):
            raise RegistryError(where, f"sends us to {url.netloc} over plain HTTP, not followed")
        return urlunsplit(url)

    def owns(self, repository: Repository, url: str) -> bool:
        """Whether *url*, of a `location`, leads to the registry of *repository* itself."""
        return url.startswith(f"{self._site(repository).base}/")

    def _follow(
        self, ask: Callable[[str], Answer], method: str, url: str, repository: Repository
    ) -> Answer:
        """What *ask* gets at *url*, or wherever redirects of GET and HEAD lead from there."""
        for _ in range(_REDIRECTS + 1):
            answer = ask(url)
            if answer.status not in _MOVED:
                return answer
            url = self.location(answer, method, repository)
            if method not in ("GET", "HEAD"):
                raise RegistryError(
                    shown(method, answer.url),
                    f"answered {answer.status}, a redirect to {urlsplit(url).netloc}: "
                    "not followed with what is being sent",
                )
        raise RegistryError(shown(method, answer.url), f"more than {_REDIRECTS} redirects")

    def _ask_token_server(
        self,
        repository: Repository,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        limit: int,
    ) -> Answer:
        """As Transport.exchange, for the registry of *repository*; a login stays with its host."""
        host = urlsplit(url).netloc

        def ask(at: str) -> Answer:
            sent = headers if urlsplit(at).netloc == host else {}
            return self._transport.exchange(method, at, sent, body, limit)

        return self._follow(ask, method, url, repository)

    def _site(self, repository: Repository) -> Site:
        host = repository.api_host
        with self._lock:
            if host not in self._sites:
                authorization = Authorization(
                    self._credentials,
                    partial(self._ask_token_server, repository),
                    self.patience,
                    self._secrets,
                    self._is_plain_allowed,
                    "pull,push" if self._access == "push" else "pull",
                )
                self._sites[host] = Site(
                    host,
                    "http" if self._is_plain_allowed(host) else "https",
                    self._transport,
                    authorization,
                    is_unsure=host not in self._insecure,
                )
            return self._sites[host]

    def _credentials(self, repository: Repository) -> Credentials:
        with self._finding:  # a helper may ask the user: once is enough
            if repository not in self._found:
                self._found[repository] = find_credentials(repository, self._env, self._ask)
            return self._found[repository]

    def _ask(self, helper: str, server: str, origin: str) -> tuple[str, str] | None:
        key = helper, server
        if key not in self._answers:
            seconds, check = self.limits.helper, self.patience.check
            try:
                self._answers[key] = ask_helper(helper, server, origin, self._env, seconds, check)
            except SinkError as error:  # which all requests would wait for, one after another
                self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, SinkError):
            raise answer
        return answer

    def _is_plain_allowed(self, host: str) -> bool:
        return host.lower() in self._insecure or is_loopback(host)

    def _refusal(self, answer: Answer, method: str, repository: Repository) -> RegistryError:
        what, codes = explain(answer.status, answer.body, self._secrets.scrub)
        hint = ""
        if answer.status == 401:
            hint = unknown_hint(repository, self._found.get(repository))
        elif answer.status == 403:
            deed = "push to" if self._access == "push" else "read"
            hint = f"may this account {deed} {repository.path}? {login_hint(repository)}"
        elif "NAME_UNKNOWN" in codes and self._access == "push":
            hint = f"create the repository {repository.path} first, if this registry wants that"
        elif answer.status == 413:
            hint = "the registry, or a proxy before it, limits the size of a request"
        return RegistryError(
            shown(method, answer.url),
            what,
            hint,
            status=answer.status,
            codes=codes,
            retry_after=retry_after_of(answer.headers.get("retry-after", "")),
            is_transient=method == "PUT" and not _UNSETTLED.isdisjoint(codes),
        )


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))
