"""Whatever the text, only references change; whatever the data, exactly they do."""

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from scratchtasks.manifests.references import lookup_in, references, resolve

from .samples import ALL, IMAGES

_SHARED = ["scratch://api", {"image": "scratch://web", "n": 1}]
_SCALARS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["scratch://api", "scratch://web", "see scratch://api", "scratch://api or so"]),
    st.sampled_from(["a\nscratch://api\n", "# scratch://api", "{{ x }}", "{{", "}}", "'\"", "- a"]),
    st.integers(),
    st.none(),
)
_KEYS = st.one_of(st.text(max_size=6), st.sampled_from(["image", "scratch://api", "tag", "a: b"]))
_DATA = st.recursive(
    st.one_of(_SCALARS, st.just(_SHARED)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=20,
)
_PIECES = st.sampled_from(
    [
        *"abß😀 \t\n\r\x85\u2028\0\x1b'\"#&*!|>%@`-?:,[]{}\\=~", "\r\n", "\n  ", "\n    ",
        "\n---\n", "\n...\n", ": ", "- ", " #", "{{", "}}", "{{- ", "{{/*", "*/}}", "image: ",
        "\ufeff", "<<: ", "scratch://", "scratch://api", "'scratch://web'", '"scratch://api"',
        "scratch:\\/\\/web", "repository: ", "tag:", "&a ", "*a", "digest: ", ": |\n", ": >-\n",
        "!!str ", "%YAML 1.2\n", '\\ud83d"',
    ]
)  # fmt: skip
_TEXTS = st.lists(_PIECES, max_size=40).map("".join)


def _expected(data: Any) -> Any:
    """*data* with every value that is a reference resolved; keys stay."""
    if isinstance(data, dict):
        return {key: _expected(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_expected(value) for value in data]
    if isinstance(data, str):
        return IMAGES.get(data.removeprefix("scratch://"), data) if "://" in data else data
    return data


def _resolved(text: str) -> str:
    return resolve(text, "x", lookup_in(IMAGES))


@given(
    st.lists(_DATA, min_size=1, max_size=3),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.sampled_from([None, True, False]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(2, 6),
)
def test_yaml_data_differs_in_its_references_only(
    documents: list[Any], style: str | None, flow: bool | None, newline: Any, ascii_: bool, n: int
) -> None:
    text = yaml.safe_dump_all(
        documents,
        default_style=style,
        default_flow_style=flow,
        line_break=newline,
        allow_unicode=not ascii_,
        indent=n,
        explicit_start=True,
    )
    before = list(yaml.safe_load_all(text))
    assert list(yaml.safe_load_all(_resolved(text))) == _expected(before)


@given(_DATA, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_data_differs_in_its_references_only(
    data: Any, indent: int | str | None, ascii_: bool
) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_)
    for written in (text, text.replace("://", ":\\/\\/")):
        assert json.loads(_resolved(written)) == _expected(data)


@given(_TEXTS)
def test_any_text_keeps_what_is_no_reference(text: str) -> None:
    found = references(text, "x")
    images = {each.name: "registry.example.com/r@sha256:0" for each in found}
    resolved = resolve(text, "x", lookup_in(images))
    assume(not any(each.heirs for each in found))  # which may add keys
    found = [one for each in found for one in (each, *each.aliases)]
    beside = [value for each in found for value in each.neighbours.values()]
    repeated = {alias.span: text[slice(*each.span)] for each in beside for alias in each.aliases}
    spans = {each.span for each in found} | {each.span for each in beside} | repeated.keys()
    at = done = 0
    for first, last in sorted(spans):
        if first < done:
            continue  # the content of a block
        kept = text[done:first]
        assert resolved.startswith(kept, at)
        at += len(kept)
        same = (text[first:last], repeated.get((first, last), ""))
        at += len(_replacement(resolved, at, same))
        done = last
    assert resolved[at:] == text[done:]
    if not found:
        assert resolved == text


def _replacement(resolved: str, at: int, same: tuple[str, str]) -> str:
    """The longest thing that may have been written at *at* in the place of an alias, or what that
    meant (*same*), or something else."""
    base = "registry.example.com/r"
    for value in (f"{base}@sha256:0", f"{base}@sha256", base, "sha256:0", "0"):
        for written in (value, f'"{value}"', f"'{value}'", f" {value}", f' "{value}"'):
            if resolved.startswith(written, at):
                return written
    for written in same:
        if written and resolved.startswith(written, at):
            return written
    raise AssertionError(resolved[at:])


@given(_TEXTS)
def test_places_are_those_an_editor_shows(text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    for each in references(text, "x"):
        first = text[each.span[0]]
        assert lines[each.place.line - 1][each.place.column - 1] == first
        assert text[slice(*each.span)].strip("'\"").startswith("scratch:")


@given(_TEXTS)
def test_without_a_reference_the_text_is_the_same(text: str) -> None:
    clean = text.replace("scratch:", "scratch;")
    assert _resolved(clean) == clean


@pytest.mark.parametrize(
    "part",
    [
        "a: scratch://api\n", *ALL.values(), "{{", '{{"', "{{/*", "{{`", "[", '["', "{a: ", "- ",
        "? ", "&a ", '"', "a: |\n ", "{{ x }}", "}}", "scratch://{{", "---\n", "\\",
        "a: scratch://api, ",
    ],
)  # fmt: skip
def test_time_is_linear(part: str) -> None:
    """Eight times the text takes about eight times as long; quadratic would be 64."""

    def seconds(size: int) -> float:
        text = part * (size // len(part)) + "\n@\nz: scratch://api\n"
        start = time.process_time()
        references(text, "x")
        return time.process_time() - start

    seconds(1_000)
    small = max(min(seconds(25_000) for _ in range(3)), 0.004)
    assert min(seconds(200_000) for _ in range(2)) < 45 * small
