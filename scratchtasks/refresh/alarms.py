"""What must not disappear without somebody's word: zones, roots and files that services name."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from scratchtasks.core.target import Service

from .proposal import Alarm
from .roots import Root, has_root

_GLOB = frozenset("*?[")
_ZONEINFO = "/usr/share/zoneinfo/"


def zone_alarms(
    services: Iterable[Service], old: Collection[str], new: Collection[str]
) -> Iterator[Alarm]:
    """An Alarm for each zone id of *old* that some service names and that *new* lacks.

    Names are `[zoneinfo] zones` (a glob alarms when nothing is left that it matches) and `TZ` in
    the image's environment.
    """
    gone = set(old) - set(new)
    for service in services:
        if "zoneinfo" not in service.image.essentials:
            continue
        where = service.origin or service.name
        for number, pattern in enumerate(service.zones):
            place = f"{where}: zoneinfo.zones[{number}]"
            if not _GLOB & set(pattern):
                if pattern in gone:
                    yield Alarm(place, f"zone {pattern} is gone")
            elif _matches(pattern, old) and not _matches(pattern, new):
                yield Alarm(place, f"no zone matches {pattern} any more")
        zone = service.image.env.get("TZ", "").removeprefix(":").removeprefix(_ZONEINFO)
        if zone and zone in gone:
            yield Alarm(f"{where}: image.env.TZ", f"zone {zone} is gone")


def root_alarms(
    services: Iterable[Service], old: Sequence[Root] | None, new: Sequence[Root]
) -> Iterator[Alarm]:
    """An Alarm for each root that is in *old* and not in *new* although some service requires it.

    `[certs] require` has what `has_root` understands.  Without *old* all of them count as having
    been there.
    """
    for service in services:
        if "certs" not in service.image.essentials:
            continue
        for number, name in enumerate(service.certs.require):
            if (old is None or has_root(old, name)) and not has_root(new, name):
                where = f"{service.origin or service.name}: certs.require[{number}]"
                yield Alarm(where, f"root {name} is gone")


def _matches(pattern: str, zones: Collection[str]) -> bool:
    return any(fnmatchcase(zone, pattern) for zone in zones)
