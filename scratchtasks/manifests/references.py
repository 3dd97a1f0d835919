"""References `scratch://NAME` in manifests: found by position, replaced in place.

A reference is a whole value, however it is written, of a mapping or a list: `image: scratch://api`,
or the same word below `image: >-`.  Keys and comments are none.  Text of which one is a part only
mentions it: it stays, but may have been meant otherwise (`--image=scratch://api`), so it is told.

A Helm chart joins an image from several values, so the neighbours of `repository: scratch://NAME`
get their parts: `digest` the digest; else `tag` what stands after the last colon, so that
`{{ .repository }}:{{ .tag }}` gives `repository@sha256:…`; `registry` the host, or "" for a local
image, which has none.  Without a neighbour to take the digest, which a chart may have a default
for, it is told.  A mapping that merges the one with the reference (`<<: *base`, or a list of such)
and has a neighbour of its own, or from another of the list, gets the same parts; what is merged
through others is left.

Kustomize joins `newName`, `newTag` and `digest`; what is lacking there is added.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace

from scratchtasks.core.errors import ConfigError, ConfigErrors, did_you_mean
from scratchtasks.core.frozen import dataclass

from .scalars import Gap, Heir, Scalar, Span, scalars

_REFERENCE = re.compile(r"scratch://(\S*(?:\{\{.*)?)", re.DOTALL)
_MENTION = re.compile(r"(?<![A-Za-z0-9+.])scratch://[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*")
_HINT = "give it a value of its own, or leave it if it is only text"
_ADD = 'write tag: "" beside it, if the chart joins the two'
_NEIGHBOURS = {
    "repository": ("digest", "registry", "tag"),
    "newName": ("digest", "newTag"),
}
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
    says that quotes would be part of it; *neighbours* are the values that change with it, as *key*
    is Helm's `repository` or Kustomize's `newName`; one that is not there may be added in the
    *gap*.  *aliases* are the same name once more, by YAML's `*alias`; *heirs* likewise, where a
    mapping merges this one (`<<: *base`): what it merges are the *inherited* keys, and those that
    it has from elsewhere, though they are here too, the *hidden* ones.
    """

    name: str
    place: Place
    span: Span
    is_block: bool = False
    key: str = ""
    neighbours: Mapping[str, Scalar] = field(default_factory=dict)
    gap: Gap = (0, "")
    aliases: tuple["Reference", ...] = ()
    heirs: tuple["Reference", ...] = ()
    inherited: Collection[str] = ()
    hidden: Collection[str] = ()

    @property
    def where(self) -> str:
        return str(self.place)

    @property
    def note(self) -> str:
        """What is to be told of it, "" for nothing: a chart may join a tag of its own to it."""
        if not any(each._is_bare for each in (self, *self.aliases)):
            return ""
        what = f"scratch://{self.name} gets the digest with the repository"
        return f"{self.place}: {what} (wanted a tag beside it, got none)\n    hint: {_ADD}"

    @property
    def _is_bare(self) -> bool:
        return self.key == "repository" and self.neighbours.keys() <= {"registry"}


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
            yield _reference(reference[1], scalar, place_of(first))
        elif mention := _MENTION.search(seen):
            at = text.find(mention[0], first, last)
            yield Mention(mention[0], place_of(first if at < 0 else at))  # written with escapes


def _reference(name: str, scalar: Scalar, place: Place) -> Reference:
    wanted = _NEIGHBOURS.get(scalar.key, ())
    heirs = [
        _heir(name, scalar, heir, place)
        for heir in scalar.heirs
        if wanted and not any(scalar.key in each for each in (heir.mapping, *heir.bases[: heir.at]))
    ]
    return Reference(
        name=name,
        place=place,
        span=scalar.span,
        is_block=scalar.is_block,
        key=scalar.key if wanted else "",
        neighbours={key: scalar.mapping[key] for key in wanted if key in scalar.mapping},
        gap=scalar.gap,
        aliases=tuple(_reference(name, each, place) for each in scalar.aliases),
        heirs=tuple(heirs),
    )


def _heir(name: str, scalar: Scalar, heir: Heir, place: Place) -> Reference:
    """The reference that *heir* has from *scalar*."""
    found = _reference(name, Scalar("", scalar.span, scalar.key, heir.mapping, gap=heir.gap), place)
    keys = {scalar.key, *_NEIGHBOURS[scalar.key]}
    inherited = keys & {key for base in heir.bases for key in base}
    hidden = keys & {key for base in heir.bases[: heir.at] for key in base}
    return replace(found, inherited=inherited, hidden=hidden)


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
    kept: dict[Span, str] = {}
    for reference in references(text, origin):
        try:
            image = _checked(lookup(reference.name))
        except ConfigError as error:
            errors.append(ConfigError(reference.where, error.what, error.hint))
            continue
        edits |= _edits(reference, image, text)
        own = _parts(image, reference)
        for alias in reference.aliases:
            changed = _edits(alias, image, text)
            if _parts(image, alias)[alias.key] == own[reference.key]:
                del changed[alias.span]  # which stays an alias
            edits |= changed
        for heir in reference.heirs:
            merged = {key: part for key, part in own.items() if key not in heir.hidden}
            edits |= _edits(heir, image, text, merged)
        for each in (reference, *reference.aliases, *reference.heirs):
            for beside in each.neighbours.values():
                if beside.span in edits:  # but not what repeats it elsewhere, a label say
                    old = text[slice(*beside.span)]
                    kept |= {alias.span: old for alias in beside.aliases}
    if errors:
        raise ConfigErrors(tuple(errors))
    pieces, done = [], 0
    for (first, last), value in sorted((kept | edits).items()):
        if first >= done:  # else it is the content of a block that has been replaced whole
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


def _edits(
    reference: Reference, image: str, text: str, merged: Mapping[str, str] | None = None
) -> dict[Span, str]:
    """What is to stand where in *text* so that *reference*, with its neighbours, means *image*.

    An heir has what it *merged*, unless it says otherwise.
    """
    edits = {}
    added = ""
    at, joint = reference.gap
    for key, part in _parts(image, reference).items():
        if key == reference.key and merged is None:
            span = reference.span
            edits[span] = part if reference.is_block else _written(part, text, span)
        elif key in reference.neighbours:
            span = reference.neighbours[key].span
            edits[span] = _written(part, text, span)
        elif merged is None or merged.get(key) != part:
            is_flow = joint == ", "  # maybe JSON
            added += (f'"{key}": "{part}"' if is_flow else f"{key}: {part}") + joint
    return edits | ({(at, at): added} if added else {})


def _parts(image: str, reference: Reference) -> dict[str, str]:
    """What the value of *reference* and its neighbours get so that they are joined to *image*."""
    key, there = reference.key, {*reference.neighbours, *reference.inherited}
    name, at, digest = image.rpartition("@")
    before, _, after = image.rpartition(":")
    parts = {key: image}
    if key == "newName" and ":" in image:
        parts = {key: name, "digest": digest} if at else {key: before, "newTag": after}
    elif at and "digest" in there:
        parts = {key: name, "digest": digest}
    elif "tag" in there and ":" in image:
        parts = {key: before, "tag": after}
    if not at and "digest" in there:
        parts["digest"] = ""  # of another image
    host, slash, path = parts[key].partition("/")
    if "registry" in there:
        parts |= {"registry": host, key: path} if slash else {"registry": ""}
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
