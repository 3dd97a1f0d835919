"""An index's page about one project: what files there are, read from JSON or from HTML."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

from scratchtasks.core.errors import ConfigError, printable
from scratchtasks.core.frozen import dataclass

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
_HTML_TYPES = ("text/html", "application/vnd.pypi.simple.v1+html")
_WHEEL = re.compile(r"([A-Za-z0-9._]+)-([0-9A-Za-z._!+]+)(?:-\d[^-]*)?(?:-[A-Za-z0-9._]+){3}\.whl")
_LONGEST = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One wheel.

    *size* is in bytes, 0 when the index does not say; *uploaded* in seconds since 1970, None
    likewise; *yanked* is why it was withdrawn, "" when it was not.
    """

    version: str
    filename: str
    sha256: str
    size: int = 0
    uploaded: float | None = None
    yanked: str = ""

    @property
    def is_universal(self) -> bool:
        """Whether it is for every platform."""
        return self.filename.endswith("-none-any.whl")

    @property
    def is_whole(self) -> bool:
        """Whether the index gave a SHA-256, without which nothing is fetched."""
        return bool(self.sha256)

    @property
    def date(self) -> str:
        """The day of the upload as `2026-10-18`, or ""."""
        if self.uploaded is None:
            return ""
        return datetime.fromtimestamp(self.uploaded, UTC).strftime("%Y-%m-%d")


def parse_page(data: bytes, content_type: str, name: str, where: str) -> tuple[Release, ...]:
    """The wheels of project *name* that the page *data* lists, as it orders them.

    *content_type* is the page's media type; *where* is the page, for messages.  Files of other
    kinds and names are left out.

    Raises: ConfigError for what is no index page: a captive portal's, half a download, JSON of a
    newer major version.
    Source: PEP 503, 592 (yanked), 691 (JSON), 700 (size, upload-time).
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in (JSON_TYPE, "application/json"):
        found = _from_json(data, name, where)
    elif media_type in _HTML_TYPES:
        found = _from_html(data, where)
    else:
        raise ConfigError(where, f"answers with {media_type[:60]!a} (wanted {JSON_TYPE})", _PORTAL)
    return tuple(each for each in found if _is_of(each, name))


_PORTAL = "is there a captive portal, or a proxy that wants a login? open the address in a browser"


def _from_json(data: bytes, name: str, where: str) -> list[Release]:
    try:
        page = json.loads(data)
        version = str(page["meta"]["api-version"])
        if version.partition(".")[0] != "1":
            raise ConfigError(where, f"speaks version {version[:20]!a} (wanted 1.x)")
        if _normal(str(page["name"])) != _normal(name):
            raise ConfigError(where, f"tells of {str(page['name'])[:60]!a} (wanted {name})")
        return [each for file in page["files"] if (each := _json_file(file)) is not None]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        what = "answers with JSON that is cut short or no index page"
        raise ConfigError(where, what, "try again later") from None


def _json_file(file: dict[str, Any]) -> Release | None:
    filename = file["filename"]
    match = _WHEEL.fullmatch(filename)
    if match is None:
        return None
    sha256, size, yanked = file["hashes"].get("sha256", ""), file.get("size"), file.get("yanked")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise ValueError(sha256)
    uploaded = file.get("upload-time")
    return Release(
        version=match[2],
        filename=filename,
        sha256=sha256,
        size=size if type(size) is int and size > 0 else 0,
        uploaded=None if uploaded is None else _moment(uploaded),
        yanked=_reason(yanked) if yanked else "",
    )


def _reason(given: object) -> str:
    return (printable(given[:_LONGEST]) if isinstance(given, str) else "") or "no reason given"


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC).timestamp()  # its day has to be one in UTC, too


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def _from_html(data: bytes, where: str) -> list[Release]:
    parser = _Anchors()
    parser.feed(data.decode("utf-8", "replace"))
    releases = [each for anchor in parser.found if (each := _html_file(anchor)) is not None]
    if not releases:
        raise ConfigError(where, "answers with a page that is no package index", _PORTAL)
    return releases


def _html_file(anchor: dict[str, str | None]) -> Release | None:
    try:
        url = urlsplit(anchor.get("href") or "")
    except ValueError:
        return None
    filename = unquote(url.path.rpartition("/")[2])
    match = _WHEEL.fullmatch(filename)
    if match is None:
        return None
    kind, _, value = url.fragment.partition("=")
    sha256 = value if kind == "sha256" and _SHA256.fullmatch(value) else ""
    yanked = "data-yanked" in anchor
    return Release(
        version=match[2],
        filename=filename,
        sha256=sha256,
        yanked=_reason(anchor["data-yanked"]) if yanked else "",
    )


def _is_of(release: Release, name: str) -> bool:
    match = _WHEEL.fullmatch(release.filename)
    return (
        match is not None
        and len(release.filename) <= _LONGEST
        and _normal(match[1]) == _normal(name)
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
