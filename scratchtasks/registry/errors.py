"""What registries say when they refuse, made fit for a terminal.

Source: OCI distribution-spec v1.1, "Error Codes".
"""

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from scratchtasks.core.errors import SinkError

_TEXT_LIMIT = 300
_ERRORS_LIMIT = 5
_TRANSIENT = frozenset({408, 429})


class RegistryError(SinkError):
    """A request that failed: *status* is HTTP's, or 0 when there was no whole answer.

    *codes* are the registry's own (`BLOB_UPLOAD_UNKNOWN`); *retry_after* is in seconds;
    *is_transient* says whether the same request may succeed later.
    """

    def __init__(
        self,
        where: str,
        what: str,
        hint: str = "",
        *,
        status: int = 0,
        codes: Iterable[str] = (),
        retry_after: float | None = None,
        is_transient: bool = False,
        is_timeout: bool = False,
    ) -> None:
        super().__init__(where, what, hint)
        self.status = status
        self.codes = tuple(codes)
        self.retry_after = retry_after
        self.is_transient = is_transient or status in _TRANSIENT or status >= 500
        self.is_timeout = is_timeout

    @property
    def is_silence(self) -> bool:
        """Whether nobody answered: refused, dropped, no such host, or not in time."""
        return self.is_transient and not self.status


class Secrets:
    """Remembers what must never be shown; safe to use from several threads."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def add(self, *secrets: str) -> None:
        """Hide each of *secrets* from now on; very short ones would blot out whole words."""
        with self._lock:
            self._known |= {secret for secret in secrets if len(secret) >= 4}

    def scrub(self, text: str) -> str:
        """*text* without any of the secrets."""
        with self._lock:
            known = sorted(self._known, key=len, reverse=True)
        for secret in known:
            text = text.replace(secret, "***")
        return text


def clean(text: object, limit: int = _TEXT_LIMIT) -> str:
    """The first line of *text* that a stranger sent, without control characters, shortened."""
    lines = str(text).strip().splitlines() or [""]
    line = "".join(c for c in lines[0][: limit + 1] if c.isprintable()).strip()
    return line if len(line) <= limit else line[:limit] + "…"


def explain(
    status: int, body: bytes, scrub: Callable[[str], str] = str
) -> tuple[str, tuple[str, ...]]:
    """The text of a refusal, `401 UNAUTHORIZED: authentication required`, and its codes.

    *scrub* takes secrets out of what was said, before that is shortened.
    """
    errors = _errors(body, scrub)
    if errors:
        said = "; ".join(f"{code}: {message}" if message else code for code, message in errors)
        return f"{status} {said}", tuple(code for code, _ in errors)
    try:
        phrase = HTTPStatus(status).phrase.upper()
    except ValueError:
        phrase = "UNKNOWN STATUS"
    text = clean(scrub(body.decode("utf-8", "replace")))
    if not text or text.startswith(("<", "{", "[")) or text.upper() == phrase:
        return f"{status} {phrase}", ()
    return f"{status} {phrase}: {text}", ()


def _errors(body: bytes, scrub: Callable[[str], str]) -> list[tuple[str, str]]:
    def told(text: object, limit: int = _TEXT_LIMIT) -> str:
        return clean(scrub(str(text)), limit)

    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    errors = value.get("errors") if isinstance(value, dict) else None
    if not isinstance(errors, list):
        # Token servers answer in the manner of OAuth, or with a bare message.
        said = isinstance(value, dict) and (
            value.get("error_description") or value.get("details") or value.get("message")
        )
        code = isinstance(value, dict) and value.get("error")
        return [(told(code or "ERROR", 60), told(said or ""))] if said or code else []
    return [
        (told(error.get("code") or "UNKNOWN", 60), told(error.get("message") or ""))
        for error in errors[:_ERRORS_LIMIT]
        if isinstance(error, dict)
    ]
