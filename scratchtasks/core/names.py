"""How folder listings are filtered, so that a new README does not look like a new source."""

from functools import lru_cache


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> tuple[tuple[str, ...], frozenset[str], tuple[str, ...]]:
    parts = [part for part in pattern.split("|") if part]
    suffixes = tuple(p for p in parts if p.startswith("."))
    excluded = tuple(p[1:] for p in parts if p.startswith("!"))
    exact = frozenset(p for p in parts if not p.startswith((".", "!")))
    return suffixes, exact, excluded


def is_match(name: str, pattern: str) -> bool:
    """Whether an Input of kind `names` with *pattern* sees an entry called *name*.

    `*` sees everything; otherwise suffixes (`.go`), exact names (`go.mod`) and exclusions by
    suffix (`!_test.go`), separated by `|`.
    """
    if pattern == "*":
        return True
    suffixes, exact, excluded = _parsed(pattern)
    if name in exact:
        return True
    return name.endswith(suffixes) and not (excluded and name.endswith(excluded))
