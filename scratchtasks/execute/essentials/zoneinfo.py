"""Time zones: the files that `TZ=Europe/Paris` is looked up in, from the pinned tzdata."""

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from scratchtasks.core.errors import StageError, did_you_mean
from scratchtasks.core.tree import check_path

from .made import Made, file_of, hardlink_of

FOLDER = "usr/share/zoneinfo"
"""Where Go, musl, glibc, libstdc++, chrono and jiff all look."""

TABLES = ("iso3166.tab", "leapseconds", "tzdata.zi", "zone.tab", "zone1970.tab", "zonenow.tab")
"""Kept when all zones are: they speak of all zones (libstdc++'s std::chrono reads tzdata.zi)."""

_MAGIC = b"TZif"  # RFC 9636, section 3.1
_OFFSET = r"[+-]?\d{1,3}(?::\d{1,2}){0,2}"
_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_RULE = rf",(?:J?\d{{1,3}}|M\d{{1,2}}\.\d\.\d)(?:/{_OFFSET})?"
_POSIX = rf"{_NAME}{_OFFSET}(?:{_NAME}(?:{_OFFSET})?(?:{_RULE}{_RULE})?)?"


def zoneinfo_tree(
    files: Mapping[str, bytes], patterns: Sequence[str], origin: str
) -> tuple[list[Made], list[str]]:
    """The zones of *files* (path below zoneinfo/ → content) that *patterns* choose, and their ids.

    Patterns are globs over whole ids, case-sensitive, `*` also matching `/`; UTC is always
    chosen.  Only TZif files outside posix/ and right/ are zones.  Zones with the same bytes are
    hard links to the first of them by name.

    Raises: StageError for a pattern that chooses nothing.
    """
    known = sorted(path for path, data in files.items() if _is_zone(path, data))
    if "UTC" not in known:
        raise StageError(origin, "has no zone UTC", "is this the folder of a tzdata?")
    ids = {"UTC"}
    for pattern in patterns:
        chosen = [zone for zone in known if fnmatchcase(zone, pattern)]
        if not chosen:
            raise StageError(
                "zoneinfo.zones", f"no zone matches {pattern!a} in {origin}", _hint(pattern, known)
            )
        ids.update(chosen)
    made: list[Made] = []
    first: dict[bytes, str] = {}
    for zone in sorted(ids):
        path = check_path(f"/{FOLDER}/{zone}", origin)
        same = first.setdefault(files[zone], path)
        made.append(
            file_of(path, files[zone], origin) if same == path else hardlink_of(path, same, origin)
        )
    if len(ids) == len(known):
        made.extend(
            file_of(f"{FOLDER}/{name}", files[name], origin) for name in TABLES if name in files
        )
    return made, sorted(ids)


def check_tz(env: Mapping[str, str], zones: Collection[str] | None, where: str) -> None:
    """Refuse an *env* of an image whose TZ names a zone file that the image lacks.

    *zones* are the staged ids, None when zoneinfo is not among the essentials.  `UTC`, an empty
    TZ and POSIX rules such as `CET-1CEST,M3.5.0,M10.5.0/3` need no file; an absolute path
    outside /usr/share/zoneinfo is the user's own file.

    Raises: StageError: programs would silently run in UTC.
    Source: POSIX.1-2024, 8.3; tzset(3).
    """
    value = env.get("TZ", "").removeprefix(":")
    zone = value.removeprefix(f"/{FOLDER}/")
    if zone in ("", "UTC") or zone.startswith("/"):
        return
    if zone in (zones or ()) or (zone == value and re.fullmatch(_POSIX, zone)):
        return
    what = f"TZ={env['TZ']!a} is not in the image"
    if zones is None:
        raise StageError(where, what, 'add "zoneinfo" to image.essentials')
    near = did_you_mean(zone, tuple(zones))
    add = f"add {zone!a} to zoneinfo.zones"
    raise StageError(where, what, f"{near} else {add}" if near.startswith("did") else add)


def _is_zone(path: str, data: bytes) -> bool:
    return data.startswith(_MAGIC) and not path.startswith(("posix/", "right/"))


def _hint(pattern: str, known: list[str]) -> str:
    near = did_you_mean(pattern, known)
    return near if near.startswith("did") else "zones are named as in Europe/Paris or Etc/GMT+1"
