"""Images of a small server, and what it answers."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("server.go")


def compile_server(out: Path) -> bytes:
    """`server.go` as a static program."""
    command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(out), str(SOURCE)]
    subprocess.run(
        command, check=True, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    )
    return out.read_bytes()


def said_at(port: int, host: str = "127.0.0.1", seconds: float = 20) -> str:
    """The line that is answered to HTTP at *port* of *host*, once somebody does."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                if answer.status == 200 and (line := answer.read()):
                    return line.decode().strip()
            except (OSError, http.client.HTTPException):
                pass
        assert time.monotonic() < deadline, f"nobody answers at {host}:{port}"
        time.sleep(0.05)


def free_port() -> int:
    """A port of loopback that nobody listens at now."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port: int = any_socket.getsockname()[1]
        return port
