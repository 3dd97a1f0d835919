"""Which single values a YAML or JSON document holds, and exactly where.

Documents are scanned, never loaded: no object is made and no alias expanded.

Source: YAML 1.2, chapters 6 to 9; PyYAML's tokens and their marks.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import TYPE_CHECKING, NamedTuple

from scratchtasks.core.frozen import dataclass

from .templates import softened

if TYPE_CHECKING:
    from yaml.tokens import Token

Span = tuple[int, int]
"""Offsets in characters: the first, and the one after the last."""

Gap = tuple[int, str]
"""An offset, and what has to follow what is put there."""

_DOCUMENT = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_MAX_DEPTH = 1000  # of brackets and blocks: a scanner's time per token grows with it
_LINE = re.compile(r"[^\n]*\n?")
_BREAK = re.compile("[\r\n\x85\u2028\u2029]")
_BLOCK_SCALAR = re.compile(
    r"(?P<lead>[ ]*(?:-[ ]+)*)(?P<key>[^\s#-][^#]*:[ ]+)?(?:[&!]\S+[ ]+)*[|>][-+0-9]*\s*(?:#.*)?"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value on its own: *value* as YAML reads it, *span* with its quotes.

    *key* names it where it is a mapping's value, and *mapping* has all single values of that
    mapping by key, empty ones too (first = last); *gap* is where one more key fits into it, and
    what has to follow that one's value.  The span of a block scalar (*is_block*) is what stands
    below its `|` or `>`, from the first letter to the last where that is one line; in *mapping* it
    has its head, too.  *aliases* are the values that repeat this one by its anchor; *heirs* are the
    mappings that merge its own (`<<: *base`, or `<<: [*base, *other]`).
    """

    value: str
    span: Span
    key: str = ""
    mapping: dict[str, "Scalar"] = field(default_factory=dict, repr=False, compare=False)
    is_block: bool = False
    gap: Gap = (0, "")
    aliases: list["Scalar"] = field(default_factory=list, repr=False, compare=False)
    heirs: list["Heir"] = field(default_factory=list, repr=False, compare=False)


class Heir(NamedTuple):
    """The *mapping* that merges number *at* of *bases*, of which the first that has a key
    counts; the *gap* is that of its `<<`."""

    mapping: dict[str, Scalar]
    gap: Gap
    bases: list[dict[str, Scalar]]
    at: int


def scalars(text: str, word: str) -> Iterator[Scalar]:
    """The plain, quoted and block values of *text*, except those of documents without *word*.

    Mapping keys and comments are left out.  What is not YAML is read once more with its templates
    masked, and in the last resort line by line.  Takes time linear in the length of *text*.
    """
    starts = [0, *(found.start() for found in _DOCUMENT.finditer(text, 1))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        document = text[start:end]
        if word not in document:
            continue
        found = _scan(document, start)
        if found is None:
            document = softened(document)
            found = _scan(document, start)
        yield from _scan_lines(document, start, word) if found is None else found


def _scan(text: str, base: int) -> list[Scalar] | None:
    """The values of one document that starts at *base*, or None when it is not YAML."""
    import yaml

    bare = text.lstrip("\ufeff")  # scanners skip byte order marks, and not all count them
    base += len(text) - len(bare)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is the faster one
    try:
        return list(_values(yaml.scan(bare, Loader=loader), bare, base))
    except (yaml.YAMLError, UnicodeError, _NotYaml):
        return None


_Merged = tuple[dict[str, Scalar], Gap, list[dict[str, Scalar]]]
"""The mapping that merges others, the gap of its `<<`, and those others."""


class _NotYaml(Exception):
    """The text scans as YAML and yet is none: a template's `{{`, or brackets without a pair."""


def _values(tokens: "Iterable[Token]", text: str, base: int) -> Iterator[Scalar]:
    """The values among *tokens*; each mapping is complete once all tokens are through."""
    import yaml

    blocks = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken)
    sequences = (yaml.BlockSequenceStartToken, yaml.FlowSequenceStartToken)
    opening = (*blocks, *sequences, yaml.FlowMappingStartToken)
    newline = "\r\n" if "\r\n" in text else "\n"
    mappings: list[dict[str, Scalar]] = [{}]
    brackets = 0
    key = ""
    gap = (0, "")
    is_key = False
    is_empty = False  # after `key:`, as long as no value was seen
    brace = -2
    anchor = ""  # of the value that comes next
    anchored: dict[str, Scalar] = {}
    heirs: list[list[Heir]] = [[]]  # of each of *mappings*
    lists: list[_Merged | None] = [None]  # likewise: for a list that is merged, by whom
    bases: dict[str, tuple[dict[str, Scalar], list[Heir]]] = {}  # by the anchor of a mapping
    for token in tokens:
        start, end = token.start_mark.index, token.end_mark.index
        span = (base + start, base + end)
        match token:
            case yaml.KeyToken():
                key, is_key, is_empty = "", True, False
                gap = (span[0], ", " if brackets else newline + " " * token.start_mark.column)
            case yaml.ValueToken():
                is_empty = True
                mappings[-1][key] = Scalar("", (span[1], span[1]), key)
            case yaml.AnchorToken() | yaml.TagToken():
                if is_empty:
                    mappings[-1][key] = Scalar("", (span[1], span[1]), key)
                if isinstance(token, yaml.AnchorToken):
                    anchor = token.value
                    anchored.pop(anchor, None)
                    bases.pop(anchor, None)
                continue
            case yaml.AliasToken() if not is_key:
                found = mappings[-1][key] = Scalar("", span, key, mappings[-1], gap=gap)
                is_empty = False
                if token.value in anchored:
                    anchored[token.value].aliases.append(found)
                merged = lists[-1] or ((mappings[-1], gap, []) if key == "<<" else None)
                if merged and token.value in bases:
                    one, theirs = bases[token.value]
                    theirs.append(Heir(*merged, len(merged[2])))
                    merged[2].append(one)
            case yaml.ScalarToken() if is_key:
                key, is_key = token.value, False
            case yaml.ScalarToken():
                is_block = not token.plain and text[start] not in "'\""
                if is_block:
                    first, last = _body(text, start, end, token.value)
                    span = (base + first, base + last)
                found = Scalar(token.value, span, key, mappings[-1], is_block, gap, heirs=heirs[-1])
                mappings[-1][key] = found
                if is_block:
                    whole = (base + start, base + len(text[:last].rstrip()))
                    mappings[-1][key] = replace(found, span=whole)
                if anchor:
                    anchored[anchor] = found
                yield found
                key, is_empty = "" if is_block else key, False
            case yaml.FlowEntryToken():
                key, is_empty = "", False
            case yaml.BlockEndToken() | yaml.FlowMappingEndToken() | yaml.FlowSequenceEndToken():
                brackets -= not isinstance(token, yaml.BlockEndToken)
                mappings.pop()
                heirs.pop()
                lists.pop()
                if not mappings:
                    raise _NotYaml
                key, is_empty = "", False
            case _:  # the start of a list or mapping, mostly
                if is_empty:
                    del mappings[-1][key]
                if isinstance(token, opening):
                    brackets += not isinstance(token, blocks)
                    is_list = isinstance(token, sequences)
                    lists.append((mappings[-1], gap, []) if is_list and key == "<<" else None)
                    mappings.append({})
                    heirs.append([])
                    if (above := lists[-2]) and not is_list:  # one that is written into the list
                        above[2].append(mappings[-1])
                    if anchor:
                        bases[anchor] = mappings[-1], heirs[-1]
                    if len(mappings) > _MAX_DEPTH:
                        raise _NotYaml
                key, is_key, is_empty = "", False, False
        anchor = ""
        if isinstance(token, yaml.FlowMappingStartToken):
            if start == brace + 1:
                raise _NotYaml
            brace = start


def _body(text: str, start: int, end: int, value: str) -> Span:
    """Where the block scalar with that *value* has its content; *text* has it from *start* on, its
    header first, to *end*, which may lie behind lines that are not part of it."""
    header = _BREAK.search(text, start, end)
    first = header.end() if header else end
    content = value.strip()
    found = text.find(content, first, end) if content else -1
    return (first, end) if found < 0 else (found, found + len(content))


def _scan_lines(text: str, base: int, word: str) -> Iterator[Scalar]:
    """The values of each line of *text* that is YAML on its own, and of its block scalars."""
    floor = -1  # columns to the right of this one belong to a block scalar; -1 is none
    first = last = 0  # of its lines
    for line in _LINE.finditer(text):
        content = line[0].lstrip(" ")
        if not content.strip():
            continue
        if 0 <= floor < len(line[0]) - len(content):
            last = line.end()
            continue
        yield from _block(text, (first, last), base)
        header = _BLOCK_SCALAR.fullmatch(line[0])
        floor = -1
        first = last = line.end()
        if header:
            lead = header["lead"]
            floor = len(lead) if header["key"] else max(lead.rfind("-"), 0)
        elif word in content:
            found = _scan(line[0], base + line.start())
            yield from [_whole(line[0], base + line.start())] if found is None else found
    yield from _block(text, (first, last), base)


def _whole(line: str, base: int) -> Scalar:
    """A *line* that is no YAML either, as one value: what it mentions is to be told."""
    content = line.strip()
    first = base + line.index(content)
    return Scalar(content, (first, first + len(content)))


def _block(text: str, lines: Span, base: int) -> Iterator[Scalar]:
    """The block scalar that *lines* of *text* are, if there are any."""
    first, last = lines
    content = text[first:last].strip()
    if content:
        first = text.index(content, first)
        yield Scalar(content, (base + first, base + first + len(content)), is_block=True)
