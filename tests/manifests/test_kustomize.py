"""Kustomize joins an image from `newName`, `newTag` and `digest`."""

from typing import Any

import pytest
import yaml

from scratchtasks.manifests.references import lookup_in, resolve

from .samples import API, IMAGES, LOCAL, WEB

_REPOSITORY, _, _DIGEST = API.partition("@")
_LOCAL_HEX = LOCAL["api"].removeprefix("sha256:")

KUSTOMIZATION = """\
images:
- name: api   # scratch://api
  newName: scratch://api # ours
  newTag: v1
-   newName: 'scratch://web'
    name: web
  # the last
- {name: other, newName: "scratch://api"}
- name: pinned
  digest: sha256:00
  newName: scratch://api
"""


def _resolve(text: str, images: dict[str, str] = IMAGES) -> str:
    return resolve(text, "kustomization.yaml", lookup_in(images))


def _image(entry: dict[str, str], old: str) -> str:
    """What kustomize 5 makes of the image *old* (`name:tag`) for *entry* of `images`.

    Source: kustomize, api/filters/imagetag/updater.go.
    """
    name, _, tag = old.partition(":")
    name, new_tag, digest = entry.get("newName") or name, entry.get("newTag"), entry.get("digest")
    if new_tag or digest:
        tag = new_tag or ""
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def test_what_is_lacking_is_added_and_all_else_stays() -> None:
    assert _resolve(KUSTOMIZATION) == (
        "images:\n"
        "- name: api   # scratch://api\n"
        f"  digest: {_DIGEST}\n"
        f"  newName: {_REPOSITORY} # ours\n"
        "  newTag: v1\n"
        f"-   digest: {WEB.partition('@')[2]}\n"
        f"    newName: '{WEB.partition('@')[0]}'\n"
        "    name: web\n"
        "  # the last\n"
        f'- {{name: other, "digest": "{_DIGEST}", newName: "{_REPOSITORY}"}}\n'
        "- name: pinned\n"
        f"  digest: {_DIGEST}\n"
        f"  newName: {_REPOSITORY}\n"
    )
    windows = KUSTOMIZATION.replace("\n", "\r\n")
    assert _resolve(windows) == _resolve(KUSTOMIZATION).replace("\n", "\r\n")


def test_kustomize_makes_the_image_of_it() -> None:
    first, *others = yaml.safe_load(_resolve(KUSTOMIZATION))["images"]
    assert _image(first, "api:dev") == f"{_REPOSITORY}:v1@{_DIGEST}"  # the digest decides
    assert [_image(each, "x:dev") for each in others] == [WEB, API, API]
    for each in yaml.safe_load(_resolve(KUSTOMIZATION, LOCAL))["images"]:
        assert _image(each, "x:dev") in LOCAL.values()


@pytest.mark.parametrize(
    "before",
    [
        '{"images": [{"newName": "scratch://api"}]}',
        "images:\n- ? newName\n  : scratch://api\n",
        "images:\n-\n  newName: >-\n    scratch://api\n",
        "x: &x scratch://api\nimages: [{newName: *x}]\n",
        "images:\n- newName: &x scratch://api\n- *x\n- newName: *x\nother: *x\n",
        "{{ if .x }}\nimages:\n- newName: scratch://api\n",
    ],
)
def test_however_it_is_written(before: str) -> None:
    after: Any = yaml.safe_load(_resolve(before).replace("{{ if .x }}", ""))
    whole = {"newName": _REPOSITORY, "digest": _DIGEST}
    assert [each for each in after["images"] if each != API] in ([whole], [whole, whole])
    assert after.get("other", API) == API


def test_a_local_id_is_a_name_and_a_tag() -> None:
    before = "images: [{newName: scratch://api, digest: sha256:00}]\n"
    assert yaml.safe_load(_resolve(before, LOCAL))["images"] == [
        {"newName": "sha256", "newTag": _LOCAL_HEX, "digest": ""}
    ]


@pytest.mark.parametrize("images", [IMAGES, LOCAL])
def test_what_stands_beside_it_may_be_a_block(images: dict[str, str]) -> None:
    before = (
        "images:\n"
        "- newName: scratch://api\n"
        "  newTag: |-  # of before\n"
        "    v1\n"
        "  digest: >-\n"
        "    sha256:\n"
        "    00\n"
        "\n"
        "# the last\n"
        "- {name: other}\n"
    )
    name, _, tag = images["api"].partition(":")
    entry = f'newName: "{name}"\n  newTag: "{tag}"\n  digest: ""\n'
    if images is IMAGES:
        entry = f"newName: {_REPOSITORY}\n  newTag: |-  # of before\n    v1\n  digest: {_DIGEST}\n"
    assert _resolve(before, images) == f"images:\n- {entry}\n# the last\n- {{name: other}}\n"


def test_a_block_beside_it_that_is_a_reference_too_is_written_once() -> None:
    before = "newName: scratch://api\ndigest: |\n  scratch://web\nz: 1\n"
    assert _resolve(before) == f"newName: {_REPOSITORY}\ndigest: {_DIGEST}\nz: 1\n"
