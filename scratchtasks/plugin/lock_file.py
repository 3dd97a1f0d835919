"""scratch.lock on disk: read once, and replaced whole."""

import os
from collections.abc import Mapping

from scratchtasks.config.lockfile import parse_lockfile
from scratchtasks.core.errors import ConfigError
from scratchtasks.core.target import Pin
from scratchtasks.store.atomic import write_atomic

from .switches import LOCK


class LockFile:
    """scratch.lock of the workspace at *root* (absolute), as it is when this is made; *name* is
    that of another file in its stead.

    Raises: ConfigErrors for one that is damaged or of a newer scratchtasks.
    """

    def __init__(self, root: str, name: str = LOCK) -> None:
        # Through a link: several workspaces may share one, and each would get its own.
        self._path = os.path.realpath(os.path.join(root, name))
        self.text = self._read()
        self.pins = None if self.text is None else parse_lockfile(self.text)

    def with_pins(self, pins: Mapping[str, Pin]) -> str:
        """The text that pins *pins*, comments kept; held against the parser once more."""
        from scratchtasks.config.lock_text import rewrite_lockfile  # for the few who write one

        text = rewrite_lockfile(self.text, pins)
        assert parse_lockfile(text) == dict(pins)
        return text

    def check(self) -> None:
        """Raises: ConfigError if somebody has changed it meanwhile."""
        if self._read() != self.text:
            raise ConfigError(LOCK, "was changed while refresh ran", "run it again")

    def write(self, text: str) -> None:
        """Put *text* in its place, on the disk for good.  Raises: StoreError."""
        write_atomic(self._path, text.encode(), sync=True)

    def _read(self) -> str | None:
        try:
            with open(self._path, encoding="utf-8", newline="") as file:
                return file.read()
        except FileNotFoundError:
            return None
