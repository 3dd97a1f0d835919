"""What one night proposes: pins that move, what that means, and what stands against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Pin

from .roots import Expiring, RootsDiff
from .zones import ZonesDiff


@dataclass(frozen=True, slots=True)
class Move:
    """A pin that moves; *why* is in words for people.

    *old* is None for one that held already without being in scratch.lock.
    """

    old: Pin | None
    new: Pin
    why: str = ""

    @property
    def is_moved(self) -> bool:
        """Whether other bytes are pinned, and not only more is known of the same."""
        return self.old is not None and self.old.sha256 != self.new.sha256


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that an image ships or names would be gone: *where* names it, *what* is lost."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of the image of service *name*.

    *old* and *new* are its digests, "" while not known, and *unknown* is why in words.  *reasons*
    say why it gets a new one, or may unless that *is_sure*; they are empty for an image that stays
    byte-identical.
    """

    name: str
    reasons: tuple[str, ...] = ()
    old: str = ""
    new: str = ""
    unknown: str = ""
    is_sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """All of it; *roots* and *zones* by the name of their source.

    *notes* are news that move nothing (a release that waits, what cannot be compared).
    """

    moves: tuple[Move, ...] = ()
    roots: Mapping[str, RootsDiff] = field(default_factory=dict)
    zones: Mapping[str, ZonesDiff] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()
    images: tuple[Fate, ...] = ()
    expiring: tuple[Expiring, ...] = ()
    notes: tuple[str, ...] = ()
    is_new_lock: bool = False

    @property
    def is_news(self) -> bool:
        """Whether scratch.lock is to be rewritten."""
        return self.is_new_lock or bool(self.moves)

    @property
    def affected(self) -> tuple[str, ...]:
        """Names of the services whose images get a new digest, or may."""
        return tuple(image.name for image in self.images if image.reasons)


def pins_after(pins: Mapping[str, Pin], moves: tuple[Move, ...]) -> Mapping[str, Pin]:
    """*pins* with *moves* applied."""
    return {**pins, **{move.new.name: move.new for move in moves}}
