"""When to try again, after how long, and when to give up.

Source: RFC 9110, section 10.2.3 (Retry-After).
"""

import random
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from scratchtasks.core.errors import SinkError

from .errors import RegistryError
from .transport import Limits

T = TypeVar("T")
Access = Literal["pull", "push"]
_TIMEOUT_TRIES = 2
_LONGEST_BACKOFF = 10.0
_TICK = 0.1


class Patience:
    """Pauses between attempts, for all threads; `cancel` ends every pause and begins no more.

    A flag is looked at, for `cancel` may come from a signal handler, which must take no lock;
    *is_over* is another such flag.
    """

    def __init__(
        self,
        limits: Limits,
        access: Access = "push",
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._limits = limits
        self._access = access
        self._is_over = is_over
        self._has_cancelled = False
        self._persists = False

    @property
    def is_cancelled(self) -> bool:
        """Whether all that has begun is to end."""
        return not self._persists and (self._has_cancelled or self._is_over())

    def cancel(self) -> None:
        """From now on the next failure is final."""
        self._has_cancelled = True

    def persist(self) -> None:
        """From now on `cancel` counts for nothing: what begins now is finished, or undone.

        Raises: SinkError when `cancel` was called before.
        """
        self.check()
        self._persists = True

    def relent(self) -> None:
        """Nothing is half done any more: `cancel` counts again."""
        self._persists = False

    def check(self) -> None:
        """Raises: SinkError once `cancel` was called."""
        if self.is_cancelled:
            raise SinkError(self._access, "interrupted", "run it again: it continues where it was")

    def pause(self, failure: RegistryError, tries: int, most: int | None = None) -> None:
        """Wait before the try that follows the *tries* (at least 1) that have failed, of *most*
        (Limits.attempts).

        Raises: *failure* itself when it is not transient, or tries enough; RegistryError when the
        registry asks for a longer pause than Limits.wait; SinkError when cancelled.
        """
        self.check()
        limits = self._limits
        allowed = limits.attempts if most is None else most
        if failure.is_timeout:
            allowed = min(allowed, _TIMEOUT_TRIES)
        if not failure.is_transient or tries >= allowed:
            raise failure
        seconds = min(limits.backoff * 2 ** (tries - 1), _LONGEST_BACKOFF)
        # Threads that failed together must not come back together.
        seconds *= random.uniform(0.5, 1)  # noqa: S311
        if failure.retry_after is not None:
            if failure.retry_after > limits.wait:
                raise RegistryError(
                    failure.where,
                    f"{failure.what}; it asks to wait {failure.retry_after:.0f} s",
                    "try again later",
                    status=failure.status,
                    codes=failure.codes,
                )
            seconds = max(seconds, failure.retry_after)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
            self.check()

    def insist(self, attempt: Callable[[], T], tries: int | None = None) -> T:
        """The result of *attempt*, made up to *tries* times (Limits.attempts).

        Raises: what `pause` raises.
        """
        failed = 0
        while True:
            try:
                return attempt()
            except RegistryError as failure:
                failed += 1
                self.pause(failure, failed, tries)


def retry_after_of(header: str) -> float | None:
    """The seconds a Retry-After *header* asks for, from now on; None when it says nothing."""
    from email.utils import parsedate_to_datetime

    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return None
