"""What an OCI layout on disk really holds: read without any code of ours."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from .process import Wrong, expect


def blob(layout: Path, digest: str) -> bytes:
    """The blob *digest*.  Raises: Wrong when its bytes are others."""
    algorithm, _, name = digest.partition(":")
    data = (layout / "blobs" / algorithm / name).read_bytes()
    expect(hashlib.sha256(data).hexdigest() == name, f"{layout}: {digest} is damaged")
    return data


def manifest_of(layout: Path, tag: str = "") -> dict[str, Any]:
    """The manifest of the only image or of that called *tag*; of the first platform."""
    found: dict[str, Any] = json.loads((layout / "index.json").read_bytes())
    if tag:
        found["manifests"] = [
            each
            for each in found["manifests"]
            if each["annotations"]["org.opencontainers.image.ref.name"] == tag
        ]
    while "manifests" in found:
        found = json.loads(blob(layout, found["manifests"][0]["digest"]))
    return found


def layers_of(layout: Path) -> list[Path]:
    """The files of the layers, lowest first."""
    digests = [layer["digest"] for layer in manifest_of(layout)["layers"]]
    return [layout / "blobs" / digest.replace(":", "/") for digest in digests]


def content_of(layout: Path, path: str, tag: str = "") -> bytes:
    """What the file *path* of the image holds."""
    for layer in reversed(manifest_of(layout, tag)["layers"]):
        found = member_of(blob(layout, layer["digest"]), path)
        if found is not None:
            return found
    raise Wrong(f"{layout}: has no file {path}")


def member_of(layer: bytes, path: str) -> bytes | None:
    """The file *path* of the tar *layer*, which may be gzipped; None without one."""
    raw = gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for member in archive:
            if member.isfile() and member.name.removeprefix("./").lstrip("/") == path.lstrip("/"):
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    return None


def said_by(program: bytes) -> str:
    """What *program* prints when it is run with one argument."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program")
        path.write_bytes(program)
        path.chmod(0o755)
        return subprocess.run(
            [path, "--version"], capture_output=True, check=True, text=True
        ).stdout


def expect_said(layout: Path, name: str, word: str) -> None:
    """Raises: Wrong unless the program of image *name* at *layout* says *word* when it runs."""
    said = said_by(content_of(layout, f"usr/bin/{name}"))
    expect(word in said, f"{layout}: its program says {said!r}, not {word}")
