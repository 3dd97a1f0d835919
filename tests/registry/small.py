"""A small registry that keeps every byte it got, whatever happens to the connection.

Written by the distribution-spec: resumable uploads, as few registries offer them.
"""

import hashlib
import itertools
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class SmallRegistry(ThreadingHTTPServer):
    """Blobs and manifests in memory; a `serving` block's."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.sessions: dict[str, bytearray] = {}
        self.ids = itertools.count()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SmallRegistry

    @property
    def last(self) -> str:
        return urlsplit(self.path).path.rpartition("/")[2]

    def do_HEAD(self) -> None:
        if "/blobs/" in self.path:
            self._answer(200 if self.last in self.server.blobs else 404)
            return
        _, data = self.server.manifests.get(self.last, ("", b""))
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self._answer(200 if data else 404, {"Docker-Content-Digest": digest} if data else {})

    def do_GET(self) -> None:
        self._session(204)

    def do_POST(self) -> None:
        session = str(next(self.server.ids))
        self.server.sessions[session] = bytearray()
        self._answer(202, {"Location": f"/v2/team/api/blobs/uploads/{session}"})

    def do_PATCH(self) -> None:
        held = self.server.sessions[self.last]
        if int(self.headers["Content-Range"].partition("-")[0]) != len(held):
            self._answer(416)
            return
        left = int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read1(min(left, 65536))
            if not piece:
                return
            held += piece
            left -= len(piece)
        self._session(202)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        if not digest:
            found = "sha256:" + hashlib.sha256(data).hexdigest()
            stored = self.headers["Content-Type"], data
            self.server.manifests |= {self.last: stored, found: stored}
            self._answer(201)
            return
        blob = bytes(self.server.sessions.pop(self.last)) + data
        if digest != "sha256:" + hashlib.sha256(blob).hexdigest():
            self._answer(400)
            return
        self.server.blobs[digest] = blob
        self._answer(201)

    def do_DELETE(self) -> None:
        self._answer(202 if self.server.manifests.pop(self.last, None) else 404)

    def _session(self, status: int) -> None:
        size = len(self.server.sessions[self.last])
        self._answer(status, {"Location": self.path, "Range": f"0-{max(size - 1, 0)}"})

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on a test's terminal."""
