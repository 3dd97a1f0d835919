"""Standard output, where it is not for people alone: what was pushed or refreshed, resolved
manifests."""

import errno
import os
import sys

from scratchtasks.store.atomic import storage_error


def write_output(text: str) -> None:
    """Write *text* to standard output, as UTF-8.

    A user's task on another thread may have doit take `sys.stdout` for itself meanwhile.

    Raises: StoreError when it takes nothing: it is closed, its disk is full, its reader gone.
    """
    try:
        if sys.__stdout__ is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sys.__stdout__.buffer.write(text.encode())
        sys.__stdout__.buffer.flush()
    except OSError as error:
        sys.stdout = None  # what it still holds would fail once more at the interpreter's end
        raise storage_error("standard output", error) from None
