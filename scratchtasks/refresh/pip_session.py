"""Fetch index pages through pip's own session: `python -m … NAME…` prints them as JSON.

A process of its own, because pip is no library: it promises nothing about being imported.  What
a page is fetched with (index, extra indexes, proxy, netrc, keyring, CA bundle, client
certificate, trusted hosts) is then pip's own reading of pip's own configuration.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from scratchtasks.core.logins import without_logins

_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
    "text/html; q=0.01"
)
_MAX_PAGE = 32 << 20
UNKNOWN_PIP = 70
"""The exit status when this pip has no such insides (EX_SOFTWARE)."""

_NO_URL = "is an index or a proxy no URL?"
"""Instead of Python's words, which are pieces of it, of a password that holds a slash too."""


def main(names: Sequence[str]) -> int:
    """Print, as JSON, each index's answer about each of *names*."""
    try:
        answers = [dict(answer) for answer in _answers(names)]
    except (ImportError, AttributeError, TypeError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return UNKNOWN_PIP
    except ValueError:
        sys.stderr.write(f"ValueError: {_NO_URL}\n")
        return 1
    sys.stdout.write(json.dumps(answers))
    return 0


def _answers(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    from pip._internal.commands import create_command
    from pip._internal.index.collector import LinkCollector

    command: Any = create_command("download")
    options, _ = command.parse_args(["--no-input", "--no-cache-dir", *names])
    # Since pip 26: what it would not download is not there, to us either.
    limit = getattr(options, "uploaded_prior_to", None)
    before = {"before": limit.timestamp()} if limit is not None else {}
    with command.main_context():
        session = command.get_default_session(options)
        session.auth.prompting = False
        collector = LinkCollector.create(session, options)
        for name in names:
            urls = collector.search_scope.get_index_urls_locations(name)
            for url in urls:
                where = without_logins(re.sub(r"\s", "%20", url))
                yield {"name": name, "where": where, **before, **_answer(session, url)}
            if not urls:
                yield {"name": name, "where": "pip", "error": "has no index (no-index is set)"}


def _answer(session: Any, url: str) -> dict[str, Any]:
    from pip._internal.models.link import Link
    from pip._vendor.requests.exceptions import RequestException

    if not session.is_secure_origin(Link(url)):
        return {"error": "is neither HTTPS nor a trusted-host of pip's"}
    if url.startswith("file:"):
        url = url.rstrip("/") + "/index.html"
    try:
        with session.get(url, headers={"Accept": _ACCEPT}, stream=True) as response:
            return _read(response)
    except RequestException as error:
        return {"error": _why(error)}
    except OSError as error:
        return {"error": f"cannot be read ({without_logins(str(error))[:200]})"}


def _read(response: Any) -> dict[str, Any]:
    if response.status_code >= 400:
        return {"status": response.status_code, "error": f"answers {response.status_code}"}
    body = bytearray()
    for chunk in response.iter_content(1 << 16):
        body += chunk
        if len(body) > _MAX_PAGE:
            return {"error": f"sends more than {_MAX_PAGE} bytes"}
    headers = response.headers
    length = str(headers.get("Content-Length", ""))
    # pip's HTTP library does not mind when a connection ends early.
    if length.isdigit() and "Content-Encoding" not in headers and int(length) != len(body):
        return {"error": f"was cut short (wanted {length} bytes, got {len(body)})"}
    return {
        "type": headers.get("Content-Type", "text/html"),
        "date": headers.get("Date", ""),
        "body": base64.b64encode(body).decode(),
    }


def _why(error: Exception) -> str:
    kind = type(error).__name__
    if isinstance(error, ValueError):  # InvalidURL, InvalidProxyURL, InvalidSchema, MissingSchema
        return f"cannot be reached ({kind}: {_NO_URL})"
    text = without_logins(str(error))
    # The last cause says it best: "[Errno 111] Connection refused", "certificate verify failed".
    inner = re.findall(
        r"(\[Errno[^\]]*\][^'\")]*|certificate verify failed[^'\")]*|timed out"
        r"|too many \d+ error responses)",
        text,
    )
    return f"cannot be reached ({kind}: {inner[-1].strip() if inner else text[-200:]})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
