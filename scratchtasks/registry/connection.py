"""What urllib3's connections lack: an end to patience, and no trust in half an answer.

Imported only where a connection is made: `http.client` takes long to import.
"""

import http.client
import socket
import threading
from typing import Any


class TooSlow(TimeoutError):
    """The answer had not come to its end when patience had."""


class Deadline(threading.Timer):
    """Cuts *connection* off after *seconds*, unless it is cancelled before."""

    def __init__(self, seconds: float, connection: Any) -> None:
        super().__init__(seconds, self._cut)
        self.daemon = True
        self.has_passed = False
        # TLS in a proxy's TLS is no socket, but has one.
        self._sock: socket.socket | None = getattr(connection, "socket", connection)

    def _cut(self) -> None:
        self.has_passed = True
        if self._sock is not None:
            try:
                # Not SSLSocket's: that one takes the TLS state away under the reading thread.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was quicker


class Bounded:
    """A connection whose answer is cut off when it takes too long, however steadily it drips.

    Mixed into urllib3's; *seconds* are from the first byte awaited until the answer's `deadline`
    is cancelled, *idle* is how long the other side may take nothing of what is sent.  Who reads
    the answer has to ask its deadline whether it `has_passed`: where the end of the connection is
    the end of the answer, a part looks like the whole.
    """

    seconds: float
    idle: float
    sock: Any
    timeout: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        # urllib3 would send under the timeout for connecting: too short for a disk that is busy.
        self.sock.settimeout(self.idle)

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            self.timeout = self.idle  # which urllib3 gives to the socket now
        super().request(*args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Raises: TooSlow, and what urllib3's does."""
        # The socket is taken now: http.client forgets it if the answer ends with its connection.
        deadline = Deadline(self.seconds, self.sock)
        deadline.start()
        try:
            response = super().getresponse()  # type: ignore[misc]
        except BaseException:
            deadline.cancel()
            if deadline.has_passed:
                raise TooSlow from None
            raise
        response.deadline = deadline
        return response


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
