"""Blobs to a registry: asked for, mounted from a sibling repository, or uploaded, resuming.

Source: OCI distribution-spec v1.1, "Pushing blobs".
"""

import re
from collections.abc import Iterator

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import StoreError
from scratchtasks.store.blobs import ContentStore

from .client import NO_HEAD, Registry
from .errors import RegistryError
from .manifests import check_stored
from .reference import Repository
from .transport import Answer, Body, shown
from .uploads import NOWHERE, Session, Uploads

_PIECE = 64 * 1024
_RANGE = re.compile(r"(?:bytes[= ])?0-([0-9]{1,18})")
_NO_CHUNKS = frozenset({400, 404, 405, 411, 413, 415, 416, 501})
_LOST = frozenset({404, 416})
_OCTETS = {"Content-Type": "application/octet-stream"}


class _SessionLost(Exception):
    """The upload cannot go on where it was; a new one may."""

    def __init__(self, failure: RegistryError) -> None:
        super().__init__(failure)
        self.failure = failure


def has_blob(registry: Registry, repository: Repository, blob: Descriptor) -> bool:
    """Whether *repository* has *blob*, by one HEAD; by the start of a GET where HEAD is refused.

    Raises: RegistryError, SinkError.
    """
    target = f"blobs/{blob.digest}"
    answer = registry.request(repository, "HEAD", target, wanted=(200, 404, *NO_HEAD))
    if answer.status in NO_HEAD:
        answer = registry.request(repository, "GET", target, wanted=(200, 404), limit=0)
    told = answer.headers.get("docker-content-digest", "")
    return answer.status == 200 and told in ("", blob.digest)


def send_blob(
    registry: Registry,
    repository: Repository,
    blob: Descriptor,
    store: ContentStore,
    mount_from: Repository | None = None,
    uploads: Uploads = NOWHERE,
) -> bool:
    """Bring *blob* into *repository*; True when it was mounted and no byte was sent.

    What *uploads* knows of an earlier upload is not sent again, where the registry has it still.

    Raises: RegistryError (also when the registry stored other bytes), SinkError, StoreError.
    """
    return _Upload(registry, repository, blob, store, uploads).run(mount_from)


class _Upload:
    """One blob's way; a session that is lost is begun anew, a few times."""

    def __init__(
        self,
        registry: Registry,
        repository: Repository,
        blob: Descriptor,
        store: ContentStore,
        uploads: Uploads,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._blob = blob
        self._store = store
        self._uploads = uploads
        self._chunk = registry.limits.chunk
        self._in_chunks = blob.size > self._chunk

    def run(self, mount_from: Repository | None) -> bool:
        failures = 0
        while True:
            self._registry.patience.check()
            try:
                left = self._left_before() if mount_from is None else None
                if left is not None:
                    self._send_chunks(*left)
                    return False
                answer = self._begin(mount_from if not failures else None)
                if answer.status == 201:
                    check_stored(answer, "POST", self._blob.digest)
                    return True
                location = self._registry.location(answer, "POST", self._repository)
                if self._in_chunks:
                    self._mind_least(answer)
                    self._send_chunks(0, location)
                else:
                    self._send_whole(location)
            except _SessionLost as lost:
                self._forget()
                failures += 1
                self._registry.patience.pause(lost.failure, failures)
                # An answer may have been lost after the deed was done.
                if not has_blob(self._registry, self._repository, self._blob):
                    continue
            return False

    def _begin(self, mount_from: Repository | None) -> Answer:
        """Open a session (202), or mount (201)."""
        if mount_from is not None:
            query = f"mount={self._blob.digest}&from={mount_from.path}"
            try:
                return self._post(f"blobs/uploads/?{query}", mount_from.path, (201, 202))
            except RegistryError as error:
                # No right to read there, or no such feature, which some tell by a 500: a plain
                # upload needs neither.
                if not error.status:
                    raise
        return self._post("blobs/uploads/", "", (202,))

    def _post(self, target: str, pull_from: str, wanted: tuple[int, ...]) -> Answer:
        return self._registry.request(
            self._repository, "POST", target, wanted=wanted, pull_from=pull_from
        )

    def _send_whole(self, location: str) -> None:
        try:
            self._finish(location, 0, self._blob.size, tries=1)
        except RegistryError as error:
            if error.is_transient or error.status == 404:
                raise _SessionLost(_transient(error)) from None
            raise

    def _left_before(self) -> tuple[int, str] | None:
        """How much the registry has of an upload that an earlier run left, and where it goes on."""
        if not self._in_chunks:
            return None
        session = self._uploads.find(self._repository, self._blob.digest)
        if session is None:
            return None
        state = None
        if self._registry.owns(self._repository, session.location):
            try:
                state = self._state(session.location)
            except RegistryError as error:
                if error.is_silence:
                    raise
        if state is None:
            self._forget()
        self._chunk = max(self._chunk, session.chunk)
        return state

    def _keep(self, location: str) -> None:
        if self._registry.owns(self._repository, location):
            session = Session(location, self._chunk)
            self._uploads.keep(self._repository, self._blob.digest, session)

    def _forget(self) -> None:
        self._uploads.forget(self._repository, self._blob.digest)

    def _mind_least(self, begun: Answer) -> None:
        least = begun.headers.get("oci-chunk-min-length", "")
        if least.isascii() and least.isdigit():
            self._chunk = max(self._chunk, int(least[:12]))

    def _send_chunks(self, start: int, location: str) -> None:
        """Send what is missing from *start* on, and close the session."""
        offset = furthest = start
        failures = 0
        broke: RegistryError | None = None
        while offset < self._blob.size:
            self._registry.patience.check()
            size = min(self._chunk, self._blob.size - offset)
            try:
                answer = self._patch(location, offset, size)
                location = self._registry.location(answer, "PATCH", self._repository)
                offset = self._received(answer, offset + size)
                self._keep(location)
            except RegistryError as error:
                # Some refuse the second chunk only.  What may be a session that is gone, or knows
                # more than we do, is asked once.
                may_be_lost = error.status in _LOST and offset > 0 and broke is None
                is_usual = broke is None or broke.status == error.status
                if error.status in _NO_CHUNKS and is_usual and not may_be_lost:
                    self._in_chunks = start > 0  # of one that was left, nothing is known
                    raise _SessionLost(_transient(error)) from None
                if not error.is_transient and error.status not in _LOST:
                    raise
                broke = _transient(error)
                failures += 1
                self._registry.patience.pause(broke, failures)
                offset, location = self._resume(location, broke)
            else:
                # Only new ground counts: a registry that takes back what it had would never end.
                failures = 0 if offset > furthest else failures + 1
                if failures >= self._registry.limits.attempts or offset > self._blob.size:
                    raise self._confused(answer, offset)
            furthest = max(furthest, offset)
        try:
            self._finish(location, offset, 0)
        except RegistryError as error:
            # 404: an earlier try succeeded and its answer was lost.  A wrong digest after a
            # break is the break's fault, and worth one upload without any; what an earlier run
            # left may be anything, and is worth one from the start.
            is_wrong = broke is not None and "DIGEST_INVALID" in error.codes
            if error.status == 404 or is_wrong or (start and error.status in _NO_CHUNKS):
                self._in_chunks = not is_wrong
                raise _SessionLost(_transient(error)) from None
            raise
        self._forget()

    def _patch(self, location: str, offset: int, size: int) -> Answer:
        return self._registry.request(
            self._repository,
            "PATCH",
            location,
            wanted=(201, 202, 204),
            headers={**_OCTETS, "Content-Range": f"{offset}-{offset + size - 1}"},
            body=self._body(offset, size),
            tries=1,
        )

    def _confused(self, answer: Answer, offset: int) -> RegistryError:
        return RegistryError(
            shown("PATCH", answer.url),
            f"the registry says it has {offset} bytes of {self._blob.size}, which cannot be",
        )

    def _resume(self, location: str, cause: RegistryError) -> tuple[int, str]:
        """How much the registry has, and where the rest goes."""
        try:
            state = self._state(location)
        except RegistryError as error:
            self._in_chunks = cause.status not in _LOST
            raise _SessionLost(cause) from error
        if state is None:
            raise _SessionLost(cause)
        return state

    def _state(self, location: str) -> tuple[int, str] | None:
        """As `_resume`; None when the registry leaves that in doubt."""
        answer = self._registry.request(self._repository, "GET", location, wanted=(204, 202))
        offset = self._received(answer, 0)
        if answer.headers.get("location"):
            location = self._registry.location(answer, "GET", self._repository)
        # "0-0" is said of one byte and of none: a new session leaves no doubt.
        return (offset, location) if 1 < offset <= self._blob.size else None

    def _received(self, answer: Answer, otherwise: int) -> int:
        told = _RANGE.fullmatch(answer.headers.get("range", ""))
        return int(told[1]) + 1 if told else otherwise

    def _finish(self, location: str, offset: int, size: int, tries: int | None = None) -> None:
        """Close the session with the last *size* bytes; the registry checks the digest."""
        joint = "&" if "?" in location else "?"
        answer = self._registry.request(
            self._repository,
            "PUT",
            f"{location}{joint}digest={self._blob.digest}",
            wanted=(201, 204),
            headers=_OCTETS,
            body=self._body(offset, size),
            tries=tries,
        )
        check_stored(answer, "PUT", self._blob.digest)

    def _body(self, offset: int, size: int) -> Body:
        return Body(size, lambda: _read(self._store, self._blob, offset, size))


def _read(store: ContentStore, blob: Descriptor, offset: int, size: int) -> Iterator[bytes]:
    with store.open(blob.digest) as file:
        try:
            file.seek(offset)
            left = size
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise StoreError(file.name, f"blob {blob.digest} is shorter than {blob.size}")
                left -= len(piece)
                yield piece
        except OSError as error:
            raise StoreError(file.name, f"cannot be read: {error.strerror}") from None


def _transient(error: RegistryError) -> RegistryError:
    """*error* as one that a new session may cure."""
    return RegistryError(
        error.where,
        error.what,
        error.hint,
        status=error.status,
        codes=error.codes,
        retry_after=error.retry_after,
        is_transient=True,
        is_timeout=error.is_timeout,
    )
