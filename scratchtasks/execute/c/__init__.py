"""C, C++ and assembly, each source compiled on its own, then linked statically.

Reading order: `build.py` (compile and link), `compiler.py` (which compiler), `inputs.py` (what
those read, and what they would have read), with what `flags.py` and `mentions.py` find in text.
"""

from .build import CBuild

__all__ = ["CBuild"]
