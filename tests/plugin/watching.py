"""`doit watch`, run beside a test."""

import subprocess
import sys
import time
from collections.abc import Callable

from tests.scenarios.workspaces import Site


class Watching:
    """`doit watch` at work, and what it has said."""

    def __init__(self, site: Site, *words: str) -> None:
        self._log = site.root.parent / "log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "doit", "watch", *words],
                cwd=site.root,
                env=site.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def rounds(self) -> int:
        """How often it has begun to wait."""
        return self.said.count("watch: watching ")

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)

    def settle(self, seconds: float = 60) -> None:
        """Until it has been waiting for a while: an edit that comes in two steps has two rounds."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 10:
            assert time.monotonic() < deadline, self.said
            before = self.said
            time.sleep(0.1)
            is_quiet = before == self.said and before.endswith("; Ctrl-C ends\n")
            quiet = quiet + 1 if is_quiet else 0
