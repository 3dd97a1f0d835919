"""Spans: stretches of work on one thread, told to whoever wants to know where the time goes."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

from .digest import Json
from .frozen import dataclass

Kind = Literal["analyze", "scan", "layer", "export", "upload", "load", "up", "remember"]


@dataclass(frozen=True, slots=True)
class Span:
    """Work called *name*, from *began* to *ended* (`time.monotonic()`, in seconds).

    *facts* say what was found out about it: sizes in bytes, digests, counts; never a secret.
    """

    kind: Kind
    name: str
    began: float
    ended: float
    facts: Mapping[str, Json]


OnSpan = Callable[[Span], None]
"""Told of each span when it ends, on the thread that did the work."""


def span(
    tell: OnSpan | None, kind: Kind, name: str, **facts: Json
) -> AbstractContextManager[dict[str, Json]]:
    """Tell of the work done inside `with`; more *facts* can be added to the dict that it gives.

    Free of charge while nobody listens (*tell* is None).  Work that raises is told too, with the
    name of the exception's class as `error`.
    """
    return nullcontext(facts) if tell is None else _timed(tell, kind, name, facts)


def counted(chunks: Iterable[bytes], facts: dict[str, Json]) -> Iterator[bytes]:
    """*chunks* as they are; `bytes` in *facts* says how many bytes they had so far."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        facts["bytes"] = size
        yield chunk


@contextmanager
def _timed(
    tell: OnSpan, kind: Kind, name: str, facts: dict[str, Json]
) -> Iterator[dict[str, Json]]:
    began = time.monotonic()
    try:
        yield facts
    except BaseException as error:
        facts["error"] = type(error).__name__
        raise
    finally:
        tell(Span(kind, name, began, time.monotonic(), facts))
