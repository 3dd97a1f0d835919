"""The checking toolkit: a Check reads one value, a Field is a key with its Check and its manual.

Leaf checks raise ConfigError.  Checks of arrays and tables go on after a fault, keep it in the
Spot and raise an empty ConfigErrors at the end, so that a file's faults come out all at once.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from scratchtasks.core.errors import ConfigError, ConfigErrors, did_you_mean
from scratchtasks.core.frozen import dataclass

from .spot import Spot, quoted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """How a value is read: *wants* names one such value in errors and manual, *many* several.

    *read* returns the checked value, or raises ConfigError.
    """

    wants: str
    read: Callable[[object, Spot], T]
    many: str = ""

    @property
    def plural(self) -> str:
        return self.many or self.wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a table: how its value is read, and its line in the reference.

    *default* is the default as TOML or in words; *wrong* is a value whose error the reference
    shows; *attribute* is the name in the core type, when it is not the key.
    """

    key: str
    check: Check[Any]
    meaning: str
    wrong: object
    default: str = ""
    required: bool = False
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Values:
    """The checked values of a table by attribute, and the keys whose values were refused."""

    good: Mapping[str, Any]
    faulty: frozenset[str] = frozenset()

    def is_sure(self, *keys: str) -> bool:
        """Whether none of *keys* was refused: only then can they be compared with others."""
        return self.faulty.isdisjoint(keys)


def attempt(check: Check[T], value: object, spot: Spot) -> T | None:
    """*value* as *check* reads it, or None after its faults were kept."""
    try:
        return check.read(value, spot)
    except ConfigError as error:
        spot.keep(error)
        return None


def read_fields(
    value: object, spot: Spot, fields: tuple[Field, ...], hint: Callable[[str], str] | None = None
) -> Values:
    """The values of table *value*; unknown and missing keys and bad values are kept as faults.

    *hint* gives the hint for an unknown key; by default the nearest key of *fields*.
    """
    if not isinstance(value, Mapping):
        spot.keep(spot.wanted("a table", value))
        return Values({}, frozenset(field.key for field in fields))
    known = {field.key: field for field in fields}
    good: dict[str, Any] = {}
    faulty: set[str] = set()
    for key, raw in value.items():
        field = known.get(key) if isinstance(key, str) else None
        if field is None:
            spot.keep(_unknown_key(key, spot, hint or near_key(tuple(known))))
            continue
        read = attempt(field.check, raw, spot.key(key))
        if read is None:
            faulty.add(key)
        else:
            good[field.attribute or key] = read
    for field in fields:
        if field.required and field.key not in value:
            spot.keep(spot.key(field.key).fault(f"missing (wanted {field.check.wants})"))
            faulty.add(field.key)
    return Values(good, frozenset(faulty))


def near_key(known: tuple[str, ...]) -> Callable[[str], str]:
    """A hint for read_fields: the key of *known* nearest to the unknown one."""
    return lambda key: did_you_mean(key, known)


def _unknown_key(key: object, spot: Spot, hint: Callable[[str], str]) -> ConfigError:
    if not isinstance(key, str):
        return spot.wanted("string keys", key)
    near = "" if spot.is_full else hint(key[:80])
    return ConfigError(spot.origin, f"unknown key '{spot.key(key).path}'", near)


def record(fields: tuple[Field, ...], make: Callable[..., T], wants: str = "a table") -> Check[T]:
    """A table with exactly the keys of *fields*, given to *make* by attribute."""

    def read(value: object, spot: Spot) -> T:
        values = values_or_raise(value, spot, fields)
        return make(**values)

    return Check(wants, read, "tables")


def values_or_raise(
    value: object,
    spot: Spot,
    fields: tuple[Field, ...],
    hint: Callable[[str], str] | None = None,
) -> Mapping[str, Any]:
    """read_fields for tables that are useless unless whole.

    Raises: ConfigErrors, empty because the faults were already kept.
    """
    before = len(spot.faults)
    values = read_fields(value, spot, fields, hint)
    if len(spot.faults) > before:
        raise ConfigErrors(())
    return values.good


def array(of: Check[T], *, is_full: bool = False, is_set: bool = False) -> Check[tuple[T, ...]]:
    """An array of *of*; a full one is not empty, in a set no value may be there twice.

    Python's tuples count as arrays.
    """
    wants = f"an array of {of.plural}"

    def read(value: object, spot: Spot) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise spot.wanted(wants, value, _in_brackets(of, value, spot))
        if is_full and not value:
            raise spot.wanted(f"{wants}, at least one", value)
        before = len(spot.faults)
        items: list[T] = []
        first: dict[T, int] = {}
        for index, raw in enumerate(value):
            item = attempt(of, raw, spot.item(index))
            if item is None:
                continue
            if is_set and first.setdefault(item, index) != index:
                spot.keep(spot.item(index).fault(f"the same as {spot.item(first[item]).path}"))
            items.append(item)
        if len(spot.faults) > before:
            raise ConfigErrors(())
        return tuple(items)

    return Check(wants, read)


def _in_brackets(of: Check[Any], value: object, spot: Spot) -> str:
    """The hint for a lone string that would do as the array's only item."""
    if not isinstance(value, str):
        return ""
    aside = Spot(spot.origin, spot.path, spot.folder)
    return f"write [{quoted(value)}]" if attempt(of, value, aside) is not None else ""


def mapping(keys: Check[str], of: Check[T]) -> Check[Mapping[str, T]]:
    """A table with free keys, each read by *keys*, and values read by *of*."""
    wants = f"a table of {of.plural}"

    def read(value: object, spot: Spot) -> Mapping[str, T]:
        if not isinstance(value, Mapping):
            raise spot.wanted(wants, value)
        before = len(spot.faults)
        read_items: dict[str, T] = {}
        for raw_key, raw in value.items():
            key = attempt(keys, raw_key, spot)
            if key is None:
                continue
            if isinstance(raw, Mapping):
                hint = f"a name with dots is written in quotes: {_first_dotted(key, raw)}"
                spot.keep(spot.key(key).wanted(of.wants, raw, hint))
                continue
            item = attempt(of, raw, spot.key(key))
            if item is not None:
                read_items[key] = item
        if len(spot.faults) > before:
            raise ConfigErrors(())
        return read_items

    return Check(wants, read)


def _first_dotted(key: str, value: Mapping[Any, object]) -> str:
    inner = next((name for name in value if isinstance(name, str)), "name")
    return quoted(f"{key}.{inner}")


def _text(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        hint = "put it in quotes" if isinstance(value, int | float) else ""
        raise spot.wanted("a string", value, hint)
    if "\0" in value:
        raise spot.fault("wanted a string without NUL characters")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise spot.fault("wanted valid Unicode, got half a surrogate pair")
    return value


def _boolean(value: object, spot: Spot) -> bool:
    if not isinstance(value, bool):
        raise spot.wanted("true or false", value)
    return value


TEXT = Check("a string", _text, "strings")
BOOLEAN = Check("true or false", _boolean)


def integer(least: int, most: int) -> Check[int]:
    """An integer from *least* to *most*, both included."""
    wants = f"an integer from {least} to {most}"

    def read(value: object, spot: Spot) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise spot.wanted(wants, value)
        return value

    return Check(wants, read)


def matching(wants: str, pattern: str, *, many: str = "", hint: str = "") -> Check[str]:
    """A string that *pattern* matches as a whole; *hint* goes with every refusal."""

    def read(value: object, spot: Spot) -> str:
        # Compiled when it is used first: most services use few of all the keys there are.
        if not isinstance(value, str) or not re.fullmatch(pattern, _text(value, spot)):
            raise spot.wanted(wants, value, hint)
        return value

    return Check(wants, read, many)


def one_of(noun: str, words: tuple[str, ...]) -> Check[str]:
    """One of *words*; anything else is an unknown *noun*."""
    wants = "one of " + ", ".join(quoted(word) for word in words)

    def read(value: object, spot: Spot) -> str:
        if not isinstance(value, str):
            raise spot.wanted(wants, value)
        if value not in words:
            raise spot.fault(f"unknown {noun} {quoted(value)}", spot.near(value[:80], words))
        return value

    return Check(wants, read, f"{noun}s ({', '.join(words)})")
