"""scratch.lock: Pins to TOML and back, the same text for the same pins."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.target import Pin

from .document import parse_toml
from .fields import (
    Check,
    Field,
    attempt,
    integer,
    mapping,
    matching,
    one_of,
    read_fields,
    values_or_raise,
)
from .names import IMAGE_REFERENCE
from .spot import Spot, quoted

FORMAT = 1
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
_RESTORE = "restore it from git, or delete it: `doit refresh` writes it anew"
HEADER = """\
# Every fetched input, held to exact bytes.  Written by scratchtasks: commit it, do not edit it.
version = 1
"""

_NAME = matching("a name of lower-case letters, digits and '-'", r"[a-z0-9]+(-[a-z0-9]+)*")
_KINDS = ("pypi", "image", "debian", "machine", "toolchain")
_PREFIXED: Mapping[str, Check[str]] = {
    "image": IMAGE_REFERENCE,
    "debian": _NAME,
    "machine": matching("an absolute path", r"(/[!-~]+)+"),
}
"""How names go on after the kind and a colon; other kinds have the plain names of projects."""

_SHA256 = matching("64 lower-case hex digits", r"[0-9a-f]{64}", many="SHA-256 hashes")
_FILENAME = matching("a file name", r"[0-9A-Za-z_][0-9A-Za-z._+!~-]{0,199}")

PIN = (
    Field(key="version", required=True, wrong="../1",
          check=matching("a version", r"[0-9A-Za-z_][0-9A-Za-z.+!_~:-]{0,127}"),
          meaning="upstream's version"),
    Field(key="kind", check=one_of("kind of source", _KINDS), default='"pypi"', wrong="git",
          meaning="the sort of source; names of `image`, `debian` and `machine` begin with it"),
    Field(key="filename", default="none", wrong="../certifi.whl", meaning="upstream's file name",
          check=_FILENAME),
    Field(key="sha256", required=True, wrong="73191C", meaning="hash of the whole file, or of "
          "what `sha256sum` prints of all `wheels`", check=_SHA256),
    Field(key="size", check=integer(1, 2**40), required=True, wrong=0, meaning="bytes"),
    Field(key="date", default="unknown", wrong="18.10.2026", meaning="day of the release",
          check=matching("a day such as \"2026-10-18\"", r"[0-9]{4}-[0-9]{2}-[0-9]{2}")),
    Field(key="wheels", default="none", wrong={"go.zip": "73191C"},
          meaning="of a compiler from PyPI: the hash of each wheel by its file name, one a line",
          check=mapping(_FILENAME, _SHA256)),
)  # fmt: skip


def parse_lockfile(text: str, origin: str = "scratch.lock") -> Mapping[str, Pin]:
    """The pins of scratch.lock by name, sorted.

    Raises: ConfigErrors with every fault; a file of a newer scratchtasks is one of them.
    """
    if _CONFLICT.search(text):
        what = "holds the marks of a merge conflict"
        hint = "settle them table by table: either side of one is whole"
        raise ConfigErrors((ConfigError(origin, what, hint),))
    tables = parse_toml(text, origin, _RESTORE)
    spot = Spot(origin)
    version = tables.get("version")
    if isinstance(version, int) and version > FORMAT:
        hint = "written by a newer scratchtasks: update yours"
        raise ConfigErrors((spot.key("version").wanted(f"version {FORMAT}", version, hint),))
    head = (
        Field(key="version", check=integer(FORMAT, FORMAT), required=True, wrong=0, meaning=""),
    )
    pins = tables.get("pins", {})
    read_fields({key: value for key, value in tables.items() if key != "pins"}, spot, head)
    read: dict[str, Pin] = {}
    if isinstance(pins, Mapping):
        for name, value in pins.items():
            pin = _read_pin(name, value, spot.key("pins"))
            if pin is not None:
                read[name] = pin
    else:
        spot.keep(spot.key("pins").wanted("a table", pins))
    spot.raise_if_faulty()
    return dict(sorted(read.items()))


def _read_pin(name: str, value: object, pins: Spot) -> Pin | None:
    spot = pins.key(name)
    kind, colon, rest = name.partition(":")
    own = _PREFIXED.get(kind) if colon else None
    known = attempt(own or _NAME, rest if own else name, spot)
    try:
        pin = Pin(name=name, **values_or_raise(value, spot, PIN))
        wanted = [kind] if own else [each for each in _KINDS if each not in _PREFIXED]
        if pin.kind not in wanted:
            words = " or ".join(quoted(each) for each in wanted)
            raise spot.key("kind").fault(f"wanted {words} for this name, got {quoted(pin.kind)}")
        if pin.filename and not _is_file_of(pin):
            wants = f"a {'package' if pin.kind == 'debian' else 'wheel'} of {name} {pin.version}"
            raise spot.key("filename").wanted(wants, pin.filename)
        if pin.kind == "debian" and not pin.filename:
            raise spot.key("filename").fault("missing (wanted the package's file name)")
        _check_wheels(pin, spot)
    except ConfigError as error:
        spot.keep(error)
        return None
    return pin if known else None


def _check_wheels(pin: Pin, spot: Spot) -> None:
    for name in pin.wheels:
        if pin.kind != "toolchain" or not _is_file_of(replace(pin, filename=name)):
            wants = f"wheels of {pin.name} {pin.version}, a toolchain"
            raise spot.key("wheels").wanted(wants, name)
    listed = toolchain_bytes(pin.wheels)
    digest = hashlib.sha256(listed).hexdigest()
    if pin.wheels and (pin.sha256, pin.size) != (digest, len(listed)):
        raise spot.key("wheels").fault(
            f"digest mismatch: sha256 says {pin.sha256}, what is listed gives {digest}",
            "edited by hand? take the table from one commit, or delete it and run `doit refresh`",
        )


def _is_file_of(pin: Pin) -> bool:
    if pin.kind == "debian":
        start = f"{pin.name.partition(':')[2]}_{pin.version.partition(':')[2] or pin.version}_"
        return pin.filename.startswith(start) and pin.filename.endswith(".deb")
    project, _, rest = pin.filename.partition("-")
    is_same = re.sub(r"[._]", "-", project).lower() == pin.name
    return is_same and rest.startswith(f"{pin.version}-") and rest.endswith(".whl")


def format_lockfile(pins: Mapping[str, Pin]) -> str:
    """*pins* as the text of scratch.lock, sorted by name; `parse_lockfile` is its inverse."""
    tables = (
        "\n" + "".join(f"{line}\n" for line in pin_lines(pins[name])) for name in sorted(pins)
    )
    return HEADER + "".join(tables)


def pin_lines(pin: Pin) -> list[str]:
    """The table of *pin*, its header first."""
    name = pin.name if _BARE.fullmatch(pin.name) else quoted(pin.name, longest=len(pin.name))
    lines = [f"[pins.{name}]"]
    for field in PIN:
        value = getattr(pin, field.key)
        if isinstance(value, Mapping):
            lines += [f'{field.key}."{each}" = "{value[each]}"' for each in sorted(value)]
        elif value != "":
            shown = value if isinstance(value, int) else quoted(value, longest=len(value))
            lines.append(f"{field.key} = {shown}")
    return lines


def toolchain_bytes(wheels: Mapping[str, str]) -> bytes:
    """What a pin of kind `toolchain` holds to account: sha256 (hex) by file name, all wheels."""
    return "".join(f"{wheels[name]}  {name}\n" for name in sorted(wheels)).encode()
