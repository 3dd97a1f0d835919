"""Charts join an image from several values; each gets its part."""

from typing import Any

import pytest
import yaml

from scratchtasks.config.yaml_document import parse_yaml
from scratchtasks.manifests.references import lookup_in, references, resolve

from .samples import API, IMAGES, LOCAL, WEB

_REPOSITORY, _, _DIGEST = API.partition("@")
_HEX = _DIGEST.removeprefix("sha256:")


def _resolve(text: str, images: dict[str, str] = IMAGES) -> str:
    return resolve(text, "values.yaml", lookup_in(images))


@pytest.mark.parametrize(
    ("tag", "resolved"),
    [
        ("tag: v1 # moves", f'tag: "{_HEX}" # moves'),
        ("tag: 'v1'", f"tag: '{_HEX}'"),
        ('tag: ""', f'tag: "{_HEX}"'),
        ("tag:", f'tag: "{_HEX}"'),
        ("tag:  # default: appVersion", f'tag: "{_HEX}"  # default: appVersion'),
        ("tag: &t", f'tag: &t "{_HEX}"'),
        ("tag: ~", f'tag: "{_HEX}"'),
        ("tag: *v", f'tag: "{_HEX}"'),
        ("tag: 1.20", f'tag: "{_HEX}"'),
    ],
)
def test_repository_and_tag(tag: str, resolved: str) -> None:
    before = f"v: &v 1\nimage:\n  repository: scratch://api\n  pullPolicy: Always\n  {tag}\n"
    after = _resolve(before)
    assert after == before.replace("scratch://api", f"{_REPOSITORY}@sha256").replace(tag, resolved)
    image = yaml.safe_load(after)["image"]
    assert f"{image['repository']}:{image['tag']}" == API


@pytest.mark.parametrize("tag", ["tag:\n  - a", "tag: {a: b}", "tag: [a]", "tags: a"])
def test_a_tag_that_is_no_single_value_stays(tag: str) -> None:
    before = f"image:\n  repository: scratch://api\n  {tag}\nother: {{tag: b}}\n"
    assert _resolve(before) == before.replace("scratch://api", API)


def test_digest_and_registry() -> None:
    before = "image: {registry: docker.io, repository: scratch://api, tag: v1, digest: ''}"
    image = yaml.safe_load(_resolve(before))["image"]
    assert image == {
        "registry": "registry.example.com",
        "repository": "team/api",
        "tag": "v1",
        "digest": _DIGEST,
    }


def test_neighbours_come_from_the_same_mapping_only() -> None:
    before = (
        "tag: outer\n"
        "a:\n"
        "  b: {tag: inner, list: [tag: x]}\n"
        "  repository: scratch://api\n"
        "c:\n"
        "  - tag: z\n"
        "  - repository: scratch://web\n"
        "    tag: last\n"
    )
    after: Any = yaml.safe_load(_resolve(before))
    assert after["tag"] == "outer"
    assert after["a"]["b"] == {"tag": "inner", "list": [{"tag": "x"}]}
    assert after["a"]["repository"] == API
    assert after["c"][0] == {"tag": "z"}
    assert after["c"][1]["tag"] == "07" * 32


def test_only_a_repository_changes_its_neighbours() -> None:
    before = "image: scratch://api\ntag: v1\n"
    assert _resolve(before) == before.replace("scratch://api", API)


@pytest.mark.parametrize("digest", ["", "sha256:00"])
def test_a_local_image_id_is_joined_too(digest: str) -> None:
    before = '{"image": {"repository": "scratch://api", "tag": null, "digest": "X"}}'
    image = yaml.safe_load(_resolve(before.replace("X", digest), LOCAL))["image"]
    assert f"{image['repository']}:{image['tag']}" == LOCAL["api"]
    assert image["digest"] == ""


@pytest.mark.parametrize("host", ["ghcr.io", "'ghcr.io'"])
def test_a_local_image_is_in_no_registry(host: str) -> None:
    before = f"registry: {host}\nrepository: scratch://api\ntag:\n"
    image = yaml.safe_load(_resolve(before, LOCAL))
    assert image["registry"] == ""
    assert f"{image['repository']}:{image['tag']}" == LOCAL["api"]


ALIASES = """\
x: &api scratch://api
image: *api
first: {repository: *api, tag: v1}
second:
  registry: docker.io
  repository: &inner scratch://api
  digest: ""
third: {repository: *inner, tag: v1, digest: ''}
pods: [*inner, *api]
"""


def test_an_alias_stays_one_where_it_means_the_same() -> None:
    after = _resolve(ALIASES)
    host, _, path = _REPOSITORY.partition("/")
    assert after == (
        f"x: &api {API}\n"
        "image: *api\n"
        f'first: {{repository: {_REPOSITORY}@sha256, tag: "{_HEX}"}}\n'
        "second:\n"
        f'  registry: "{host}"\n'
        f"  repository: &inner {path}\n"
        f'  digest: "{_DIGEST}"\n'
        f"third: {{repository: {_REPOSITORY}, tag: v1, digest: '{_DIGEST}'}}\n"
        f"pods: [{API}, *api]\n"
    )
    yaml.safe_load(after)


def test_what_repeats_a_tag_elsewhere_means_what_it_meant() -> None:
    text = (
        "image: {repository: scratch://api, tag: &tag '1.2'}\n"
        "other: {repository: scratch://web, tag: *tag}\n"
        "labels: {version: *tag, again: [*tag]}\n"
    )
    web = WEB.rpartition(":")
    assert _resolve(text) == (
        f"image: {{repository: {_REPOSITORY}@sha256, tag: &tag '{_HEX}'}}\n"
        f'other: {{repository: {web[0]}, tag: "{web[2]}"}}\n'
        "labels: {version: '1.2', again: ['1.2']}\n"
    )
    text = "image: {repository: scratch://api, registry: &host docker.io}\nother: *host\n"
    assert yaml.safe_load(_resolve(text))["other"] == "docker.io"


@pytest.mark.parametrize(
    ("heir", "after"),
    [
        ("{<<: *base, tag: v2}", f'{{<<: *base, tag: "{_HEX}"}}'),
        ("{<<: *base, pullPolicy: Never}", "{<<: *base, pullPolicy: Never}"),
        ("{<<: *base, repository: other, tag: v2}", "{<<: *base, repository: other, tag: v2}"),
        ("{<<: *base, digest: ''}",
         f"{{\"repository\": \"{_REPOSITORY}\", <<: *base, digest: '{_DIGEST}'}}"),
        ("\n  <<: *base\n  registry: x\n",
         f'\n  repository: {_REPOSITORY.partition("/")[2]}@sha256\n  <<: *base\n'
         f'  registry: "{_REPOSITORY.partition("/")[0]}"\n'),
        ("\n  tag: >-\n    v2\n  <<: *base\n", f'\n  tag: "{_HEX}"\n  <<: *base\n'),
    ],
)  # fmt: skip
def test_what_merges_a_repository_gets_its_own_parts(heir: str, after: str) -> None:
    base = "base: &base\n  repository: X\n  tag: Y\nweb: Z"
    before = base.replace("X", "scratch://api").replace("Y", "v1").replace("Z", heir)
    assert _resolve(before) == base.replace("X", f"{_REPOSITORY}@sha256").replace(
        "Y", f'"{_HEX}"'
    ).replace("Z", after)


@pytest.mark.parametrize("style", ["[*{}, *{}]", "\n    - *{}\n    - *{}"])
@pytest.mark.parametrize(
    ("order", "own", "image"),
    [
        ("base more", "", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX, "x": "y"}),
        ("base more", "tag: v2", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX, "x": "y"}),
        ("more base", "tag: v2", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX, "x": "y"}),
        ("tagged base", "", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX}),
        ("base tagged", "", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX}),
        ("digest base", "", {"repository": _REPOSITORY, "digest": _DIGEST, "tag": _HEX}),
        ("base digest", "", {"repository": _REPOSITORY, "digest": _DIGEST, "tag": _HEX}),
        ("other base", "", {"repository": "nginx", "tag": _HEX}),
        ("other base", "tag: v2", {"repository": "nginx", "tag": "v2"}),
        ("none base", "tag: v2", {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX}),
    ],
)
def test_what_merges_a_list_gets_the_parts_of_the_first(
    order: str, own: str, image: dict[str, object], style: str
) -> None:
    before = (
        "base: &base {repository: scratch://api, tag: v1}\n"
        "more: &more {x: y}\n"
        "tagged: &tagged {tag: v3}\n"
        "digest: &digest {digest: old}\n"
        "other: &other {repository: nginx}\n"
        "none: &none []\n"
        f"web:\n  <<: {style.format(*order.split())}\n  {own}\n"
    )
    after = _resolve(before)
    if "none" in order:  # which no reader takes, and so nobody needs to write
        assert f'tag: "{_HEX}"' in after.partition("web:")[2]
        return
    assert _read(after)["web"] == image


def _read(text: str) -> Any:
    # Not by PyYAML: of a list's mappings 6.0.4 takes now the first, now the last.
    return parse_yaml(text, "values.yaml")


def test_a_mapping_that_is_written_into_a_list_counts() -> None:
    before = "base: &base {repository: scratch://api, tag: v1}\nweb: {<<: [{tag: v3}, *base]}\n"
    image = {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX}
    assert _read(_resolve(before))["web"] == image


def test_what_merges_a_repository_alone_may_have_the_tag() -> None:
    before = "base: &base {repository: scratch://api}\nweb: {<<: *base, tag: v2}\n"
    assert yaml.safe_load(_resolve(before)) == {
        "base": {"repository": API},
        "web": {"repository": f"{_REPOSITORY}@sha256", "tag": _HEX},
    }


def test_a_mapping_of_something_else_by_that_name_is_not_merged() -> None:
    before = (
        "a: &x {repository: scratch://api}\nb: {<<: *x, c: *x}\nd: &x [1]\ne: {<<: *x, tag: v2}\n"
    )
    assert _resolve(before) == before.replace("scratch://api", API)


def test_an_alias_of_something_else_by_that_name_stays() -> None:
    before = (
        "a: &x scratch://api\nb: &x {c: d}\nrepository: *x\ntag: v\n"
        "---\nrepository: *x\ntag: v\nz: scratch://api\n"
    )
    assert _resolve(before) == before.replace("scratch://api", API)


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("image:\n  repository: scratch://api\n", True),
        ("image:\n  repository: scratch://api\n  registry: ''\n", True),
        ("image: {repository: *x}\nx: scratch://api", False),  # no such anchor
        ("image: {tag: v1, repository: scratch://api}", False),
        ("image: {repository: scratch://api, digest: }", False),
        ("image: scratch://api", False),
    ],
)
def test_a_repository_without_a_tag_is_told(text: str, is_told: bool) -> None:
    (found,) = references(text, "values.yaml")
    assert found.note == is_told * (
        "values.yaml:2:15: scratch://api gets the digest with the repository "
        "(wanted a tag beside it, got none)\n"
        '    hint: write tag: "" beside it, if the chart joins the two'
    )


def test_so_is_one_that_an_alias_fills_in() -> None:
    (found,) = references("x: &x scratch://api\nimage: {repository: *x}\n", "values.yaml")
    assert found.note.startswith("values.yaml:1:7: scratch://api gets the digest with ")


@pytest.mark.parametrize(
    "before",
    [
        'image:\n{{- if .x }}\n  repository: scratch://api\n{{- end }}\n  tag: "v1"\n',
        '{"a\u2028b": 1,\n\t"\\ud83d": "\x7f", "repository": "scratch://api",\n\t"tag": "v1"}',
        "tag:\n? [a]\n: b\nc: {repository: scratch://api,\n  &a tag: v1}\n",
    ],
)
def test_neighbours_are_found_in_odd_documents(before: str) -> None:
    after = _resolve(before)
    assert f"{_REPOSITORY}@sha256" in after
    assert _HEX in after
    assert API not in after
