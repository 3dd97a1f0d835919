"""Servers that say what they are told to say, byte by byte if need be, or nothing at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def saying(answer: bytes, pause: float = 0, at_once: int = 0) -> Iterator[str]:
    """Whoever connects and asks gets *answer*; gives the `host:port`.

    With a *pause* (seconds), all but the first *at_once* bytes drip one by one.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()
    pieces = [answer[:at_once], *(bytes([byte]) for byte in answer[at_once:])]

    def drip(client: socket.socket) -> None:
        with client:
            try:
                client.recv(4096)
                for piece in pieces if pause else [answer]:
                    client.sendall(piece)
                    if over.wait(pause):
                        return
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=drip, args=(client,)))
            threads[-1].start()

    threads = [threading.Thread(target=serve)]
    threads[0].start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in list(threads):
            thread.join()


@contextmanager
def silent() -> Iterator[tuple[str, list[bytes]]]:
    """Whoever connects is never answered; gives the `host:port` and what each began with."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    heard: list[bytes] = []
    clients: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            heard.append(client.recv(4096))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for client in clients:
            client.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """A `host:port` that takes no connection and does not refuse it: its queue is full."""
    with socket.socket() as deaf, ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"
