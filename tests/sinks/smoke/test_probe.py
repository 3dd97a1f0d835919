"""What the probe makes of an answer, and of none."""

import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from scratchtasks.sinks.smoke.probe import ask


def asked(answer: bytes | None, hosts: tuple[str, ...] = ("127.0.0.1",)) -> str:
    """What is found out about a server that sends *answer*, or nothing until we give up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                if answer is None:
                    connection.recv(1)
                with suppress(ConnectionError):  # who has read enough has gone
                    for byte in answer or b"":
                        connection.sendall(bytes((byte,)))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return ask(hosts, server.getsockname()[1], "/health", 0.5)
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "200"),
        (b"HTTP/1.0 204 \r\n\r\n", "204"),
        (b"HTTP/1.1 404\r\n\r\n", "404"),
        (b"HTTP/1.1 200 OK\n\n", "200"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 302 Found\r\n\r\n", "302"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "no answer"),
        (b"SSH-2.0-server\r\n", "an answer that is not HTTP"),
        (b"", "no answer"),
    ],
)
def test_an_answer(answer: bytes, status: str) -> None:
    assert asked(answer) == status


def test_a_server_that_never_answers_is_told_of_and_no_other_address() -> None:
    assert asked(None, ("127.0.0.2", "127.0.0.1", "::1")) == "timed out"


LOOKS = """
import os, time
from scratchtasks.sinks.smoke.sandbox import Sandbox
looks, fork = [], os.fork
os.fork = lambda: looks.append(time.monotonic()) or fork()
sandbox = Sandbox({"probe": [80, "/", 200], "patterns": ["", "ready"], "files": []}, -1)
sandbox._answers += b"answer: 200\\n"
began = time.monotonic()
while time.monotonic() < began + 0.5:
    assert not sandbox._is_done(began + 60)
sandbox._output["stderr"] += b"ready\\n"
while not sandbox._is_done(began + 60):
    pass
print(len(looks))
"""


def test_patterns_are_not_looked_for_after_each_piece_of_output() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOKS], check=True, stdout=subprocess.PIPE, text=True
    )
    assert 2 <= int(done.stdout) <= 7  # after 0, 10, 20, 50, 100, 200 and 200 ms
