"""What is a reference and what is not, in manifests as people write them."""

from typing import Any

import pytest
import yaml

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.manifests.references import check_names, lookup_in, references, resolve

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
        (11, "- list:   API"),
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
        "    hint: did you mean 'api'?\n"
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
