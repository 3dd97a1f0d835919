"""What is a reference and what is not, in manifests as people write them."""

from typing import Any

import pytest
import yaml

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.manifests.references import (
    Mention,
    check_names,
    lookup_in,
    references,
    resolve,
    survey,
)

from .samples import (
    ALL,
    API,
    COMPOSE,
    DEPLOYMENT,
    HELM_TEMPLATE,
    IMAGES,
    JSON,
    LOCAL,
    NOT_YAML,
    STATEFUL_SET_AND_CRON_JOB,
    WEB,
)


def _resolve(text: str, images: dict[str, str] = IMAGES) -> str:
    return resolve(text, "k8s/api.yaml", lookup_in(images))


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that resolving changes, by number, with `repository@sha256:…` shortened."""
    pairs = zip(text.split("\n"), _resolve(text).split("\n"), strict=True)
    return [
        (number, new.strip().replace(API, "API").replace(WEB, "WEB"))
        for number, (old, new) in enumerate(pairs, 1)
        if old != new
    ]


def test_deployment() -> None:
    assert _lines(DEPLOYMENT) == [
        (6, "annotations: {note: \"built as scratch://api\", 'from': 'WEB'}"),
        (12, "image: 'API'   # scratch://api"),
        (13, 'args: [ "migrate", "--image=scratch://api", WEB, ]'),
        (15, "- image: API"),
        (18, '- {name: SELF, value: "API"}'),
        (23, "-   image:    &sidecar   WEB"),
        (25, "- WEB"),
        (27, "WEB"),
    ]


def test_several_documents_tags_and_duplicate_keys() -> None:
    assert _lines(STATEFUL_SET_AND_CRON_JOB) == [
        (
            4,
            'spec: {template: {spec: {containers: [{name: db, image: API}, {image: "WEB"}]}}}',
        ),
        (18, "WEB"),
        (19, 'image: "API"'),
    ]


def test_compose() -> None:
    assert _lines(COMPOSE) == [
        (3, "image: API"),
        (8, "SELF: API"),
        (9, 'web: {<<: *base, image: WEB, ports: ["8080:80"]}'),
    ]


def test_helm_template_that_is_no_yaml() -> None:
    assert _lines(HELM_TEMPLATE) == [
        (14, "image: API"),
        (18, '- {image: "WEB", args: [{{ .Values.args }}]}'),
    ]


def test_text_that_is_no_yaml_at_all() -> None:
    assert _lines(NOT_YAML) == [
        (2, "- image: API # and"),
        (3, "args: [\"WEB\", 'API' ]"),
        (8, 'more: "WEB"'),
        (10, "WEB"),
        (11, "- list:   API"),
        (13, "API"),
        (14, "image: WEB"),
    ]


def test_json() -> None:
    assert _lines(JSON) == [
        (3, '"items": [{"image": "API"}, "WEB", "see scratch://web"],'),
        (4, '"scratch://api": {"image" : "WEB"}'),
    ]


def test_local_image_ids_stay_plain_text() -> None:
    assert _resolve("image: scratch://api\n", LOCAL) == f"image: {LOCAL['api']}\n"


@pytest.mark.parametrize(
    ("image", "written"),
    [
        ("localhost:5000/api@sha256:1", "localhost:5000/api@sha256:1"),
        ("127.0.0.1:5000/api@sha256:1", "127.0.0.1:5000/api@sha256:1"),
        ("[::1]:5000/api@sha256:1", '"[::1]:5000/api@sha256:1"'),
        ("12:30", '"12:30"'),
        ("null", '"null"'),
        ("api:latest", "api:latest"),
    ],
)
def test_quotes_are_added_where_plain_text_would_mean_something_else(
    image: str, written: str
) -> None:
    text = resolve("{image: scratch://api}", "x", lambda name: image)
    assert text == f"{{image: {written}}}"
    assert yaml.safe_load(text) == {"image": image}


@pytest.mark.parametrize("image", ["a b", 'a"b', "a'b", "a\\b", "a\nb", ""])
def test_what_is_no_image_reference_is_never_written(image: str) -> None:
    with pytest.raises(ValueError, match="not an image reference"):
        resolve("image: scratch://api", "x", lambda name: image)


@pytest.mark.parametrize("name", ALL)
def test_line_ends_and_byte_order_mark_stay(name: str) -> None:
    text = ALL[name]
    assert _resolve("\ufeff" + text) == "\ufeff" + _resolve(text)
    windows = text.replace("\n", "\r\n")
    assert _resolve(windows) == _resolve(text).replace("\n", "\r\n")
    assert _resolve(text.rstrip("\n")) == _resolve(text).rstrip("\n")


@pytest.mark.parametrize("name", ALL)
def test_pure_python_scanner_finds_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = references(ALL[name], name)
    assert expected
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert references(ALL[name], name) == expected


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("loaded")

    for method in ("get_single_data", "get_data", "get_node", "get_event"):
        monkeypatch.setattr(yaml.CSafeLoader, method, refuse, raising=False)
    assert references(ALL[name], name)


def test_aliases_are_not_expanded() -> None:
    layers = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 60)]
    text = "\n".join(["a0: &a0 scratch://api", *layers, ""])
    assert _resolve(text) == text.replace("scratch://api", API)


def test_objects_are_not_constructed() -> None:
    text = "a: !!python/object/apply:os.abort []\nb: scratch://api\n"
    assert _resolve(text) == text.replace("scratch://api", API)


def test_unknown_names_are_all_told_at_their_place() -> None:
    text = (
        "spec:\n"
        "  containers:\n"
        "    - image: scratch://apy\n"
        "    - image: scratch://api\r\n"
        "    - {é: ü, image: 'scratch://api:1.2'} # scratch://none\n"
        "x: scratch://\n"
        "y: scratch://{{ .Values.name }}\n"
    )
    expected = (
        "k8s/api.yaml:3:14: unknown image 'apy'\n"
        "    hint: did you mean 'api'?\n"
        "k8s/api.yaml:5:21: unknown image 'api:1.2'\n"
        "    hint: write scratch://api: tags and digests are filled in\n"
        "k8s/api.yaml:6:4: unknown image ''\n"
        "    hint: known: api, web\n"
        "k8s/api.yaml:7:4: unknown image '{{ .Values.name }}'\n"
        "    hint: references are resolved before templates are filled in: write the name out"
    )
    with pytest.raises(ConfigErrors) as caught:
        _resolve(text)
    assert str(caught.value) == expected
    with pytest.raises(ConfigErrors) as caught:
        check_names(references(text, "k8s/api.yaml"), IMAGES)
    assert str(caught.value) == expected


def test_names_of_several_files_are_checked_at_once() -> None:
    found = references("a: scratch://x", "one.yaml") + references(
        "\ufeffb: scratch://y", "two.json"
    )
    with pytest.raises(ConfigErrors) as caught:
        check_names(found, ["web"])
    assert [error.where for error in caught.value.errors] == ["one.yaml:1:4", "two.json:1:4"]
    check_names(found, ["x", "y"])


BLOCKS = """\
spec:
  image: >-   # scratch://api
    scratch://api

  # scratch://api
  other: |
      scratch://web
  kept: |+2
    scratch://api

  list:
  - >
    scratch://web
  - &anchor !!str |-
   scratch://api
  repository: >-
    scratch://api
  digest: ""
"""


def test_a_block_that_is_a_reference_is_one() -> None:
    repository, _, digest = API.partition("@")
    assert _lines(BLOCKS) == [
        (3, "API"),
        (7, "WEB"),
        (9, "API"),
        (13, "WEB"),
        (15, "API"),
        (17, repository),
        (18, f'digest: "{digest}"'),
    ]
    spec = yaml.safe_load(_resolve(BLOCKS))["spec"]
    assert [spec["image"], spec["other"], spec["kept"]] == [API, f"{WEB}\n", f"{API}\n\n"]
    assert _resolve(BLOCKS.replace("\n", "\r\n")) == _resolve(BLOCKS).replace("\n", "\r\n")


def test_nothing_is_quoted_in_a_block() -> None:
    text = resolve("image: |-\n  scratch://api\n", "x", lambda name: "[::1]:5000/api@sha256:1")
    assert text == "image: |-\n  [::1]:5000/api@sha256:1\n"
    with pytest.raises(ValueError, match="not an image reference"):
        resolve("image: |-\n  scratch://api\n", "x", lambda name: "a b")


@pytest.mark.parametrize("end", ["", "@: {{\n"])
def test_unknown_names_in_blocks_are_told_at_their_place(end: str) -> None:
    text = f"a:\n- image: >-\n    scratch://apy\n- |\n\n  scratch://web or\nb: c\n{end}"
    with pytest.raises(ConfigErrors) as caught:
        _resolve(text)
    assert str(caught.value) == (
        "k8s/api.yaml:3:5: unknown image 'apy'\n    hint: did you mean 'api'?"
    )


MENTIONS = """\
# scratch://api
args: ["--image=scratch://api", scratch://web]   # scratch://api
image: ${IMG:-scratch://api}
other: 'scratch://api and
  scratch://web'
block: |
  # see scratch://nobody.
  docker run scratch://web
spaced: " scratch://a-b_c.d "
folded: >-
  scratch://api

  more
escaped: "or scratch:\\/\\/api"
scratch://key: xscratch://api, scratch://, scratch://-
"""
MENTIONED = [
    "2:17: scratch://api",
    "3:15: scratch://api",
    "4:9: scratch://api",
    "7:9: scratch://nobody",
    "9:11: scratch://a-b_c.d",
    "11:3: scratch://api",
    "14:10: scratch://api",
]
TEMPLATED = """\
{{ if .x }}{{/* scratch://api */}}
image: {{ .y | default "scratch://api" }}
{{ end }}
"""


def _mentions(text: str) -> list[str]:
    found = [each for each in survey(text, "x") if isinstance(each, Mention)]
    return [f"{each.place.line}:{each.place.column}: {each.text}" for each in found]


def test_values_of_which_a_reference_is_a_part_are_told_and_stay() -> None:
    assert _mentions(MENTIONS) == MENTIONED
    assert _resolve(MENTIONS) == MENTIONS.replace(", scratch://web]", f", {WEB}]")
    assert _mentions(TEMPLATED) == ["2:25: scratch://api"]
    (first, *_) = survey(MENTIONS, "k8s/api.yaml")
    assert str(first) == (
        "k8s/api.yaml:2:17: scratch://api is left as it is "
        "(wanted the whole value, got part of one)\n"
        "    hint: give it a value of its own, or leave it if it is only text"
    )


def test_so_they_are_in_text_that_is_no_yaml() -> None:
    text = "\t@\na: b scratch://api\nc: |\n  # scratch://api\n  x\n#d: scratch://api\n"
    assert _mentions(text) == ["2:6: scratch://api", "4:5: scratch://api"]
    text = 'services:\n\tapi:\n\t\timage: scratch://api\r\n  b: "scratch://web\n'
    assert _mentions(text) == ["3:10: scratch://api", "4:7: scratch://web"]
    assert _resolve(text) == text


def test_text_that_only_mentions_a_reference_stays() -> None:
    text = (
        "a: scratch://api is built from source\n"
        "b: see scratch://api\n"
        "c: xscratch://api\n"
        "d: Scratch://api\n"
        "e: 'scratch://api and\n"
        "  more'\n"
        "scratch://f: g\n"
        "? scratch://h\n"
        ": i\n"
    )
    assert _resolve(text) == text


def test_strings_inside_template_actions_stay() -> None:
    text = 'image: {{ "scratch://api" }}\nother: {{ .x | default "scratch://api" }}\n'
    assert _resolve(text) == text


def test_a_template_in_a_name_is_told_as_it_is_written() -> None:
    text = '{{ if .x }}\nimage: "scratch://{{ .Values.name }}"\n{{ end }}\n'
    with pytest.raises(
        ConfigErrors, match=r"^k8s/api.yaml:2:8: unknown image '{{ .Values.name }}'"
    ):
        _resolve(text)


def test_an_action_that_never_ends_hides_nothing() -> None:
    text = "{{ if .x\nimage: scratch://api\n"
    assert _lines(text) == [(2, "image: API")]


def test_files_with_byte_order_marks_that_were_joined() -> None:
    text = "\ufeffa: scratch://api\n\ufeffb: scratch://api\n@: @\n---\n\ufeffc: scratch://api\n"
    assert _resolve(text) == text.replace("scratch://api", API)
    assert _resolve("\ufeff" + text) == "\ufeff" + _resolve(text)
