"""POSIX TZ rules such as `CET-1CEST,M3.5.0,M10.5.0/3`: what holds after a TZif file's last date."""

import re

from scratchtasks.core.frozen import dataclass

_DAY = 86400
_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"([+-]?)(\d{1,3})(?::(\d{1,2}))?(?::(\d{1,2}))?"
_STANDARD = re.compile(rf"({_NAME}){_TIME}")
_SUMMER = re.compile(rf"({_NAME})(?:{_TIME})?")
_DATE = re.compile(rf"(?:M(\d{{1,2}})\.(\d)\.(\d)|(J?)(\d{{1,3}}))(?:/{_TIME})?")
_TWO = 7200


class MalformedRule(ValueError):
    """A text that is no POSIX TZ rule."""


@dataclass(frozen=True, slots=True)
class Date:
    """A day of every year and the seconds after its midnight, local time.

    *kind* M: *month*, *week* (5 is the last), *day* of the week (0 is Sunday).  J: *day* from 1,
    29 February is never counted.  N: *day* from 0, it is.
    """

    kind: str
    month: int
    week: int
    day: int
    seconds: int

    def of_year(self, year: int) -> int:
        """Its moment in *year*, in seconds since 1970 as if local time were UTC."""
        first = days_before_year(year)
        if self.kind == "J":
            leap_day = is_leap(year) and self.day >= 60
            return (first + self.day - 1 + leap_day) * _DAY + self.seconds
        if self.kind == "N":
            return (first + self.day) * _DAY + self.seconds
        start = first + sum(_month_lengths(year)[: self.month - 1])
        # 1970-01-01 was a Thursday, which is day 4.
        ahead = (self.day - (start + 4)) % 7
        day = ahead + 7 * (self.week - 1)
        if day >= _month_lengths(year)[self.month - 1]:
            day -= 7
        return (start + day) * _DAY + self.seconds


@dataclass(frozen=True, slots=True)
class Rule:
    """Offsets in seconds east of UTC; without *start* there is standard time all year."""

    standard: int
    summer: int = 0
    start: Date | None = None
    end: Date | None = None

    def changes(self, year: int) -> list[tuple[int, int]]:
        """The (moment, offset from then on) of the changes that belong to *year*, in order.

        Moments are UTC seconds since 1970.  Where summer time ends as the next begins (it holds
        all year), the beginning comes last.
        """
        if self.start is None or self.end is None:
            return []
        begins = self.start.of_year(year) - self.standard, 1, self.summer
        ends = self.end.of_year(year) - self.summer, 0, self.standard
        return [(moment, offset) for moment, _, offset in sorted((begins, ends))]

    def offset_at(self, moment: int) -> int:
        """The offset at *moment* (UTC seconds since 1970)."""
        if self.start is None or self.end is None:
            return self.standard
        year = year_of(moment)
        # A change may fall into the year before or after its own, by time zone or by `/167`.
        changes: list[tuple[int, int, int]] = []
        for each in (year - 1, year, year + 1):
            changes.append((self.start.of_year(each) - self.standard, 1, self.summer))
            changes.append((self.end.of_year(each) - self.summer, 0, self.standard))
        before = [change for change in sorted(changes) if change[0] <= moment]
        return before[-1][2]


def parse_rule(text: str) -> Rule:
    """The rule that *text* writes.

    Raises: MalformedRule.
    Source: POSIX.1-2024, 8.3 (TZ); RFC 9636, section 3.3.1 (hours up to 167, signed).
    """
    zone, *dates = text.split(",")
    standard = _STANDARD.match(zone)
    if standard is None or len(dates) not in (0, 2):
        raise MalformedRule(text)
    offset = -_seconds(*standard.groups()[1:])
    rest = zone[standard.end() :]
    if not rest:
        if dates:
            raise MalformedRule(text)
        return Rule(offset)
    summer = _SUMMER.fullmatch(rest)
    if summer is None or not dates:
        raise MalformedRule(text)
    ahead = offset + 3600 if summer[3] is None else -_seconds(*summer.groups()[1:])
    return Rule(offset, ahead, _date(dates[0], text), _date(dates[1], text))


def is_leap(year: int) -> bool:
    """Whether *year* (Gregorian) has 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_before_year(year: int) -> int:
    """Days from 1970-01-01 to the first day of *year*, negative before 1970."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 - 719162


def year_of(moment: int) -> int:
    """The year (UTC) of *moment*, in seconds since 1970."""
    day = moment // _DAY
    year = 1970 + day // 365
    while days_before_year(year) > day:
        year -= 1
    while days_before_year(year + 1) <= day:
        year += 1
    return year


def _date(text: str, whole: str) -> Date:
    match = _DATE.fullmatch(text)
    if match is None:
        raise MalformedRule(whole)
    month, week, weekday, julian, day = match.groups()[:5]
    time = match.groups()[5:]
    seconds = _TWO if time[1] is None else _seconds(*time)
    if month is not None:
        found = Date("M", int(month), int(week), int(weekday), seconds)
        is_sound = 1 <= found.month <= 12 and 1 <= found.week <= 5 and found.day <= 6
    else:
        found = Date("J" if julian else "N", 0, 0, int(day), seconds)
        is_sound = (1 if julian else 0) <= found.day <= 365
    if not is_sound:
        raise MalformedRule(whole)
    return found


def _seconds(sign: str | None, hours: str, minutes: str | None, seconds: str | None) -> int:
    total = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return -total if sign == "-" else total


def _month_lengths(year: int) -> list[int]:
    return [31, 29 if is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
