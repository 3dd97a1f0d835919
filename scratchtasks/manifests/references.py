"""References `scratch://NAME` in manifests: found by position, replaced in place.

A reference is a whole value, plain or quoted, of a mapping or a list: `image: scratch://api`.
Keys, comments, block scalars and text that merely mentions one are no references.

A Helm chart joins an image from several values, so the neighbours of `repository: scratch://NAME`
get their parts: `digest` the digest; else `tag` what stands after the last colon, so that
`{{ .repository }}:{{ .tag }}` gives `repository@sha256:…`; `registry` the host.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field

from scratchtasks.core.errors import ConfigError, ConfigErrors, did_you_mean
from scratchtasks.core.frozen import dataclass

from .scalars import Span, scalars

_REFERENCE = re.compile(r"scratch://(\S*(?:\{\{.*)?)", re.DOTALL)
_NEIGHBOURS = ("digest", "registry", "tag")
_SAFE = re.compile(r"[^\s\"'\\]+")
_PLAIN = re.compile(r"(?=[A-Za-z]|.*[/@])(?=.*[/@:])[A-Za-z0-9][A-Za-z0-9._/:@+-]*(?<!:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `scratch://name`; *line* and *column* count from 1, in characters.

    *span* is the value with its quotes, in characters from the start of the text; *neighbours*
    are the spans that change with it: `digest`, `registry`, `tag` of a Helm values mapping.
    """

    name: str
    origin: str
    line: int
    column: int
    span: Span
    neighbours: Mapping[str, Span] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}"


def references(text: str, origin: str) -> list[Reference]:
    """Every reference of *text*, in order; *origin* is the file's name for messages.

    Kubernetes and Compose YAML, Helm values and templates, JSON; any number of documents, any
    line ends, with or without a byte order mark.
    """
    found = []
    line, line_start, seen = 1, 1 if text.startswith("\ufeff") else 0, 0
    for scalar in scalars(text, "scratch:"):
        first, last = scalar.span
        written = text[first:last].strip("\"'")  # a masked template is to be seen here
        reference = _REFERENCE.fullmatch(written if "{{" in written else scalar.value)
        if not reference:
            continue
        line += text.count("\n", seen, first)
        line_start = max(line_start, text.rfind("\n", seen, first) + 1)
        seen = first
        beside = scalar.mapping if scalar.key == "repository" else {}
        found.append(
            Reference(
                name=reference[1],
                origin=origin,
                line=line,
                column=first - line_start + 1,
                span=scalar.span,
                neighbours={key: beside[key] for key in _NEIGHBOURS if key in beside},
            )
        )
    return found


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
            image = lookup(reference.name)
        except ConfigError as error:
            errors.append(ConfigError(reference.where, error.what, error.hint))
            continue
        parts = _parts(image, reference.neighbours)
        edits[reference.span] = _written(parts.pop("repository"), text, reference.span)
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
    if "registry" in neighbours and slash:
        parts |= {"registry": host, "repository": path}
    return parts


def _written(value: str, text: str, span: Span) -> str:
    """*value* as it is to stand at *span* of *text*."""
    if not _SAFE.fullmatch(value):
        raise ValueError(f"not an image reference: {value!r}")
    first, last = span
    old = text[first:last]
    if old[:1] in ("'", '"'):
        return old[0] + value + old[0]
    new = value if _PLAIN.fullmatch(value) else f'"{value}"'
    return new if old else f" {new}"
