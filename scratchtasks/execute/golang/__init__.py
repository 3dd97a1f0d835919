"""Go binaries: `go list` tells exactly what one is made of, one `go build` makes many.

Start with `list.py`; `build.py` builds what it found.
"""

from .build import GoBuild
from .list import GoList

__all__ = ["GoBuild", "GoList"]
