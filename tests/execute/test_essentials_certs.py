"""Private CAs: what is accepted, what is refused and in which words."""

import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.errors import StageError
from scratchtasks.execute.essentials.certs import BUNDLE, LINKS, certs_tree, missing_roots
from scratchtasks.execute.essentials.pem import parse_pem, pem_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(
    name: str, not_after: str = "2036-01-01", not_before: str = "2000-01-01", is_ca: bool = True
) -> bytes:
    """A self-signed certificate as PEM; days are in UTC."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(sum(name.encode()) + 1)
        .not_valid_before(datetime.fromisoformat(not_before))
        .not_valid_after(datetime.fromisoformat(not_after))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def bundle(extras: dict[str, bytes], public: bytes = b"", now: datetime = NOW) -> bytes:
    """The content of ca-certificates.crt."""
    made = {entry.path: data for entry, data in certs_tree(public, extras, now.timestamp(), "x")}
    assert set(made) == {BUNDLE, *LINKS}
    return made[BUNDLE]


def refusal(extras: dict[str, bytes], now: datetime = NOW) -> str:
    with pytest.raises(StageError) as caught:
        bundle(extras, now=now)
    return str(caught.value)


def test_private_cas_follow_public_roots_each_once() -> None:
    a, b, c = (certificate(name) for name in "abc")
    comment = b"# a comment\n\n"
    public = comment + b + comment + a
    plain = bundle({"one.pem": c + a, "two.pem": comment + c}, public)
    assert plain == b + a + c
    assert bundle({"z.pem": c}, public) == plain
    assert bundle({"dos.pem": c.replace(b"\n", b"\r\n")}, public) == plain


def test_names_and_order_of_extra_files_do_not_matter() -> None:
    pems = [certificate(name) for name in "abcdef"]
    first = bundle({"1": pems[0] + pems[1], "2": b"".join(pems[2:])})
    assert first == bundle({"x": b"".join(reversed(pems[1:])), "y": pems[0]})
    assert sorted(parse_pem(first, "")) == sorted(parse_pem(b"".join(pems), ""))


def test_leaves_and_certificates_of_the_future_are_accepted() -> None:
    leaf = certificate("self-signed.example.com", is_ca=False)
    future = certificate("next year", not_before="2027-06-01")
    assert bundle({"p": leaf + future}).count(b"BEGIN CERTIFICATE") == 2


def test_expired_certificates_are_refused_by_name() -> None:
    old = certificate("Old Root", "2024-01-01")
    older = certificate("Older\nRoot", "2023-05-06")
    text = refusal({"certs/corp.pem": certificate("a") + old + older})
    assert text == (
        "certs/corp.pem: certificate 2 (CN=Old Root) expired on 2024-01-01; "
        "certificate 3 (CN=Older?Root) expired on 2023-05-06\n"
        "    hint: replace it with its successor, or remove it"
    )


def test_the_clock_decides_on_refusal_and_never_on_bytes() -> None:
    extras = {"p": certificate("a") + certificate("b", "2030-01-01")}
    end = datetime(2030, 1, 1, tzinfo=UTC)
    assert bundle(extras) == bundle(extras, now=end)
    assert "certificate 2 (CN=b) expired" in refusal(extras, now=end + timedelta(seconds=1))


def test_private_keys_are_refused_and_never_shown() -> None:
    for form, label in (
        (serialization.PrivateFormat.PKCS8, "PRIVATE KEY"),
        (serialization.PrivateFormat.TraditionalOpenSSL, "EC PRIVATE KEY"),
    ):
        key = KEY.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        cert = certificate("a")
        text = refusal({"certs/corp.pem": cert + key})
        line = cert.count(b"\n") + 1
        assert text == (
            f"certs/corp.pem: line {line}: holds a private key ({label}), "
            "which must never be in an image\n"
            "    hint: keep only the certificates in this file; "
            "a key that was committed is no secret now"
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pem: b"",
         "p: holds no certificate\n    hint: wanted PEM, as openssl x509 writes it"),
        (lambda pem: b"# only a comment\n",
         "p: holds no certificate\n    hint: wanted PEM, as openssl x509 writes it"),
        (lambda pem: pem + b"subject=CN = a\n",
         "p: line 9: text between certificates (wanted a PEM block, got 'subject=CN = a')\n"
         "    hint: keep only -----BEGIN CERTIFICATE----- blocks and lines that start with #"),
        (lambda pem: b"\xef\xbb\xbf" + pem,
         "p: line 1: text between certificates (wanted a PEM block, got "
         "'\\xef\\xbb\\xbf-----BEGIN CERTIFICATE-----')\n"
         "    hint: keep only -----BEGIN CERTIFICATE----- blocks and lines that start with #"),
        (lambda pem: pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
         "p: line 1: wanted a CERTIFICATE block, got 'TRUSTED CERTIFICATE'"),
        (lambda pem: pem + pem[:200],
         "p: line 9: the certificate that begins here has no end"),
        (lambda pem: pem[:200] + b"\n" + pem, "p: line 5: BEGIN CERTIFICATE out of place"),
        (lambda pem: pem + b"-----END CERTIFICATE-----",
         "p: line 9: END CERTIFICATE out of place"),
        (lambda pem: pem.replace(b"\nMII", b"\nM?II"),
         "p: line 1: the certificate that begins here is damaged (not base64)"),
        (lambda pem: pem[:92] + b"\n" + pem[92:],
         "p: line 1: the certificate that begins here is damaged (not base64)"),
    ],
)  # fmt: skip
def test_anything_but_certificates_is_refused(
    change: Callable[[bytes], bytes], message: str
) -> None:
    pem = certificate("a")
    assert pem.count(b"\n") == 8
    assert refusal({"p": change(pem)}) == message


def test_sound_base64_of_something_else_is_refused() -> None:
    der = parse_pem(certificate("a"), "")[0]
    for wrong in (b"hello", der[:-1], der + b"\0", b"\x30\x00"):
        text = refusal({"p": certificate("b") + pem_of(wrong)})
        assert text.startswith("p: certificate 2: cannot be parsed (")


def test_what_cannot_be_parsed_answers_to_its_fingerprint() -> None:
    der = parse_pem(certificate("a"), "")[0]
    of_version_9 = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08")
    for wrong in (of_version_9, b"\x30\x00"):
        mark = f"sha256:{hashlib.sha256(wrong).hexdigest()}"
        data = pem_of(wrong) + certificate("b")
        assert missing_roots(["a", "b", mark], data, "roots.pem") == ["a"]


def test_no_certificates_at_all_is_refused() -> None:
    assert refusal({}) == "certs: no certificates (public = false and no extra)"


BASE = certificate("one") + b"# between\n" + certificate("two")
ACCEPTED = bundle({"p": BASE})


@settings(max_examples=300)
@given(
    st.integers(0, len(BASE)),
    st.binary(min_size=1, max_size=8)
    | st.sampled_from([b"\n", b"#", b" ", b"=", b"A", b"AAAA", b"-----END CERTIFICATE-----\n"]),
)
def test_garbage_anywhere_is_refused_or_changes_nothing(place: int, garbage: bytes) -> None:
    try:
        data = bundle({"p": BASE[:place] + garbage + BASE[place:]})
    except StageError:
        return
    assert data == ACCEPTED


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text("-BEGIN CERTFAUD#=\r\n", max_size=200).map(str.encode))
def test_any_bytes_are_refused_in_our_own_words(data: bytes) -> None:
    with pytest.raises(StageError):
        bundle({"p": data})


def test_openssl_reads_what_was_written(tmp_path: Path) -> None:
    names = [f"root {number}" for number in range(20)]
    path = tmp_path / "bundle.pem"
    path.write_bytes(bundle({name: certificate(name) for name in names}))
    context = ssl.create_default_context(cafile=str(path))
    expected = [parse_pem(certificate(name), "")[0] for name in names]
    assert set(context.get_ca_certs(binary_form=True)) == set(expected)
