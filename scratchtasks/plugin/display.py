"""The last lines of a terminal: what runs now, for how long, and how far the run has come.

Nothing is hidden or switched, no cursor and no screen, so that a kill leaves no broken terminal.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scratchtasks.core.errors import printable

_FRAME_SECONDS = 0.1


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data* to *fd*, waiting where it is non-blocking; a closed one is no error."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except OSError:
            return  # nobody reads any more; the run goes on


class Display:
    """Lines of text on *fd* and, where *is_live*, status lines below them.

    The status lines are redrawn by a daemon thread, ten times a second at most, and are gone
    whenever anything else is written through this object.  All methods may be called from any
    thread.
    """

    def __init__(self, fd: int, *, is_live: bool, is_colored: bool = False) -> None:
        self.is_live = is_live
        self.is_colored = is_colored
        self._fd = fd
        self._lock = threading.Lock()
        self._lines: dict[str, tuple[str, float]] = {}
        self._footer = ""
        self._drawn: list[int] = []  # cells of every status line that is on the screen
        self._is_midline = False
        self._pauses: set[str] = set()
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None

    def begin(self, key: str, text: str) -> None:
        """Show *text* with the time since now, until `end(key)`."""
        with self._lock:
            self._lines[key] = (printable(text), time.monotonic())
            if self.is_live and self._ticker is None and not self._stop.is_set():
                self._ticker = threading.Thread(target=self._tick, name="display", daemon=True)
                self._ticker.start()

    def end(self, key: str) -> None:
        """Stop showing the line *key*."""
        with self._lock:
            self._lines.pop(key, None)

    def footer(self, text: str) -> None:
        """The last status line."""
        with self._lock:
            self._footer = printable(text)

    def pause(self, key: str) -> None:
        """Keep the status lines away while somebody else writes to the terminal."""
        with self._lock:
            self._pauses.add(key)
            self._erase()

    def resume(self, key: str) -> None:
        """Undo `pause(key)`."""
        with self._lock:
            self._pauses.discard(key)

    def show(self, data: bytes) -> None:
        """Write *data* to the terminal or file, untouched and in one piece."""
        with self._lock:
            self._erase()
            if self._is_midline and self.is_live:
                write_all(self._fd, b"\n")
                self._is_midline = False
            write_all(self._fd, data)
            if self.is_live and data and not data.endswith(b"\n"):
                write_all(self._fd, b"\n")

    def print(self, text: str, write: Callable[[str], object]) -> None:
        """Hand *text* to *write*, which may end on the same terminal."""
        with self._cleared():
            write(text)
            self._is_midline = not text.endswith("\n")

    def close(self) -> None:
        """Take the status lines away for good; `show` and `print` keep working."""
        self._stop.set()
        with self._lock:
            self._erase()

    def paint(self, text: str, code: str) -> str:
        """*text* in the colour of the SGR *code*, if there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_colored else text

    @contextmanager
    def _cleared(self) -> Iterator[None]:
        with self._lock:
            self._erase()
            yield

    def _tick(self) -> None:
        while not self._stop.wait(_FRAME_SECONDS):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._stop.is_set() or self._pauses or self._is_midline:
            return
        lines = self._frame() if self._lines else []
        if lines or self._drawn:
            text = self._erasure() + "\n".join(lines)
            self._drawn = [cells(line) for line in lines]
            write_all(self._fd, text.encode("utf-8", "replace"))

    def _frame(self) -> list[str]:
        columns, rows = self._size()
        now = time.monotonic()
        oldest = sorted(self._lines.values(), key=lambda line: line[1])
        room = max(1, rows - 2)
        shown = oldest if len(oldest) <= room else oldest[: room - 1]
        lines = []
        for text, began in shown:
            tail = f"  {duration(now - began, 1)}"
            lines.append(clip(text, columns - 1 - len(tail)) + tail)
        if len(shown) < len(oldest):
            lines.append(f"and {len(oldest) - len(shown)} more")
        lines.append(self._footer)
        return [clip(line, columns - 1) for line in lines]

    def _erase(self) -> None:
        if self._drawn:
            write_all(self._fd, self._erasure().encode())
            self._drawn = []

    def _erasure(self) -> str:
        """Back to the first status line and clear; a narrowed terminal has wrapped them."""
        if not self._drawn:
            return ""
        columns, _ = self._size()
        rows = sum(max(1, -(-width // columns)) for width in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + "\x1b[J"

    def _size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            return 80, 24
        return columns or 80, rows or 24


def duration(seconds: float, digits: int = 2) -> str:
    """*seconds* for people: `1.24 s`, `2 min 05 s`."""
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def cells(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def clip(text: str, columns: int) -> str:
    """*text*, cut to *columns*."""
    if cells(text) <= columns:
        return text
    kept, room = "", columns - 1
    for character in text:
        room -= _width(character)
        if room < 0:
            break
        kept += character
    return (kept + "…")[: max(0, columns)]


def _width(character: str) -> int:
    import unicodedata

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
