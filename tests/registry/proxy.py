"""A reverse proxy that counts requests, and breaks those that it is told to break."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    """A request as it came in; *size* is the bytes of its body."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass
class Fault:
    """What is done to requests that *when* picks, the first *times* of them.

    *after* lets that many body bytes through before the connection is cut; *status* answers
    instead of the registry; *half* lets that many bytes of the answer's body through; *deaf*
    cuts the connection when the registry has answered; *drips* has its answer come byte by byte,
    so many seconds apart; *change* rewrites the headers of the registry's answer; *unread* passes
    on the request as one without a body, then the answer, and closes with the body unread.
    *act* is called first, or when what comes before a cut has gone through.
    """

    when: Callable[[Seen], bool]
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: int | None = None
    deaf: bool = False
    half: int | None = None
    drips: float = 0
    unread: bool = False
    change: Callable[[dict[str, str]], dict[str, str]] | None = None
    act: Callable[[], object] | None = None


class Proxy(ThreadingHTTPServer):
    """Stands before the registry *upstream*; a `serving` block's."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.upstream = upstream
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.unread: list[int] = []
        """Statuses of the answers to requests whose bodies nobody read."""
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def count(self, *methods: str) -> int:
        return sum(seen.method in methods for seen in self.seen)

    def fault_for(self, seen: Seen) -> Fault | None:
        with self.lock:
            self.seen.append(seen)
            for fault in self.faults:
                if fault.times and fault.when(seen):
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are the point here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_any(self) -> None:
        size = int(self.headers["Content-Length"] or 0)
        seen = Seen(self.command, self.path, dict(self.headers), size)
        fault = self.server.fault_for(seen)
        if fault and fault.act and fault.after is None:
            fault.act()
        if fault and fault.status:
            self.rfile.read(size)
            self._answer(fault.status, dict(fault.headers), fault.body)
            return
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=20)
        try:
            self._forward(upstream, size, fault)
        finally:
            upstream.close()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def _forward(
        self, upstream: http.client.HTTPConnection, size: int, fault: Fault | None
    ) -> None:
        if fault and fault.unread:
            size = 0
            self.headers.replace_header("Content-Length", "0")
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders()
        left = size if fault is None or fault.after is None else min(size, fault.after)
        while left:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                return  # the client is gone
            upstream.send(piece)
            left -= len(piece)
        if fault and fault.after is not None:
            if fault.act:
                fault.act()
            self._cut()
            return
        answer = upstream.getresponse()
        body = answer.read()
        if fault and fault.deaf:
            self._cut()
            return
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if fault and fault.drips:
            self._drip(answer.status, headers, fault.drips)
            return
        if fault and fault.half is not None:
            self._answer(answer.status, {**headers, "content-length": str(len(body))}, body,
                         fault.half)  # fmt: skip
            self._cut()
            return
        if fault and fault.unread:
            self.server.unread.append(answer.status)
            self.close_connection = True
        self._answer(answer.status, fault.change(headers) if fault and fault.change else headers,
                     body)  # fmt: skip

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, most: int | None = None
    ) -> None:
        self.send_response_only(status)
        length = headers.pop("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if most is None else body[:most])

    def _drip(self, status: int, headers: dict[str, str], pause: float) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        for byte in f"HTTP/1.1 {status} OK\r\n{head}\r\n".encode():
            self.wfile.write(bytes([byte]))
            time.sleep(pause)
        self.close_connection = True

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on a test's terminal."""
