"""References `scratch://NAME` in manifests: found by position, replaced in place.

A reference is a whole value, however it is written, of a mapping or a list: `image: scratch://api`,
or the same word below `image: >-`.  Keys and comments are none.  Text of which one is a part only
mentions it: it stays, but may have been meant otherwise (`--image=scratch://api`), so it is told.

A Helm chart joins an image from several values, so the neighbours of `repository: scratch://NAME`
get their parts: `digest` the digest; else `tag` what stands after the last colon, so that
`{{ .repository }}:{{ .tag }}` gives `repository@sha256:…`; `registry` the host, or "" for a local
image, which has none.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field

from scratchtasks.core.errors import ConfigError, ConfigErrors, did_you_mean
from scratchtasks.core.frozen import dataclass

from .scalars import Span, scalars

_REFERENCE = re.compile(r"scratch://(\S*(?:\{\{.*)?)", re.DOTALL)
_MENTION = re.compile(r"(?<![A-Za-z0-9+.])scratch://[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*")
_HINT = "give it a value of its own, or leave it if it is only text"
_NEIGHBOURS = ("digest", "registry", "tag")
_SAFE = re.compile(r"[^\s\"'\\]+")
_PLAIN = re.compile(r"(?=[A-Za-z]|.*[/@])(?=.*[/@:])[A-Za-z0-9][A-Za-z0-9._/:@+-]*(?<!:)")


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the file *origin*; *line* and *column* count from 1, in characters."""

    origin: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `scratch://name`.

    *span* is the value with its quotes, in characters from the start of the text, and *is_block*
    says that quotes would be part of it; *neighbours* are the spans that change with it:
    `digest`, `registry`, `tag` of a Helm values mapping.
    """

    name: str
    place: Place
    span: Span
    is_block: bool = False
    neighbours: Mapping[str, Span] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return str(self.place)


@dataclass(frozen=True, slots=True)
class Mention:
    """The first `scratch://name`, *text*, in a value that has more than that."""

    text: str
    place: Place

    def __str__(self) -> str:
        what = f"{self.text} is left as it is (wanted the whole value, got part of one)"
        return f"{self.place}: {what}\n    hint: {_HINT}"


def references(text: str, origin: str) -> list[Reference]:
    """Every reference of *text*, in order; *origin* is the file's name for messages.

    Kubernetes and Compose YAML, Helm values and templates, JSON; any number of documents, any
    line ends, with or without a byte order mark.
    """
    return [found for found in survey(text, origin) if isinstance(found, Reference)]


def survey(text: str, origin: str) -> Iterator[Reference | Mention]:
    """Every reference of *text*, and every value that mentions one, in order."""
    place_of = _places(text, origin)
    for scalar in scalars(text, "scratch:"):
        first, last = scalar.span
        written = text[first:last].strip("" if scalar.is_block else "\"'")
        is_masked = "{{" in written  # a template, which is to be seen here
        value = scalar.value.rstrip("\n") if scalar.is_block else scalar.value
        seen = written if is_masked else value
        if reference := _REFERENCE.fullmatch(seen):
            beside = scalar.mapping if scalar.key == "repository" else {}
            yield Reference(
                name=reference[1],
                place=place_of(first),
                span=scalar.span,
                is_block=scalar.is_block,
                neighbours={key: beside[key] for key in _NEIGHBOURS if key in beside},
            )
        elif mention := _MENTION.search(seen):
            at = text.find(mention[0], first, last)
            yield Mention(mention[0], place_of(first if at < 0 else at))  # written with escapes


def _places(text: str, origin: str) -> Callable[[int], Place]:
    """A function that gives the place of an offset of *text*; offsets have to come in order."""
    line, line_start, seen = 1, 1 if text.startswith("\ufeff") else 0, 0

    def place_of(offset: int) -> Place:
        nonlocal line, line_start, seen
        line += text.count("\n", seen, offset)
        line_start = max(line_start, text.rfind("\n", seen, offset) + 1)
        seen = offset
        return Place(origin, line, offset - line_start + 1)

    return place_of


def lookup_in(images: Mapping[str, str]) -> Callable[[str], str]:
    """A lookup for `resolve`: *images* has the reference of each known name."""

    def lookup(name: str) -> str:
        _check_name(name, images)
        return images[name]

    return lookup


def check_names(found: Iterable[Reference], known: Collection[str]) -> None:
    """Refuse references to images that are not among *known*, before anything is built.

    Raises: ConfigErrors with every one of them, in order.
    """
    errors = []
    for reference in found:
        try:
            _check_name(reference.name, known)
        except ConfigError as error:
            errors.append(ConfigError(reference.where, error.what, error.hint))
    if errors:
        raise ConfigErrors(tuple(errors))


def resolve(text: str, origin: str, lookup: Callable[[str], str]) -> str:
    """*text* with each reference replaced by what *lookup* has for its name.

    *lookup* returns `repository@sha256:…`, a local image id, or any other image reference; it
    raises a ConfigError (of which `where` is not used) for a name it does not know.  All other
    characters stay as they are, quotes included; a value is given quotes where it needs them.

    Raises: ConfigErrors with every unknown name of *text*, in order.
    """
    errors = []
    edits: dict[Span, str] = {}
    for reference in references(text, origin):
        try:
            image = _checked(lookup(reference.name))
        except ConfigError as error:
            errors.append(ConfigError(reference.where, error.what, error.hint))
            continue
        parts = _parts(image, reference.neighbours)
        span, repository = reference.span, parts.pop("repository")
        edits[span] = repository if reference.is_block else _written(repository, text, span)
        for key, part in parts.items():
            edits[reference.neighbours[key]] = _written(part, text, reference.neighbours[key])
    if errors:
        raise ConfigErrors(tuple(errors))
    pieces, done = [], 0
    for (first, last), value in sorted(edits.items()):
        pieces += [text[done:first], value]
        done = last
    return "".join([*pieces, text[done:]])


def _check_name(name: str, known: Collection[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, tuple(known))
        bare = name.partition("@")[0].partition(":")[0]
        if bare != name and bare in known:
            hint = f"write scratch://{bare}: tags and digests are filled in"
        if "{{" in name:
            hint = "references are resolved before templates are filled in: write the name out"
        raise ConfigError("", f"unknown image {name!r}", hint)


def _parts(image: str, neighbours: Collection[str]) -> dict[str, str]:
    """What `repository` and its neighbours get so that a chart joins them to *image*."""
    name, at, digest = image.rpartition("@")
    parts = {"repository": image}
    if at and "digest" in neighbours:
        parts = {"repository": name, "digest": digest}
    elif "tag" in neighbours and ":" in image:
        before, _, after = image.rpartition(":")
        parts = {"repository": before, "tag": after}
    host, slash, path = parts["repository"].partition("/")
    if "registry" in neighbours:
        parts |= {"registry": host, "repository": path} if slash else {"registry": ""}
    return parts


def _written(value: str, text: str, span: Span) -> str:
    """*value* as it is to stand at *span* of *text*."""
    first, last = span
    old = text[first:last]
    if old[:1] in ("'", '"'):
        return old[0] + value + old[0]
    new = value if _PLAIN.fullmatch(value) else f'"{value}"'
    return new if old else f" {new}"


def _checked(value: str) -> str:
    if not _SAFE.fullmatch(value):
        raise ValueError(f"not an image reference: {value!r}")
    return value
