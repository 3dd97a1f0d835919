"""The WWW-Authenticate header: what a registry wants to see before it answers.

Source: RFC 9110, section 11.6.1; distribution's token authentication specification.
"""

import re

from scratchtasks.core.frozen import dataclass

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~/-]+"
_PART = re.compile(rf'({_WORD})(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*))?[\s,]*')


@dataclass(frozen=True, slots=True)
class Challenge:
    """*scheme* is `basic` or `bearer`; *realm* is the token server's URL for `bearer`."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """The strongest challenge in *header* that can be met: bearer before basic, else None."""
    challenges: list[tuple[str, dict[str, str]]] = []
    position = 0
    header = header.strip(" \t,")
    while position < len(header):
        part = _PART.match(header, position)
        if not part:
            break
        position = part.end()
        name, value = part[1].lower(), part[2]
        if value is None:
            challenges.append((name, {}))
        elif challenges:
            challenges[-1][1].setdefault(name, _unquoted(value))
    for wanted in ("bearer", "basic"):
        for scheme, parameters in challenges:
            if scheme == wanted and (scheme == "basic" or parameters.get("realm")):
                realm, service = parameters.get("realm", ""), parameters.get("service", "")
                return Challenge(scheme, realm, service)
    return None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])
