"""What urllib3's connections lack: an end to patience, and no trust in half an answer.

Imported only where a connection is made: `http.client` takes long to import.
"""

import http.client
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_TICK = 0.1
"""Seconds between two looks at the clock and at whether all is over."""


class TooSlow(TimeoutError):
    """The answer had not come to its end when patience had."""


class Deadline(threading.Thread):
    """Cuts off the connection at *sock* once *is_cancelled*, or after its `end`, unless `cancel`
    was called before.

    *end* is on the monotonic clock.  A flag is looked at, for signal handlers can set one safely.
    """

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        super().__init__(name="deadline", daemon=True)
        self.sock: Any = None
        self.end = math.inf
        self.has_passed = False
        self._is_cancelled = is_cancelled
        self._is_over = threading.Event()

    def cancel(self) -> None:
        """The answer has come to its end."""
        self._is_over.set()

    def run(self) -> None:
        while not self._is_over.wait(_TICK):
            if self.sock is not None and (time.monotonic() >= self.end or self._is_cancelled()):
                self._cut()
                return

    def _cut(self) -> None:
        self.has_passed = True
        try:
            # Not SSLSocket's: that one takes the TLS state away under the reading thread.
            # TLS in a proxy's TLS is no socket, but has one.
            sock: socket.socket = getattr(self.sock, "socket", self.sock)
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was quicker


class Bounded:
    """A connection whose answer is cut off when it takes too long, however steadily it drips.

    Mixed into urllib3's; *seconds* are from the first byte awaited until the answer's `deadline`
    is cancelled, *idle* is how long the other side may take nothing of what is sent, and all ends
    when *is_cancelled*.  Who reads the answer has to ask its deadline whether it `has_passed`:
    where the end of the connection is the end of the answer, a part looks like the whole.
    """

    seconds: float
    idle: float
    is_cancelled: Callable[[], bool]
    sock: Any
    timeout: Any
    _deadline: Deadline | None = None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        # urllib3 would send under the timeout for connecting: too short for a disk that is busy.
        self.sock.settimeout(self.idle)
        if self._deadline is not None:  # TLS connects before there is a request
            self._deadline.sock = self.sock

    def request(self, *args: Any, **options: Any) -> None:
        self._deadline = deadline = Deadline(type(self).is_cancelled)
        if self.sock is not None:
            self.timeout = self.idle  # which urllib3 gives to the socket now
            deadline.sock = self.sock
        # No thread can be had at the end of Python 3.12.0 and 3.12.1, where tags that a Ctrl-C has
        # left half moved are put back, nor where no process may be started: then *idle* has to do.
        with suppress(RuntimeError):
            deadline.start()
        try:
            super().request(*args, **options)  # type: ignore[misc]
        except BaseException:
            deadline.cancel()
            raise

    def getresponse(self) -> Any:
        """Raises: TooSlow, and what urllib3's does."""
        # It has the socket by now: http.client forgets it if the answer ends with its connection.
        deadline = self._deadline
        assert deadline is not None
        deadline.end = time.monotonic() + self.seconds
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
