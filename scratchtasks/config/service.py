"""service.toml: its field table, and how tables become a Service."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from scratchtasks.core.errors import ConfigError, did_you_mean
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import ESSENTIALS, Binary, Certs, Image, Service, Smoke, User

from .binary import BINARIES, EVERY_BINARY, RULES, Draft
from .document import parse_toml
from .fields import Check, Field, Values, attempt, read_fields
from .image import (
    CERTS,
    CERTS_TABLE,
    HOSTS,
    HOSTS_TABLE,
    IMAGE,
    PUSH,
    PUSH_TABLE,
    SMOKE,
    SMOKE_TABLE,
    ZONEINFO,
    ZONEINFO_TABLE,
)
from .names import SERVICE_NAME
from .paths import FOLDER
from .quantities import NOBODY, ROOT
from .spot import Spot, quoted
from .workspace import WorkspaceDefaults

_DEFAULT_USER = User("nonroot", 65532, 65532)

SERVICE = (
    Field(key="name", check=SERVICE_NAME, default="the folder's name", wrong="My API",
          meaning="names the tasks, `dist/NAME` and the loaded image"),
    Field(key="binary", check=BINARIES, default="none: then `entrypoint` must be given",
          wrong="go_binary", meaning="`[binary]`, or `[[binary]]` for each of several"),
    Field(key="image", check=Check("a table", lambda v, s: _read_image(v, s)), default="{}",
          wrong=[], meaning="what is in the image besides binaries, and how it runs"),
    Field(key="certs", check=CERTS_TABLE, default="{}", wrong=True, meaning="CA certificates"),
    Field(key="zoneinfo", check=ZONEINFO_TABLE, default="{}", wrong="UTC",
          meaning="time zones"),
    Field(key="hosts", check=HOSTS_TABLE, default="{}", wrong=[], meaning="/etc/hosts"),
    Field(key="smoke", check=SMOKE_TABLE, default="none", wrong=True,
          meaning="how `smoke:NAME` tries the finished image out"),
    Field(key="push", check=PUSH_TABLE, default="none", wrong="registry.example.com/api",
          meaning="where the image goes"),
)  # fmt: skip

TABLES: Mapping[str, tuple[Field, ...]] = {
    "": SERVICE,
    "image": IMAGE,
    "binary": EVERY_BINARY + tuple(f for rule in RULES.values() for f in rule.fields),
    "certs": CERTS,
    "zoneinfo": ZONEINFO,
    "hosts": HOSTS,
    "smoke": SMOKE,
    "push": PUSH,
}
"""Every table of service.toml by name, the top level under ""; the first home of a key counts."""


def parse_service(
    text: str, *, origin: str, folder: str, defaults: WorkspaceDefaults, host: Platform
) -> Service:
    """The service that service.toml *text* declares, every default filled in.

    *origin* is the file, for messages; *folder* is where it lies, relative to the workspace root,
    "" for the root; *host* is the platform of images that name none.

    Raises: ConfigErrors with every fault of the file, in file order.
    """
    tables = parse_toml(text, origin)
    return service_from_tables(tables, origin=origin, folder=folder, defaults=defaults, host=host)


def service_from_tables(
    tables: Mapping[str, object],
    *,
    origin: str,
    folder: str,
    defaults: WorkspaceDefaults,
    host: Platform,
) -> Service:
    """parse_service for tables that are parsed already, by the same checks."""
    spot = Spot(origin)
    place = attempt(FOLDER, folder, spot.key("folder")) or ""
    spot = replace(spot, folder=place)
    values = read_fields(tables, spot, SERVICE, _hint_for(""))
    top = values.good
    image: Values = top.get("image", Values({}))
    name = _name(values, spot)
    binaries = _binaries(top.get("binary", ()), name, spot)
    made = _image(image, binaries, defaults, host)
    if values.is_sure("binary"):
        _check_runs(image, binaries, spot.key("image"))
    _check_owners(image, made.user, spot.key("image"))
    _check_effect(tables, image, made, spot)
    certs = _certs(top.get("certs", {}), defaults, spot)
    if not certs.public and not certs.extra:
        hint = 'to do without, leave "certs" out of image.essentials'
        spot.keep(spot.key("certs").fault("neither public nor extra: nothing is trusted", hint))
    smoke = _smoke(top.get("smoke"), image, spot.key("smoke"))
    if "push" in top and top["push"].smoke and values.is_sure("smoke") and smoke is None:
        spot.keep(spot.key("push").key("smoke").fault("there is no [smoke] to pass"))
    spot.raise_if_faulty()
    zoneinfo = top.get("zoneinfo", {})
    if defaults.zone_source is not None:
        zoneinfo = {"zone_source": defaults.zone_source, **zoneinfo}
    rest = {key: top[key] for key in ("hosts", "push") if key in top}
    return Service(
        name=name,
        folder=place,
        binaries=binaries,
        image=made,
        certs=certs,
        smoke=smoke,
        origin=origin,
        **zoneinfo,
        **rest,
    )


def _certs(given: Mapping[str, Any], defaults: WorkspaceDefaults, spot: Spot) -> Certs:
    if "source" in given and given.get("public") is False:
        what = "has no effect: certs.public is false"
        spot.keep(spot.key("certs").key("source").fault(what))
    fallback = {} if defaults.roots_source is None else {"source": defaults.roots_source}
    # What must be trusted everywhere must be trusted here.
    require = tuple(dict.fromkeys([*defaults.require, *given.get("require", ())]))
    return Certs(**{**fallback, **given, "require": require})


def _read_image(value: object, spot: Spot) -> Values:
    return read_fields(value, spot, IMAGE, _hint_for("image"))


def _hint_for(table: str) -> Callable[[str], str]:
    def hint(key: str) -> str:
        own = did_you_mean(key, tuple(field.key for field in TABLES[table]))
        if own.startswith("did"):
            return own
        homes: dict[str, str] = {}
        for home, fields in TABLES.items():
            for field in fields:
                homes.setdefault(field.key, f"[{home}]" if home else "the top, before any [table]")
        if key in homes:
            return f"'{key}' belongs into {homes[key]}"
        elsewhere = did_you_mean(key, tuple(homes))
        if elsewhere.startswith("did"):
            nearest = elsewhere.split("'")[1]
            return f"{elsewhere} it belongs into {homes[nearest]}"
        return own

    return hint


def _name(values: Values, spot: Spot) -> str:
    if not values.is_sure("name") or "name" in values.good:
        return str(values.good.get("name", ""))
    last = spot.folder.rpartition("/")[2]
    if not last:
        spot.keep(spot.key("name").fault("missing (wanted a name, for there is no folder's)"))
        return ""
    try:
        return SERVICE_NAME.read(last, Spot(spot.origin))
    except ConfigError:
        what = f"missing, and the folder's name {quoted(last)} cannot stand in"
        spot.keep(spot.key("name").fault(what, f"wanted {SERVICE_NAME.wants}"))
        return ""


def _binaries(drafts: tuple[Draft, ...], name: str, spot: Spot) -> tuple[Binary, ...]:
    binaries = tuple(draft.finish(name) for draft in drafts)
    first: dict[tuple[str, str], str] = {}
    for draft, binary in zip(drafts, binaries, strict=True):
        for key, value in (("name", binary.name), ("dest", binary.dest)):
            other = first.setdefault((key, value), draft.path)
            if other != draft.path:
                where = Spot(spot.origin, f"{draft.path}.{key}")
                what = f"{quoted(value)} is the {key} of {other} too"
                spot.keep(where.fault(what, "give each binary a name of its own"))
                break
    return binaries


def _image(
    image: Values, binaries: tuple[Binary, ...], defaults: WorkspaceDefaults, host: Platform
) -> Image:
    given = dict(image.good)
    given["env"] = {**defaults.env, **given.get("env", {})}
    given["labels"] = {**defaults.labels, **given.get("labels", {})}
    fallback = {
        "user": defaults.user or _DEFAULT_USER,
        "platforms": defaults.platforms or (host,),
        "essentials": ESSENTIALS if defaults.essentials is None else defaults.essentials,
        "entrypoint": (binaries[0].dest,) if binaries else (),
    }
    return Image(**{**fallback, **given})


def _check_runs(image: Values, binaries: tuple[Binary, ...], spot: Spot) -> None:
    if not image.is_sure("entrypoint", "cmd"):
        return
    if "entrypoint" not in image.good:
        if not binaries:
            hint = "a [binary], or image.entrypoint for an image of files only"
            spot.keep(spot.key("entrypoint").fault("missing, and there is no [binary]", hint))
    elif not image.good["entrypoint"]:
        cmd = image.good.get("cmd", ())
        if not cmd:
            spot.keep(spot.key("entrypoint").fault("empty, and so is cmd: nothing would run"))
        elif not cmd[0].startswith("/"):
            wants = "an absolute path, as there is no entrypoint"
            spot.keep(spot.key("cmd").item(0).wanted(wants, cmd[0]))


def _check_owners(image: Values, user: User, spot: Spot) -> None:
    if not image.is_sure("user"):
        return
    known = tuple(dict.fromkeys((user.name, NOBODY.name, ROOT.name)))
    for key in ("files", "dirs"):
        for index, entry in enumerate(image.good.get(key, ())):
            if entry.owner and ":" not in entry.owner and entry.owner not in known:
                where = spot.key(key).item(index).key("owner")
                hint = spot.near(entry.owner, known)
                spot.keep(where.fault(f"unknown user {quoted(entry.owner)}", hint))


def _check_effect(tables: Mapping[str, object], image: Values, made: Image, spot: Spot) -> None:
    if not image.is_sure("essentials"):
        return
    for essential in ("certs", "zoneinfo", "hosts"):
        if tables.get(essential) and essential not in made.essentials:
            what = f"has no effect: image.essentials leave out {quoted(essential)}"
            spot.keep(spot.key(essential).fault(what))


def _smoke(smoke: Smoke | None, image: Values, spot: Spot) -> Smoke | None:
    if smoke is None or not smoke.http_path or smoke.http_port or not image.is_sure("ports"):
        return smoke
    for port in image.good.get("ports", ()):
        number, _, protocol = port.partition("/")
        if protocol == "tcp":
            return replace(smoke, http_port=int(number))
    spot.keep(spot.key("http_port").fault("missing, and image.ports has no tcp port"))
    return smoke
