"""What urllib3's connections lack: an end to patience, and no trust in half an answer.

Imported only where a connection is made: `http.client` takes long to import.
"""

import http.client
import socket
import threading
from typing import Any


class Bounded:
    """A connection whose answer is cut off when it takes too long, however steadily it drips.

    Mixed into urllib3's; *seconds* are from the first byte awaited until the answer's `deadline`
    is cancelled.
    """

    seconds: float
    sock: socket.socket | None

    def getresponse(self) -> Any:
        # Taken now: of an answer that ends with its connection, the response alone holds it on.
        timer = threading.Timer(self.seconds, _cut, (self.sock,))
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()  # type: ignore[misc]
        except BaseException:
            timer.cancel()
            raise
        response.deadline = timer
        return response


def _cut(connection: Any) -> None:
    # TLS in a proxy's TLS is no socket, but has one.
    sock = getattr(connection, "socket", connection)
    if sock is not None:
        try:
            # Not SSLSocket's: that one takes the TLS state away under the reading thread.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was quicker


class WholeHead(http.client.HTTPResponse):
    """An answer whose headers came to their end.

    The standard library takes a connection that is lost between two headers for the end of all:
    `201 Created` would be believed of a registry that died while it said so.
    """

    def begin(self) -> None:
        """Read status and headers.  Raises: http.client.IncompleteRead when they are cut."""
        lines = _Lines(self.fp)
        self.fp: Any = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = lines.file
        if lines.last not in (b"\r\n", b"\n"):
            self.close()
            raise http.client.IncompleteRead(lines.last)


class _Lines:
    """A file read by lines that remembers the last one."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def close(self) -> None:
        self.file.close()
