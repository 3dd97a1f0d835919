"""C, C++ and assembly, each source compiled on its own, then linked statically.

Reading order: `build.py` (link), `objects.py` (compile), `compiler.py` (with what), `inputs.py`
(what those read, and what they would have read); `flags.py` and `mentions.py` find that in text.
"""

from .build import CBuild

__all__ = ["CBuild"]
