"""A Debian mirror on loopback: real packages, indexes by apt-ftparchive's rules, signed by gpg."""

import hashlib
import lzma
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INDEX = "main/binary-all/Packages.xz"


@dataclass
class Mirror:
    """The files of a mirror in *folder*; *home* is gpg's, with the key that signs."""

    folder: Path
    home: Path

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True)
        self._gpg("--quick-generate-key", "--passphrase", "", "tests", "ed25519", "sign", "never")
        self.keyring = self.home / "keyring.gpg"
        self.keyring.write_bytes(self._gpg("--export"))

    def publish(self, package: Path, **changed: str) -> None:
        """Have *package* in the suite `stable`; *changed* replaces fields of its paragraph."""
        data = package.read_bytes()
        pool = f"pool/main/c/ca-certificates/{package.name}"
        self.write(pool, data)
        control = subprocess.run(
            ["dpkg-deb", "-f", package, "Package", "Version", "Architecture"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        fields = {"Filename": pool, "Size": str(len(data)), "SHA256": sha256(data), **changed}
        paragraph = control + "".join(f"{key}: {value}\n" for key, value in fields.items())
        other = "Package: ca-certificates-java\nVersion: 1\n\n"
        packages = lzma.compress((other + paragraph + "\n").encode())
        self.write(f"dists/stable/{INDEX}", packages)
        self.release({INDEX: packages})

    def release(self, indexes: Mapping[str, bytes]) -> None:
        """Sign an InRelease over *indexes*."""
        sums = "".join(f" {sha256(data)} {len(data)} {name}\n" for name, data in indexes.items())
        text = f"Suite: stable\nMD5Sum:\n {'0' * 32} 1 x\nSHA256:\n{sums}Acquire-By-Hash: yes\n"
        signed = self._gpg("--clearsign", input=text.encode())
        self.write("dists/stable/InRelease", signed)

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _gpg(self, *args: str, input: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--no-tty", "-q", *args]
        try:
            return subprocess.run(argv, input=input, check=True, capture_output=True).stdout
        finally:
            # It has started an agent, which would outlive the test.
            end = ["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"]
            subprocess.run(end, check=True, capture_output=True)


class Served(ThreadingHTTPServer):
    """Serves the folder of a mirror and counts requests."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on a test's terminal."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
