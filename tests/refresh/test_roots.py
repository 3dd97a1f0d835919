"""Roots that come, go and expire, against what openssl reads."""

import hashlib
import ssl
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from scratchtasks.core.errors import StageError
from scratchtasks.execute.essentials.pem import parse_pem
from scratchtasks.refresh.roots import Root, RootsDiff, diff_roots, expiring, has_root, roots_of

from .wheels import bundle

NOW = datetime(2026, 11, 26, tzinfo=UTC).timestamp()


@cache
def ours(release: str) -> tuple[Root, ...]:
    return roots_of(parse_pem(bundle(release), release), release)


@cache
def theirs(release: str) -> dict[str, Root]:
    """The certificates of *release* as OpenSSL reads them, by fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle(release).decode())
    found = {}
    read: Any = zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True), strict=True)
    for facts, der in read:
        names = [part for group in reversed(facts["subject"]) for part in group]
        subject = ",".join(f"{SHORT[key]}={_escaped(value)}" for key, value in names)
        begin, end = (
            int(ssl.cert_time_to_seconds(facts[key])) for key in ("notBefore", "notAfter")
        )
        digits = hashlib.sha256(der).hexdigest()
        found[digits] = Root(digits, subject, begin, end)
    return found


SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "emailAddress": "1.2.840.113549.1.9.1",
    "localityName": "L",
    "organizationIdentifier": "2.5.4.97",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "serialNumber": "2.5.4.5",
    "stateOrProvinceName": "ST",
}
"""RFC 4514's short names; it writes all others as numbers."""


def _escaped(value: str) -> str:
    return "".join(f"\\{char}" if char in ',+"\\<>;' else char for char in value)


@pytest.mark.parametrize("release", ["certifi-2024.7.4", "certifi-2026.10.18"])
def test_every_root_is_read_as_openssl_reads_it(release: str) -> None:
    assert {root.sha256: root for root in ours(release)} == theirs(release)


def test_added_and_removed_roots() -> None:
    old, new = theirs("certifi-2024.7.4"), theirs("certifi-2026.10.18")
    diff = diff_roots(ours("certifi-2024.7.4"), ours("certifi-2026.10.18"), NOW, 400)
    assert {root.sha256 for root in diff.added} == set(new) - set(old)
    assert {root.sha256 for root in diff.removed} == set(old) - set(new)
    assert diff.added
    assert diff.removed
    limit = NOW + 400 * 86400
    assert set(diff.expiring) == {root for root in new.values() if root.not_after <= limit}
    assert list(diff.added) == sorted(diff.added, key=lambda root: (root.subject, root.sha256))
    assert list(diff.expiring) == sorted(diff.expiring, key=lambda root: root.not_after)


def test_the_root_that_certifi_2024_7_4_distrusted() -> None:
    diff = diff_roots(ours("certifi-2024.6.2"), ours("certifi-2024.7.4"), 0, 0)
    assert [root.subject for root in diff.removed] == [
        "CN=GLOBALTRUST 2020,O=e-commerce monitoring GmbH,C=AT"
    ]
    assert has_root(ours("certifi-2024.6.2"), "GLOBALTRUST 2020")
    assert not has_root(ours("certifi-2024.7.4"), "GLOBALTRUST 2020")


def test_no_difference_is_no_news() -> None:
    same = ours("certifi-2024.7.4")
    assert diff_roots(same, same, 0, 0) == RootsDiff()
    assert not RootsDiff()


ISRG = "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6"


@pytest.mark.parametrize(
    "name",
    [
        f"sha256:{ISRG}",
        "ISRG Root X1",
        "CN=ISRG Root X1,O=Internet Security Research Group,C=US",
    ],
)
def test_a_root_by_any_of_its_names(name: str) -> None:
    assert has_root(ours("certifi-2026.10.18"), name)


@pytest.mark.parametrize("name", ["ISRG Root", "isrg root x1", f"sha256:{'0' * 64}", "US"])
def test_what_names_no_root(name: str) -> None:
    assert not has_root(ours("certifi-2026.10.18"), name)


def test_a_common_name_with_a_comma() -> None:
    root = Root("0" * 64, "O=A\\, B,CN=Root\\, one,C=US", 0, 0)
    assert has_root([root], "Root, one")
    assert not has_root([root], "A, B")


def test_days_of_expiry_are_counted_to_the_second() -> None:
    root = Root("0" * 64, "CN=x", 0, 1000 + 30 * 86400)
    assert expiring([root], 1000, 30) == (root,)
    assert expiring([root], 999, 30) == ()
    assert expiring([root], 10**10, 0) == (root,)  # expired long ago
    assert root.days == ("1970-01-01", "1970-01-31")


def test_what_is_no_certificate() -> None:
    with pytest.raises(StageError) as caught:
        roots_of([b"\x30\x00"], "certifi 1")
    assert str(caught.value).startswith("certifi 1: certificate 1: cannot be parsed (")


def test_fingerprints_are_hashes_of_der() -> None:
    ders = parse_pem(bundle("certifi-2024.7.4"), "x")
    hashes = [hashlib.sha256(der).hexdigest() for der in ders]
    assert [root.sha256 for root in ours("certifi-2024.7.4")] == hashes
