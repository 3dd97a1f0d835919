"""Images of a small server, and what it answers."""

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
    """The line that is answered at *port* of *host*, once somebody does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                if line := connection.makefile().readline():
                    return line.strip()
        except OSError:
            pass
        assert time.monotonic() < deadline, f"nobody answers at {host}:{port}"
        time.sleep(0.05)


def free_port() -> int:
    """A port of loopback that nobody listens at now."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port: int = any_socket.getsockname()[1]
        return port
