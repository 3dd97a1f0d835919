"""Durations, sizes, modes and numbers of users: text to integers."""

import re

from scratchtasks.core.target import User

from .fields import Check
from .spot import Spot, quoted

_DURATION = r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?"
_UNIT_NS = (3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000)

_SIZE = r"([0-9]{1,12}) ?(B|[KMGT]iB|[kKMGT]B)"
_UNIT_BYTES = {"B": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("kMGT", 1)
    for unit, base in (("B", 1000), ("iB", 1024))
}
_UNIT_BYTES |= {"KiB": 1024, "KB": 1000}

_OCTAL = re.compile(r"0?[0-7]{3,4}")

LARGEST_ID = 2**31 - 1
"""The largest uid or gid; Docker refuses larger ones."""

_ID = re.compile(r"0|[1-9][0-9]{0,9}")
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")
NOBODY = User("nobody", 65534, 65534)
ROOT = User("root", 0, 0)
_NAMES_OF_IDS = {65532: "nonroot", 65534: "nobody"}


def parse_duration(text: str) -> int | None:
    """Nanoseconds of `1h2m3s4ms` (any parts, in this order), or None for other text and zero."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        return None
    return sum(int(n or 0) * unit for n, unit in zip(match.groups(), _UNIT_NS, strict=True)) or None


def parse_size(text: str) -> int | None:
    """Bytes of `20MiB` or `20MB`, or None for other text and zero."""
    match = re.fullmatch(_SIZE, text)
    return int(match[1]) * _UNIT_BYTES[match[2]] or None if match else None


def parse_id(text: str) -> int | None:
    """A uid or gid from decimal *text*, or None when it is none or above LARGEST_ID."""
    number = int(text) if _ID.fullmatch(text) else -1
    return number if 0 <= number <= LARGEST_ID else None


def _duration(value: object, spot: Spot) -> int:
    nanoseconds = parse_duration(value) if isinstance(value, str) else None
    if nanoseconds is None or nanoseconds >= 2**63:
        raise spot.wanted(DURATION.wants, value)
    return nanoseconds


def _whole_seconds(value: object, spot: Spot) -> int:
    nanoseconds = parse_duration(value) if isinstance(value, str) else None
    seconds, rest = divmod(nanoseconds or 0, 1_000_000_000)
    if rest or not 1 <= seconds <= 86_400:
        raise spot.wanted(SECONDS.wants, value)
    return seconds


def _size(value: object, spot: Spot) -> int:
    size = parse_size(value) if isinstance(value, str) else None
    if size is None:
        raise spot.wanted(SIZE.wants, value)
    return size


def _mode(value: object, spot: Spot) -> int:
    if not isinstance(value, str) or not _OCTAL.fullmatch(value):
        raise spot.wanted(MODE.wants, value, "" if isinstance(value, str) else "put it in quotes")
    return int(value, 8)


def _user(value: object, spot: Spot) -> User:
    if not isinstance(value, str):
        raise spot.wanted(USER.wants, value)
    if value in ("root", "root:0", "root:0:0"):
        return ROOT
    parts = value.split(":")
    is_named = not parts[0].isdecimal()
    numbers = [parse_id(part) for part in (parts[1:] if is_named else parts)]
    if is_named and len(parts) == 1 and _USER_NAME.fullmatch(value):
        known = f'"{value}:65534"' if value == NOBODY.name else f'such as "{value}:1001"'
        raise spot.wanted(USER.wants, value, f"give the user a number, {known}")
    if not 1 <= len(numbers) <= 2 or None in numbers:
        raise spot.wanted(USER.wants, value, f"numbers go from 1 to {LARGEST_ID}")
    uid, gid = numbers[0] or 0, numbers[-1] or 0
    name = parts[0] if is_named else _NAMES_OF_IDS.get(uid, "user")
    if not _USER_NAME.fullmatch(name):
        raise spot.fault(
            f"wanted a user name, got {quoted(name)}",
            "up to 32 letters, digits, '.', '_' and '-', a letter or '_' first (POSIX)",
        )
    return _without_clash(User(name, uid, gid), spot)


def _without_clash(user: User, spot: Spot) -> User:
    asked = f'"{user.name}:{user.uid}"'
    if user.uid == 0:
        raise spot.fault(f"{asked} has root's uid 0", 'root must be asked for by name: "root"')
    if user.name == "root":
        raise spot.fault(f"{asked} has root's name", "choose another name")
    if user == NOBODY:
        return user
    for what, mine, theirs in (
        ("name", user.name, NOBODY.name),
        ("uid", user.uid, NOBODY.uid),
        ("gid", user.gid, NOBODY.gid),
    ):
        if mine == theirs:
            raise spot.fault(
                f'{asked} and "nobody:65534", which every image has, share the {what} {mine}',
                'choose another, or take "nobody:65534" itself',
            )
    return user


def _owner(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(OWNER.wants, value)
    numbers = value.split(":")
    is_pair = len(numbers) == 2 and None not in map(parse_id, numbers)
    if not is_pair and not _USER_NAME.fullmatch(value):
        raise spot.wanted(OWNER.wants, value)
    return value


DURATION = Check('a duration such as "30s", "1m30s" or "500ms"', _duration)
SECONDS = Check('whole seconds up to a day, such as "10s" or "2m"', _whole_seconds)
SIZE = Check('a size such as "20MiB" or "500kB"', _size)
MODE = Check('an octal mode such as "0644" or "1777"', _mode)
USER = Check('"name:uid", "name:uid:gid", "uid", "uid:gid" or "root"', _user)
OWNER = Check('a user name of the image or "uid:gid"', _owner)
