"""A socket in front of an engine that counts what goes through, and can hold or cut it."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_REQUEST = re.compile(rb"(GET|POST|DELETE|HEAD|PUT) /(?:v[0-9.]+/)?(\S*) HTTP/1.1\r\n")


class Relay:
    """*requests* (`GET images/x/json`) and *sent* bytes that came from the client so far.

    *on_load*, if set, is called with the number of loads before, ahead of each load, and *on_tag*
    with the number of tags before, ahead of each tag.
    After *stop_after* bytes from the client nothing more goes to the engine; *is_held* is set.
    """

    def __init__(self, engine: str) -> None:
        self.requests: list[str] = []
        self.sent = 0
        self.on_load: Callable[[int], None] | None = None
        self.on_tag: Callable[[int], None] | None = None
        self.stop_after = -1
        self.is_held = threading.Event()
        self._loads = self._tags = 0
        self._engine = engine
        self._open: list[socket.socket] = []

    def loads(self) -> int:
        """How many archives were sent."""
        return sum(request.startswith("POST images/load") for request in self.requests)

    def serve(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections until *listener* is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                ours = tls.wrap_socket(client, server_side=True) if tls else client
            except OSError:
                client.close()
                continue
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            self._open += [ours, engine]
            for pump in (self._up, self._down):
                threading.Thread(target=pump, args=(ours, engine), daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _up(self, client: socket.socket, engine: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                request = _REQUEST.match(data)
                if request:
                    self._saw(f"{request[1].decode()} {request[2].decode()}")
                self.sent += len(data)
                if 0 <= self.stop_after < self.sent:
                    self.is_held.set()
                    continue
                engine.sendall(data)
            engine.shutdown(socket.SHUT_WR)

    def _saw(self, request: str) -> None:
        self.requests.append(request)
        if request.startswith("POST images/load"):
            if self.on_load is not None:
                self.on_load(self._loads)
            self._loads += 1
        if request.startswith("POST ") and "/tag?" in request:
            if self.on_tag is not None:
                self.on_tag(self._tags)
            self._tags += 1

    def _down(self, client: socket.socket, engine: socket.socket) -> None:
        with suppress(OSError):
            while data := engine.recv(1 << 16):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def relay(folder: Path, engine_host: str) -> Iterator[tuple[str, Relay]]:
    """A Relay before the engine at `unix://…`, and its own DOCKER_HOST."""
    path = folder / "relay.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    with serving(listener, engine_host) as it:
        yield f"unix://{path}", it
    path.unlink()


@contextmanager
def serving(
    listener: socket.socket, engine_host: str, tls: ssl.SSLContext | None = None
) -> Iterator[Relay]:
    """A Relay that accepts on *listener*."""
    it = Relay(engine_host.removeprefix("unix://"))
    listener.listen()
    thread = threading.Thread(target=it.serve, args=(listener, tls), daemon=True)
    thread.start()
    try:
        yield it
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        it.close()
