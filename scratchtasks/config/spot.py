"""Where a value stands in a file, and how faults and values are put into words."""

import re
from collections.abc import Mapping
from dataclasses import field

from scratchtasks.core.errors import ConfigError, ConfigErrors, did_you_mean
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Genrule

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60
_MOST = 20
"""Faults of a file that are told; nobody reads on, and a hint takes longer than a check."""


@dataclass(frozen=True, slots=True)
class Spot:
    """The value at TOML path *path* of *origin*; *faults* is shared by all spots of one file.

    *folder* is what relative paths are relative to, itself relative to the workspace root.
    """

    origin: str
    path: str = ""
    folder: str = ""
    faults: list[ConfigError] = field(default_factory=list, compare=False)

    @property
    def where(self) -> str:
        return f"{self.origin}: {self.path}" if self.path else self.origin

    def key(self, name: str) -> "Spot":
        """The spot of key *name* in this table; quoted where TOML wants quotes."""
        word = name if _BARE_KEY.fullmatch(name) else quoted(name)
        path = f"{self.path}.{word}" if self.path else word
        return Spot(self.origin, path, self.folder, self.faults)

    def item(self, index: int) -> "Spot":
        """The spot of element *index* of this array, counted from 0."""
        return Spot(self.origin, f"{self.path}[{index}]", self.folder, self.faults)

    def fault(self, what: str, hint: str = "") -> ConfigError:
        """The error that says *what* is wrong here; to be raised, or kept with `keep`."""
        return ConfigError(self.where, what, hint)

    def wanted(self, wants: str, value: object, hint: str = "") -> ConfigError:
        """The error for a *value* that is not what *wants* says."""
        return self.fault(f"wanted {wants}, got {shown(value)}", hint)

    @property
    def is_full(self) -> bool:
        """Whether so many faults are kept that one more is only counted."""
        return len(self.faults) >= _MOST

    def near(self, word: str, known: tuple[str, ...]) -> str:
        """did_you_mean for a fault that is told, "" for one that is only counted."""
        return "" if self.is_full else did_you_mean(word, known)

    def keep(self, error: ConfigError) -> None:
        """Add *error* to the file's faults and go on."""
        self.faults.extend(error.errors if isinstance(error, ConfigErrors) else (error,))

    def raise_if_faulty(self) -> None:
        """Raises: ConfigErrors with the first faults kept so far, if there is one, and how many
        there are besides."""
        told, rest = self.faults[:_MOST], len(self.faults) - _MOST
        if rest > 0:
            told.append(ConfigError(self.origin, f"and {rest:,} more"))
        if told:
            raise ConfigErrors(tuple(told))


def quoted(text: str, longest: int = _LONGEST) -> str:
    """*text* as a TOML basic string, on one line and safe on any terminal; cut after *longest*."""
    cut = text if len(text) <= longest else text[:longest] + "…"
    return '"' + "".join(map(_escaped, cut)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    return short or (f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}")


def shown(value: object) -> str:
    """*value* with its TOML type, as errors name it: `the integer 8080`, `a table`."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        # Python refuses to print integers of thousands of digits, and nobody would read them.
        return f"the integer {value}" if abs(value) < 10**20 else "a very large integer"
    if isinstance(value, float):
        return f"the float {value}"
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, list | tuple):
        return "an array" if value else "an empty array"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, Genrule):
        return f"the genrule {value.label}"
    return f"a {type(value).__name__}"
