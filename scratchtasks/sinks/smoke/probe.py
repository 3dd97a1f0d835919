"""Asking a program over HTTP how it is; how much of it is kept, and how many there may be.

What the two ways have in common: `engine.py` imports it, and `sandbox.py`, part of a program.  So
it imports the standard library only.
Source: RFC 9110, section 15.2.
"""

import re
import socket
import time
from collections.abc import Sequence

KEPT = 1 << 20
"""Bytes of each output stream that are kept, from its end."""

PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds between two probes, growing: a program may print a line for each; or between two looks at
what it has printed."""

MOST_PROCESSES = 8192
"""Processes and threads in a trial: a program that starts itself again and again ends there."""

_CONNECT = 0.25
"""Seconds for a connection on this machine.  One that is asked for just when a sandbox's loopback
comes up is lost, and the kernel would ask again after a whole second."""

_INTERIM = re.compile(rb"HTTP/1\.1 1(?!01)[0-9]{2}\b")


def keep(tail: bytearray, chunk: bytes) -> None:
    """Append *chunk* to *tail*, and let go of what is more than KEPT bytes from its end."""
    tail += chunk
    if len(tail) > 2 * KEPT:
        del tail[:-KEPT]


def ask(hosts: Sequence[str], port: int, path: str, seconds: float) -> str:
    """The status of `GET path` at the first of *hosts* that answers HTTP, or why none does.

    Redirects are not followed.  *seconds* bound each try.
    """
    reason = ""
    for host in hosts:
        line = None
        try:
            patience = min(seconds, _CONNECT)
            with socket.create_connection((host, port), timeout=patience) as connection:
                line = b""
                connection.settimeout(seconds)
                request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
                connection.sendall(f"{request}User-Agent: smoke\r\n\r\n".encode())
                line = _status_line(connection, time.monotonic() + seconds)
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            if line is not None:
                return said  # somebody is there: waiting at another address would hide that
            reason = reason or said
            continue
        match = re.fullmatch(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?\r?", line)
        if match:
            return match[1].decode()
        # Docker's proxy takes a connection before anybody listens, and drops it.
        reason = "an answer that is not HTTP" if line else "no answer"
    return reason


def _status_line(connection: socket.socket, deadline: float) -> bytes:
    """The first line of the answer, without those that only announce one (`103 Early Hints`)."""
    data = b""
    while True:
        line, end, _ = data.partition(b"\n")
        if end and _INTERIM.match(line) is None:
            return line
        _, end, rest = data.partition(b"\r\n\r\n")
        if end:
            data = rest
            continue
        if len(data) >= 4096:
            return line
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        chunk = connection.recv(4096)
        if not chunk:
            return line
        data += chunk
