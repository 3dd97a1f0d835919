"""What programs have answered once: asked again only when what they were asked is another thing."""

from collections.abc import Callable, Mapping
from threading import Lock

from scratchtasks.core.digest import Json, key_of

KEPT_DAYS = 30
"""Days for which something learnt is kept unused."""

REFRESH_DAYS = 7
"""Days after which a use is written down anew: not each day, for that writes it all."""

SavedProbe = tuple[str, int]
"""An answer and the day of its last use, as the stat cache keeps it."""


class Probes:
    """Answers by the key of what was asked; *saved* as the stat cache has kept them.

    *day* is today, in days since 1970.  May be used from several threads.
    """

    def __init__(self, saved: Mapping[str, SavedProbe], day: int) -> None:
        self._known = dict(saved)
        self._day = day
        self._lock = Lock()
        self._asking: dict[str, Lock] = {}
        self.is_dirty = False
        """Whether there is something to save."""

    def ask(self, key: Json, make: Callable[[], str]) -> str:
        """What *make* returned for *key* the first time, in this run or an earlier one.

        *key* must name everything that the answer depends on.  *make* is called once even if
        several threads ask; what it raises is passed on and not remembered.
        """
        name = key_of(key)
        with self._lock:
            turn = self._asking.setdefault(name, Lock())
        with turn:
            known = self._known.get(name)
            if known is None or not 0 <= self._day - known[1] < REFRESH_DAYS:
                known = (make() if known is None else known[0], self._day)
                with self._lock:
                    self._known[name] = known
                    self.is_dirty = True
        return known[0]

    def sweep(self) -> None:
        """Drop what has not been used for long."""
        with self._lock:
            self._known = {
                name: probe
                for name, probe in self._known.items()
                if abs(self._day - probe[1]) <= KEPT_DAYS
            }

    def saved(self) -> dict[str, SavedProbe]:
        """All of them, for the stat cache to keep."""
        with self._lock:
            return dict(self._known)
