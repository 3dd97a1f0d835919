"""PEM with certificates and nothing else: what is not understood to the letter is refused."""

import base64
import binascii
import os
import re
import stat

from scratchtasks.core.errors import StageError

_BORDER = re.compile(r"-----(BEGIN|END) ([ -~]*?)-----")
_LABEL = "CERTIFICATE"

_MAX_PEM = 4 << 20
"""Bytes; some twenty times what bundles have."""

_MISSING = "[certs] names it: from the service's folder, or as //folder:file from the root"


def parse_pem(data: bytes, where: str) -> list[bytes]:
    """The DER of every `CERTIFICATE` block of *data*, in order, at least one.

    Between blocks only blank lines and lines that start with `#` may stand, since parsers
    disagree about everything else; lines may end in CR LF.

    Raises: StageError, naming the line, for any other block (a private key above all), for
    other text, for damaged base64 and for blocks that do not end.
    Source: RFC 7468, sections 2 and 5.
    """
    blocks: list[bytes] = []
    body: list[str] = []
    begin = 0
    # Latin-1 maps every byte, so that damage is reported where it is, with its line number.
    for number, raw in enumerate(data.decode("latin-1").split("\n"), start=1):
        line = raw.rstrip(" \t\r")
        border = _BORDER.fullmatch(line)
        if border:
            _check_border(border[1], border[2], begin, f"{where}: line {number}")
            if border[1] == "END":
                blocks.append(_decoded(body, f"{where}: line {begin}"))
            begin, body = (number, []) if border[1] == "BEGIN" else (0, [])
        elif begin:
            body.append(line)
        elif line and not line.startswith("#"):
            raise StageError(
                f"{where}: line {number}",
                f"text between certificates (wanted a PEM block, got {_shown(line)})",
                "keep only -----BEGIN CERTIFICATE----- blocks and lines that start with #",
            )
    if begin:
        raise StageError(f"{where}: line {begin}", "the certificate that begins here has no end")
    if not blocks:
        raise StageError(where, "holds no certificate", "wanted PEM, as openssl x509 writes it")
    return blocks


def read_pem(path: str, root: str) -> bytes:
    """The PEM file *path* of the workspace at *root*.

    Raises: StageError when it cannot be read, is no file or too large to be one.
    """
    try:
        # Without blocking, for a named pipe would hold the build for ever.
        fd = os.open(os.path.join(root, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise StageError(path, "wanted a PEM file, got a folder or a device")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(_MAX_PEM + 1)
        finally:
            os.close(fd)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        hint = _MISSING if isinstance(error, FileNotFoundError) else ""
        raise StageError(path, f"cannot be read: {reason}", hint) from None
    if len(data) > _MAX_PEM:
        raise StageError(path, f"wanted at most {_MAX_PEM} bytes of PEM")
    return data


def pem_of(der: bytes) -> bytes:
    """*der* as one PEM block, 64 base64 digits a line: equal certificates give equal bytes."""
    text = base64.b64encode(der)
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return b"".join(
        [
            b"-----BEGIN CERTIFICATE-----\n",
            *(line + b"\n" for line in lines),
            b"-----END CERTIFICATE-----\n",
        ]
    )


def _check_border(edge: str, label: str, begin: int, where: str) -> None:
    if "PRIVATE KEY" in label:
        raise StageError(
            where,
            f"holds a private key ({label}), which must never be in an image",
            "keep only the certificates in this file; a key that was committed is no secret now",
        )
    if label != _LABEL:
        raise StageError(where, f"wanted a {_LABEL} block, got {_shown(label)}")
    if (edge == "END") != bool(begin):
        raise StageError(where, f"{edge} {_LABEL} out of place")


def _decoded(body: list[str], where: str) -> bytes:
    try:
        der = base64.b64decode("".join(body).encode("latin-1"), validate=True)
    except binascii.Error:
        der = b""
    if not der or "" in body:
        raise StageError(where, "the certificate that begins here is damaged (not base64)")
    return der


def _shown(text: str) -> str:
    return ascii(text[:40]) + ("…" if len(text) > 40 else "")
