"""What an OCI layout on disk really holds: read without any code of ours."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .process import Wrong, expect


def blob(layout: Path, digest: str) -> bytes:
    """The blob *digest*.  Raises: Wrong when its bytes are others."""
    algorithm, _, name = digest.partition(":")
    data = (layout / "blobs" / algorithm / name).read_bytes()
    expect(hashlib.sha256(data).hexdigest() == name, f"{layout}: {digest} is damaged")
    return data


def manifest_of(layout: Path) -> dict[str, Any]:
    """The manifest of the only image, or of the first platform of it."""
    found: dict[str, Any] = json.loads((layout / "index.json").read_bytes())
    while "manifests" in found:
        found = json.loads(blob(layout, found["manifests"][0]["digest"]))
    return found


def layers_of(layout: Path) -> list[Path]:
    """The files of the layers, lowest first."""
    digests = [layer["digest"] for layer in manifest_of(layout)["layers"]]
    return [layout / "blobs" / digest.replace(":", "/") for digest in digests]


def content_of(layout: Path, path: str) -> bytes:
    """What the file *path* of the image holds."""
    for layer in reversed(manifest_of(layout)["layers"]):
        with _opened(blob(layout, layer["digest"])) as archive:
            for member in _members(archive):
                if member.name.lstrip("./") == path.lstrip("/"):
                    file = archive.extractfile(member)
                    assert file is not None
                    return file.read()
    raise Wrong(f"{layout}: has no file {path}")


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


def _opened(data: bytes) -> tarfile.TarFile:
    raw = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return tarfile.open(fileobj=io.BytesIO(raw))


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    return (member for member in archive if member.isfile())
