"""A real Debian root, from Debian's packages, and images made of it without any code of ours."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PACKAGES = ("base-files", "ca-certificates", "tzdata", "media-types")
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def download(folder: Path) -> dict[str, Path]:
    """The packages as apt fetches them, by name."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # apt drops its privileges
    argv = ["apt-get", "-qq"]
    if subprocess.run([*argv, "download", *PACKAGES], cwd=folder, capture_output=True).returncode:
        # The machine has no lists of packages: fetch some, into a place of our own.
        own = folder.parent / "apt"
        (own / "lists/partial").mkdir(parents=True)
        (own / "cache/archives/partial").mkdir(parents=True)
        argv += ["-o", f"Dir::State::Lists={own}/lists", "-o", f"Dir::Cache={own}/cache"]
        for words in (["update"], ["download", *PACKAGES]):
            subprocess.run([*argv, *words], cwd=folder, check=True, capture_output=True)
    return {name: next(folder.glob(f"{name}_*.deb")) for name in PACKAGES}


def unpack(packages: Iterable[Path], root: Path) -> None:
    """What dpkg makes of *packages*, and the bundle that ca-certificates' postinst writes."""
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    roots = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / BUNDLE).parent.mkdir(parents=True, exist_ok=True)
    (root / BUNDLE).write_bytes(b"".join(path.read_bytes() for path in roots))


def tar_of(root: Path) -> bytes:
    """*root* as GNU tar packs it."""
    argv = ["tar", "-C", str(root), "--sort=name", "--owner=0", "--group=0", "-c", "."]
    return subprocess.run(argv, check=True, capture_output=True).stdout


@dataclass
class Entry:
    """One entry of a layer made for a test; *kind* is tarfile's."""

    path: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644


def layer_of(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of *entries*, in order, by the standard library."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.linkname, info.mode = entry.kind, entry.link, entry.mode
            info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def folder(path: str) -> Entry:
    return Entry(path, kind=tarfile.DIRTYPE, mode=0o755)


def symlink(path: str, link: str) -> Entry:
    return Entry(path, kind=tarfile.SYMTYPE, link=link, mode=0o777)


def hardlink(path: str, link: str) -> Entry:
    return Entry(path, kind=tarfile.LNKTYPE, link=link)


def compressed(tar: bytes, how: str) -> tuple[bytes, str]:
    """*tar* compressed, and the end of its media type."""
    if how == "gzip":
        return gzip.compress(tar, mtime=0), "+gzip"
    if how == "zstd":
        from backports import zstd

        return zstd.compress(tar), "+zstd"
    return tar, ""


@dataclass
class Layout:
    """An OCI image layout in *folder*, to be copied into a registry by skopeo."""

    folder: Path
    blobs: dict[str, int] = field(default_factory=dict)

    def blob(self, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / "blobs/sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def manifest(self, layers: Sequence[tuple[bytes, str]], architecture: str = "amd64") -> bytes:
        """A manifest over *layers*, each a blob and the end of its media type."""
        diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data, _ in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-10-20T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        kind = "application/vnd.oci.image.layer.v1.tar"
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **self.blob(json.dumps(config).encode()),
            },
            "layers": [{"mediaType": kind + end, **self.blob(data)} for data, end in layers],
        }
        return json.dumps(value).encode()

    def index(self, manifests: Sequence[tuple[bytes, dict[str, str]]]) -> bytes:
        """An index over *manifests*, each with its platform."""
        listed = [
            {"mediaType": MANIFEST, **self.blob(data), "platform": platform}
            for data, platform in manifests
        ]
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        return json.dumps(value).encode()

    def push(self, top: bytes, name: str) -> str:
        """Copy the image with the manifest or index *top* to *name*; returns its digest."""
        kind = INDEX if b'"manifests"' in top else MANIFEST
        entry = {"mediaType": kind, **self.blob(top)}
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        (self.folder / "index.json").write_text(json.dumps(index))
        argv = ["skopeo", "copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false"]
        done = subprocess.run(
            [*argv, f"oci:{self.folder}", f"docker://{name}"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return str(entry["digest"])
