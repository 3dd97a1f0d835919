"""Where and when a job runs."""

import re
import zlib

from scratchtasks.core.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """*root* is the workspace's absolute folder, *doit* the absolute path of the doit to run.

    *name* names the job; *branch* is where refreshed locks go; *tools* are folders of compilers.
    """

    root: str
    doit: str
    name: str
    branch: str = "scratch-refresh"
    tools: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """A PATH with *tools*, which a scheduler's own need not have: Go installs itself aside."""
        return ":".join(dict.fromkeys((*self.tools, "/usr/local/bin", "/usr/bin", "/bin")))

    @property
    def minute(self) -> int:
        """A minute of its own for each workspace: indexes are spared a crowd at full hours."""
        return 1 + zlib.crc32(self.name.encode()) % 59

    @property
    def slug(self) -> str:
        """*name* as file and job names may be: letters, digits and single dashes."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].strip("-") or "scratch"
