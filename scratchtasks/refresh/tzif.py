"""TZif files: the moments at which a zone's offset changes, read without zoneinfo or the disk."""

import struct
from bisect import bisect_right
from itertools import pairwise

from scratchtasks.core.errors import StageError
from scratchtasks.core.frozen import dataclass

from .posix_tz import MalformedRule, Rule, parse_rule, year_of

_HEADER = struct.Struct(">4sc15x6I")
_MAGIC = b"TZif"


@dataclass(frozen=True, slots=True)
class Zone:
    """Offsets are seconds east of UTC, moments UTC seconds since 1970.

    From moments[i] on offsets[i] holds; before the first, *earliest*; after the last (not at it),
    *rule* if there is one.
    """

    moments: tuple[int, ...]
    offsets: tuple[int, ...]
    earliest: int
    rule: Rule | None = None

    def offset_at(self, moment: int) -> int:
        """The offset at *moment*."""
        index = bisect_right(self.moments, moment)
        if self.rule is not None and moment > (self.moments[-1] if self.moments else moment - 1):
            return self.rule.offset_at(moment)
        return self.offsets[index - 1] if index else self.earliest

    def changes(self, since: int, until: int) -> list[int]:
        """Every moment from *since* to *until*, both included, at which the offset may change."""
        found = [moment for moment in self.moments if since <= moment <= until]
        # Files were seen whose rule disagrees with their last moment.
        first = max([since, *(moment + 1 for moment in self.moments[-1:])])
        # The year of a moment is counted up to: one that is far ahead would take minutes.
        if self.rule is not None and first <= until:
            found.append(first)
            for year in range(year_of(first) - 1, year_of(until) + 2):
                found += [at for at, _ in self.rule.changes(year) if first <= at <= until]
        return found


def parse_tzif(data: bytes, where: str) -> Zone:
    """The zone in *data*, of version 1 to 4; *where* is for messages.

    Leap seconds are left out of account: they do not move offsets.

    Raises: StageError for what is no sound TZif file.
    Source: RFC 9636, section 3.
    """
    try:
        zone = _parse(data)
    except (struct.error, IndexError, MalformedRule, UnicodeDecodeError) as error:
        reason = "cut short" if isinstance(error, struct.error) else str(error)[:80]
        raise StageError(where, f"is no sound TZif file ({reason})") from None
    return zone


def _parse(data: bytes) -> Zone:
    version, counts = _head(data, 0)
    if version == b"\0":
        return _block(data, 0, counts, 4)[0]
    if version < b"2":
        raise IndexError(f"version {version!r}")
    second = _HEADER.size + _length(counts, 4)  # the first block is for older readers
    _, counts = _head(data, second)
    zone, end = _block(data, second, counts, 8)
    footer = data[end:]
    if footer[:1] != b"\n" or b"\n" not in footer[1:]:
        raise IndexError("no footer")
    text = footer[1:].partition(b"\n")[0].decode("ascii")
    rule = parse_rule(text) if text else None
    return Zone(zone.moments, zone.offsets, zone.earliest, rule)


def _head(data: bytes, start: int) -> tuple[bytes, tuple[int, ...]]:
    magic, version, *counts = _HEADER.unpack_from(data, start)
    if magic != _MAGIC:
        raise IndexError("no TZif at its beginning")
    return version, tuple(counts)


def _length(counts: tuple[int, ...], width: int) -> int:
    ut, standard, leap, times, types, chars = counts
    return times * width + times + types * 6 + chars + leap * (width + 4) + standard + ut


def _block(data: bytes, start: int, counts: tuple[int, ...], width: int) -> tuple[Zone, int]:
    _, _, _, times, types, _ = counts
    at = start + _HEADER.size
    end = at + _length(counts, width)
    if end > len(data):
        raise IndexError("cut short")
    if not types:
        raise IndexError("no offset at all")
    moments = struct.unpack_from(f">{times}{'q' if width == 8 else 'i'}", data, at)
    at += times * width
    numbers = data[at : at + times]
    at += times
    offsets = [struct.unpack_from(">i", data, at + 6 * number)[0] for number in range(types)]
    if any(later <= sooner for sooner, later in pairwise(moments)):
        raise IndexError("its moments are not in order")
    return Zone(moments, tuple(offsets[number] for number in numbers), offsets[0]), end
