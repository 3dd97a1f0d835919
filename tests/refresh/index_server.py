"""A package index on loopback (PEP 691 and 503) that can be told to misbehave."""

import hashlib
import html
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
PORTAL = (
    b"<html><body><h1>Welcome!</h1><a href='/login'>Log in</a> to use this network.</body></html>"
)


@dataclass(slots=True)
class File:
    """A file of a project; *uploaded* is RFC 3339, *yanked* why it was withdrawn."""

    name: str
    data: bytes
    uploaded: str = ""
    yanked: str = ""
    sha256: str = ""

    def digest(self) -> str:
        """What the index says its hash is."""
        return self.sha256 or hashlib.sha256(self.data).hexdigest()


Answer = Callable[["_Handler"], None]


@dataclass(slots=True)
class Index:
    """*files* by project; *answers* replaces what a path (`/simple/certifi/`) is answered with.

    *now* is the clock in its answers, None for the real one.  *speaks_json* False is an old index.
    """

    url: str = ""
    files: dict[str, list[File]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    now: float | None = None
    speaks_json: bool = True
    password: str = ""
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, data: bytes, **more: str) -> File:
        """Publish the file *name* with *data*."""
        project = name.partition("-")[0].replace("_", "-")
        file = File(name, data, **more)
        self.files.setdefault(project, []).append(file)
        return file


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        """Answer a page, a file, or whatever was ordered."""
        index = self.server.index
        index.asked.append(self.path)
        if index.password and index.password not in self.headers.get("Authorization", ""):
            return self.send(b"who are you?", "text/plain", status=401)
        if self.path in index.answers:
            return index.answers[self.path](self)
        _, folder, project, *rest = self.path.split("/")
        if folder == "simple" and project in index.files:
            return self.send(*_page(index, project))
        if folder == "files":
            for file in index.files.get(project, ()):
                if file.name == rest[0]:
                    return self.send(file.data, "application/zip")
        return self.send(b"not found", "text/plain", status=404)

    def send(
        self, body: bytes, content_type: str, status: int = 200, length: int | None = None
    ) -> None:
        """One whole answer; *length* is what it claims to be long, if that is a lie."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The index's own clock."""
        now = self.server.index.now
        return super().date_time_string() if now is None else formatdate(now, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index: Index) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.index = index

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the test."""


def _page(index: Index, project: str) -> tuple[bytes, str]:
    files = index.files[project]
    if not index.speaks_json:
        anchors = "".join(
            f'<a href="/files/{project}/{file.name}#sha256={file.digest()}"'
            + (f' data-yanked="{html.escape(file.yanked)}"' if file.yanked else "")
            + f">{file.name}</a>"
            for file in files
        )
        return f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode(), "text/html"
    page: dict[str, Any] = {"meta": {"api-version": "1.1"}, "name": project, "files": []}
    for file in files:
        page["files"].append(
            {
                "filename": file.name,
                "url": f"/files/{project}/{file.name}",
                "hashes": {"sha256": file.digest()},
                "size": len(file.data),
                "yanked": file.yanked or False,
                **({"upload-time": file.uploaded} if file.uploaded else {}),
            }
        )
    return json.dumps(page).encode(), JSON_TYPE


@contextmanager
def serving() -> Iterator[Index]:
    """An empty index that listens."""
    index = Index()
    server = _Server(index)
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
