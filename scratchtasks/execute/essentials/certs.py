"""Trust anchors: Mozilla's roots and private CAs as one bundle, found by every TLS library.

Never the build machine's own bundle: it may hold private or distrusted roots.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scratchtasks.core.errors import StageError, printable

from .made import Made, file_of, symlink_of
from .pem import parse_pem, pem_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
"""Go's first choice, curl's and rustls-native-certs's as well."""

LINKS = {
    # OpenSSL's OPENSSLDIR on Alpine; LibreSSL, BoringSSL and AWS-LC everywhere.
    "etc/ssl/cert.pem": "certs/ca-certificates.crt",
    # OPENSSLDIR of OpenSSL's own default: Rust's openssl-src ("vendored") has it.
    "usr/local/ssl/cert.pem": "../../../etc/ssl/certs/ca-certificates.crt",
    # OPENSSLDIR on Debian and Ubuntu: a C program linked statically there.
    "usr/lib/ssl/cert.pem": "../../../etc/ssl/certs/ca-certificates.crt",
    # OPENSSLDIR on Fedora and RHEL.
    "etc/pki/tls/cert.pem": "../../ssl/certs/ca-certificates.crt",
    # What curl and GnuTLS that were built on Fedora and RHEL are compiled to read.
    "etc/pki/tls/certs/ca-bundle.crt": "../../../ssl/certs/ca-certificates.crt",
}
"""Further paths that TLS libraries look at.

Relative, so that a root file system unpacked anywhere never points to the host's roots.
"""


def certs_tree(public: bytes, extras: Mapping[str, bytes], now: float, origin: str) -> list[Made]:
    """The bundle and its links, from Mozilla's roots *public* (PEM, or b"") and private *extras*.

    *extras* are PEM by path.  Public roots keep their order; private ones follow by digest, so
    that names and order of files do not matter; each certificate is there once.  No comments:
    text outside blocks is what PEM parsers differ about.  *now* (seconds since 1970) decides
    only whether the extras are accepted, never the bytes.

    Raises: StageError for extras that are not certificates to the letter or have expired, and
    when there is no certificate at all.
    """
    roots = parse_pem(public, origin) if public else []
    private = [der for path in sorted(extras) for der in _parse_extra(extras[path], path, now)]
    unique = dict.fromkeys([*roots, *sorted(private, key=_sha256)])
    if not unique:
        raise StageError("certs", "no certificates (public = false and no extra)")
    bundle = b"".join(map(pem_of, unique))
    return [
        file_of(BUNDLE, bundle, origin),
        *(symlink_of(path, link, origin) for path, link in LINKS.items()),
    ]


def bundle_of(tree: list[Made]) -> bytes:
    """The bundle in what certs_tree made."""
    return next(data for entry, data in tree if entry.path == BUNDLE)


def check_certificates(data: bytes, where: str) -> None:
    """Raises: StageError when *data* is no PEM, or a block of it no whole DER sequence.

    What is in the sequences is not judged: Mozilla's list has roots with serial number 0, which
    strict parsers refuse.
    """
    for number, der in enumerate(parse_pem(data, where), start=1):
        extra = der[1] & 0x7F if len(der) > 1 and der[1] & 0x80 else 0
        size = (
            int.from_bytes(der[2 : 2 + extra], "big") if extra else int.from_bytes(der[1:2], "big")
        )
        if der[:1] != b"\x30" or 2 + extra + size != len(der):
            raise StageError(f"{where}: certificate {number}", "is no whole DER sequence")


def check_required(required: Collection[str], bundle: bytes, origin: str) -> None:
    """See to it that each of *required* is among the certificates of *bundle* (PEM).

    A certificate answers to its common name, to its whole subject (RFC 4514), and to
    `sha256:` and the 64 hex digits of its fingerprint.

    Raises: StageError that names all that are missing.
    """
    missing = missing_roots(required, bundle, origin) if required else []
    if missing:
        raise StageError(
            "certs.require",
            f"not among the roots of {origin}: {', '.join(map(ascii, missing))}",
            "take another source, add them as certs.extra, or require them no longer",
        )


def missing_roots(required: Collection[str], bundle: bytes, origin: str) -> list[str]:
    """Those of *required* that no certificate of *bundle* answers to, in their order.

    Raises: StageError when *bundle* is not PEM.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    known: set[str] = set()
    for der in parse_pem(bundle, origin):
        known.add(f"sha256:{_sha256(der).hex()}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about serial number 0, which some roots have
                subject = x509.load_der_x509_certificate(der).subject
        except (ValueError, x509.InvalidVersion):
            continue  # it answers to its fingerprint alone
        known.add(subject.rfc4514_string())
        known |= {str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    return [each for each in required if each not in known]


def expiry_of(data: bytes, path: str) -> float:
    """When the first of the private certificates in *data* (PEM) expires, in seconds since 1970.

    Raises: StageError when they are not certificates to the letter.
    """
    return min(
        _parse_der(der, f"{path}: certificate {number}")[1].timestamp()
        for number, der in enumerate(parse_pem(data, path), start=1)
    )


def _parse_extra(data: bytes, path: str, now: float) -> list[bytes]:
    ders = parse_pem(data, path)
    moment = datetime.fromtimestamp(now, UTC)
    expired = []
    for number, der in enumerate(ders, start=1):
        name, not_after = _parse_der(der, f"{path}: certificate {number}")
        if not_after < moment:
            expired.append(f"certificate {number} ({name}) expired on {not_after:%Y-%m-%d}")
    if expired:
        raise StageError(path, "; ".join(expired), "replace it with its successor, or remove it")
    return ders


def _parse_der(der: bytes, where: str) -> tuple[str, datetime]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        certificate = x509.load_der_x509_certificate(der)
        # Read here because they are parsed lazily: Go drops a root with damaged parts silently.
        _ = certificate.extensions
        try:
            certificate.public_key()
        except UnsupportedAlgorithm:
            pass  # a key newer than our parser is not damage
        return _name_of(certificate), certificate.not_valid_after_utc
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise StageError(where, f"cannot be parsed ({reason})") from None


def _name_of(certificate: Certificate) -> str:
    return printable(certificate.subject.rfc4514_string()[:80]) or "no subject"


def _sha256(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()
