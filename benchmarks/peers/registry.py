"""A registry on the loopback address, for as long as a benchmark needs it."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..process import Wrong

_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry with its data in *folder*; gives `localhost:PORT`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder, port=port))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        wait_for_http(port, "/v2/")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_http(port: int, path: str, seconds: float = 20.0) -> str:
    """The body of the first answer of 127.0.0.1:*port*.  Raises: Wrong when none comes in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            time.sleep(0.004)
        finally:
            connection.close()
    raise Wrong(f"127.0.0.1:{port}: no answer within {seconds} s")
