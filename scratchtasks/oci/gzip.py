"""The one compressor of layers: gzip bytes that depend on nothing but the input.

zlib, zlib-ng and ISA-L give other bytes with another version or CPU, which would move every
image's digest; libdeflate does not look at the CPU to find matches, and its version is pinned.
The input is cut every 1 MiB and each piece is a gzip member of its own, so that pieces can be
compressed side by side and the number of threads cannot show in the result.

Source: RFC 1952, section 2.2 (a gzip file is one or more members).
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ToolchainMissing

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

CHUNK = 1 << 20
LEVEL = 5
"""What gives the sizes of `gzip -6`, which other builders use, at a quarter of its time."""
THREADS = 2
HEADER = bytes.fromhex("1f8b 08 00 00000000 00 ff")
"""Deflate, no flags, no time, no extra flags, unknown operating system."""


def compressor(compress: bool = True) -> str:
    """The identity of what makes layer bytes: part of the key of every packed layer."""
    if not compress:
        return "none"
    import deflate

    return f"deflate-{deflate.__version__}/{LEVEL}/1MiB"


class GzipWriter:
    """A stream that compresses what is written to it and gives *out* the members in order.

    Use as a context manager: leaving it writes the rest; leaving it with an exception does not.
    *out* is called in the writing thread only.  Holds at most 2 * *threads* + 2 MiB.
    """

    def __init__(self, out: Callable[[bytearray], object], threads: int = THREADS) -> None:
        self._out = out
        self._threads = threads
        self._chunk = bytearray()
        self._is_empty = True
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future[bytearray]] = deque()

    def write(self, data: bytes | memoryview) -> int:
        """Take all of *data*; returns its length.  Raises: ToolchainMissing, and as *out* does."""
        view = memoryview(data)
        while view:
            room = CHUNK - len(self._chunk)
            self._chunk += view[:room]
            view = view[room:]
            if len(self._chunk) == CHUNK:
                self._compress()
        return len(data)

    def __enter__(self) -> "GzipWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def _finish(self) -> None:
        if self._pool is None and (self._chunk or self._is_empty):
            self._out(_member(self._chunk))  # a small layer: not worth a thread
        elif self._chunk:
            self._compress()
        while self._pending:
            self._out(self._pending.popleft().result())

    def _compress(self) -> None:
        chunk, self._chunk = self._chunk, bytearray()
        self._is_empty = False
        if self._threads <= 1:
            self._out(_member(chunk))
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, "gzip")
        if len(self._pending) > self._threads:
            self._out(self._pending.popleft().result())
        self._pending.append(self._pool.submit(_member, chunk))


def _member(chunk: bytearray) -> bytearray:
    import deflate

    member = deflate.gzip_compress(chunk, LEVEL)
    if not member.startswith(HEADER):
        raise ToolchainMissing(
            f"deflate {deflate.__version__}",
            f"wanted a gzip header {HEADER.hex()}, got {member[: len(HEADER)].hex()}",
            "install the version of deflate that scratchtasks asks for",
        )
    return member
