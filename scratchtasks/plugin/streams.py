"""Standard streams that are closed, or that nobody reads any more."""

import os
import signal
import sys
from typing import Any, TextIO


def open_closed() -> None:
    """Open /dev/null for each standard stream that was closed (`doit >&- 2>&-`).

    What is opened next would get its number: a blob in the place of stderr takes messages, and
    compilers inherit it.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(fd)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
                mode = "w" if fd else "r"
                stream = open(fd, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)


def end_with_reader() -> None:
    """Let this process end when nobody reads its standard output any more, as `head` ends others.

    For what may end anywhere.  Where output is captured in this process nothing is changed.
    """
    if sys.stdout is sys.__stdout__ and signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def discard(stream: TextIO) -> None:
    """Send what is written to *stream*, whose reader is gone, nowhere from now on."""
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


class Unread:
    """*stream* for what goes on without its reader: `doit clean | head` cleans all."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write *text*, as long as anybody reads it."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
