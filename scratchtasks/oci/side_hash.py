"""Hashing beside the work: a second core takes it over, for hashlib releases the GIL."""

import hashlib
from queue import Queue
from threading import Thread
from types import TracebackType

from scratchtasks.core.digest import Digest

_PIECE = 256 * 1024
"""Bytes that are worth handing to another thread; less is gathered."""

_DEPTH = 2
"""Pieces that may wait; a piece is what the writer gave, 512 KiB for a large file."""


class SideHash:
    """The sha256 of everything given to `update`; use as a context manager, which ends its thread.

    What fits in one piece never needs a thread.  Unless it *is_aside*, nothing does: where all
    cores have work of their own, handing over only costs.
    """

    def __init__(self, *, is_aside: bool = True) -> None:
        self._is_aside = is_aside
        self._sha256 = hashlib.sha256()
        self._pending = bytearray()
        self._queue: Queue[bytes | None] = Queue(_DEPTH)
        self._thread: Thread | None = None

    def __enter__(self) -> "SideHash":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._join()

    def update(self, data: bytes) -> None:
        """Take *data* in."""
        if not self._is_aside:
            self._sha256.update(data)
            return
        if len(self._pending) + len(data) < _PIECE:
            self._pending += data
            return
        if self._pending:
            self._give(bytes(self._pending))
            self._pending = bytearray()
        self._give(data)

    def digest(self) -> Digest:
        """Of all that was taken in; nothing more may come."""
        self._join()
        self._sha256.update(self._pending)
        self._pending = bytearray()
        return Digest("sha256:" + self._sha256.hexdigest())

    def _give(self, data: bytes) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="sha256", daemon=True)
            self._thread.start()
        self._queue.put(data)

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            self._sha256.update(data)

    def _join(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
