"""A server that says what it is told to say, byte by byte if need be, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
