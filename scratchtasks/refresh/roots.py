"""What a new bundle changes: CA roots that come, go or are about to expire."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from scratchtasks.core.errors import StageError, printable
from scratchtasks.core.frozen import dataclass

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Root:
    """A certificate: *sha256* of its DER in hex, *subject* as RFC 4514 writes it.

    *not_before* and *not_after* are seconds since 1970.
    """

    sha256: str
    subject: str
    not_before: int
    not_after: int

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day on which it is valid (UTC), as `2026-10-18`."""
        return day_of(self.not_before), day_of(self.not_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootsDiff:
    """Each sorted by subject; *expiring* are roots of the new bundle, the next to expire first."""

    added: tuple[Root, ...] = ()
    removed: tuple[Root, ...] = ()
    expiring: tuple[Root, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.expiring)


@dataclass(frozen=True, slots=True)
class Expiring:
    """A private CA in the file *path* that expires soon or has expired; *services* ship it."""

    path: str
    root: Root
    services: tuple[str, ...]


def diff_roots(old: Sequence[Root], new: Sequence[Root], now: float, warn_days: int) -> RootsDiff:
    """What differs from *old* to *new*; roots that expire within *warn_days* after *now*.

    Equal means the same bytes: a root that was issued anew is removed and added.
    """
    before, after = {root.sha256 for root in old}, {root.sha256 for root in new}
    return RootsDiff(
        added=_sorted(root for root in new if root.sha256 not in before),
        removed=_sorted(root for root in old if root.sha256 not in after),
        expiring=expiring(new, now, warn_days),
    )


def expiring(roots: Iterable[Root], now: float, warn_days: int) -> tuple[Root, ...]:
    """Those of *roots* that end within *warn_days* after *now* or have ended, soonest first."""
    limit = now + warn_days * 86400
    found = {root.sha256: root for root in roots if root.not_after <= limit}
    return tuple(sorted(found.values(), key=lambda root: (root.not_after, root.sha256)))


def has_root(roots: Iterable[Root], wanted: str) -> bool:
    """Whether one of *roots* is what *wanted* names.

    *wanted* is a fingerprint as `config` writes it (`sha256:` and 64 lower-case hex digits), the
    whole subject, or its common name.
    """
    return any(
        wanted in (f"sha256:{root.sha256}", root.subject, _common_name(root)) for root in roots
    )


def roots_of(ders: Iterable[bytes], where: str) -> tuple[Root, ...]:
    """The certificates *ders*; *where* is for messages.  Raises: StageError for a damaged one."""
    return tuple(_root(der, f"{where}: certificate {at}") for at, der in enumerate(ders, start=1))


def day_of(moment: int) -> str:
    """The day (UTC) of *moment*, in seconds since 1970, as `2026-10-18`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _root(der: bytes, where: str) -> Root:
    from cryptography import x509

    try:
        with warnings.catch_warnings():
            # Some old roots have serial numbers that newer rules forbid; they are Mozilla's call.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            subject = certificate.subject.rfc4514_string()
        return Root(
            sha256=hashlib.sha256(der).hexdigest(),
            subject=_shown(subject),
            not_before=int(certificate.not_valid_before_utc.timestamp()),
            not_after=int(certificate.not_valid_after_utc.timestamp()),
        )
    except (ValueError, x509.InvalidVersion) as error:
        raise StageError(where, f"cannot be parsed ({str(error)[:100]})") from None


def _shown(subject: str) -> str:
    return printable(subject)[:_LONGEST] or "no subject"


def _common_name(root: Root) -> str:
    import re

    # RFC 4514 escapes commas within a value with a backslash.
    match = re.search(r"(?:^|(?<!\\),)CN=((?:\\.|[^,\\])*)", root.subject)
    return re.sub(r"\\(.)", r"\1", match[1]) if match else ""


def _sorted(roots: Iterable[Root]) -> tuple[Root, ...]:
    return tuple(sorted(roots, key=lambda root: (root.subject, root.sha256)))
