"""What the text of a source, header or linker script names, whether it was there or not.

Dep files tell only what a compiler found; that it looked for something in vain, or that its
assembler read something, they do not.
"""

import os
import re

from scratchtasks.core.frozen import dataclass

_SPLICE = re.compile(rb"\\\r?\n")
_INCLUDED = re.compile(
    rb"(?:#|%:)(?:[ \t]|/\*.*?\*/)*(?:include|include_next|import|embed)\b(?:[ \t]|/\*.*?\*/)*"
    rb'(?:"([^"\n]+)"|<([^>\n]+)>|([A-Za-z_]))'
)  # fmt: skip
_ASKED = re.compile(
    rb"(//[^\n]*|/\*.*?\*/"  # that comments ask for nothing matters: system headers have many
    rb"|(?:\bdefined\s*\(?|\bifn?def|\bundef|#\s*endif)\s*__has_\w+)"
    rb'|\b__has_(?:include|include_next|embed)\b(?:\s*\(\s*(?:"([^"\n]+)"|<([^>\n]+)>))?'
    rb'|("(?:\\.|[^"\\\n])*")',
    re.DOTALL,
)
_ASSEMBLED = re.compile(rb'\.(?:incbin\b(?:\s*\\?"([^"\\\n]+))?|include\b\s*\\?"([^"\\\n]*))')
_SCRIPT = re.compile(r'\bINCLUDE\s+"?([^\s;"]+)|\b(?:INPUT|GROUP|AS_NEEDED)\s*\(([^)]*)')
_THIN = b"!<thin>\n"
_BINARY = (b"\x7fELF", b"!<arch>\n")
_MEMBER = re.compile(rb"([^\n]+)/\n")
_HEADER = 60  # bytes of an archive's header of a member


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a source or header mentions: *quoted* and *angled* names of headers, those *asked*
    for by `__has_include`, and the files that its assembler reads.

    *computes*: macros make up the name of a header; *asks_computed*: what it asks for, too.
    """

    quoted: frozenset[str] = frozenset()
    angled: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    assembled: frozenset[str] = frozenset()
    """"" where macros make up the name."""
    computes: bool = False
    asks_computed: bool = False


def mentions_of(path: str) -> Mentions:
    """What the file *path* mentions; nothing when it cannot be read."""
    return mentions_in(_bytes_of(path))


def mentions_in(source: bytes) -> Mentions:
    """What the text *source* mentions."""
    text = _SPLICE.sub(b"", source)
    included = _INCLUDED.findall(text)
    quoted = {quote for quote, _, _ in included if quote}
    angled = {angle for _, angle, _ in included if angle}
    asked: set[bytes] = set()
    asks_computed = False
    if b"__has_include" in text or b"__has_embed" in text:
        for harmless, quote, angle, string in _ASKED.findall(text):
            quoted |= {quote} - {b""}
            angled |= {angle} - {b""}
            asked |= {quote, angle} - {b""}
            asks_computed |= not (harmless or quote or angle or string)
    return Mentions(
        _decoded(quoted),
        _decoded(angled),
        _decoded(asked),
        _decoded({incbin or include for incbin, include in _ASSEMBLED.findall(text)}),
        any(word for _, _, word in included),
        asks_computed,
    )


class Texts:
    """What files mention, each read once while its stat stays: sources share their headers."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], Mentions]] = {}

    def mentions_of(self, path: str) -> Mentions:
        """What the file *path* mentions; nothing when it cannot be read."""
        try:
            info = os.stat(path)
        except (OSError, ValueError):
            return Mentions()
        state = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = self._known.get(path)
        if known is None or known[0] != state:
            known = self._known[path] = state, mentions_of(path)
        return known[1]


def linked_by(path: str) -> list[str]:
    """The files that the linker script or thin archive *path* names; libraries as `-lNAME`."""
    data = _bytes_of(path)
    if data.startswith(_THIN):
        return _members(data)
    if data.startswith(_BINARY) or b"\0" in data[:4096]:
        return []
    found: list[str] = []
    for included, listed in _SCRIPT.findall(data.decode("utf-8", "surrogateescape")):
        found += [included] if included else re.split(r'[\s,"()]+', listed)
    return [name for name in found if name and name != "AS_NEEDED"]


def _members(data: bytes) -> list[str]:
    """The files of a thin archive, relative to its folder: the table `//` of long names, which
    all of them have, comes after the symbols, `/` or `/SYM64/`."""
    place = len(_THIN)
    while header := data[place : place + _HEADER]:
        place += _HEADER
        digits = header[48:58].strip()
        if not digits.isdigit():  # damaged: the linker will say so
            break
        size = int(digits)
        if header.startswith(b"// "):
            return [os.fsdecode(name) for name in _MEMBER.findall(data[place : place + size])]
        place += size + size % 2
    return []


def _decoded(names: set[bytes]) -> frozenset[str]:
    return frozenset(map(os.fsdecode, names))


def _bytes_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
