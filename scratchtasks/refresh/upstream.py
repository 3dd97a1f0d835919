"""Ask the indexes that pip is configured with what releases there are."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.logins import without_logins

from .index import Release, parse_page
from .pip_session import UNKNOWN_PIP

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process that asks ended."""

    code: int
    stdout: bytes
    stderr: bytes


RunModule = Callable[[str, Sequence[str]], Ended]
"""Runs `python -m MODULE ARGS…` with the user's environment, in an empty folder."""


def releases_of(
    names: Sequence[str],
    run_module: RunModule,
    now: float,
    optional: Collection[str] = (),
) -> Mapping[str, tuple[Release, ...]]:
    """The wheels of each of *names*, all indexes together; an earlier index counts first.

    Files without a SHA-256 are left out.  Those in *optional* may be in no index.

    Raises: ConfigErrors with what is wrong with every index: it cannot be reached, answers with
    something else, or its clock is a day from *now* (seconds since 1970), for then cooldowns and
    expiry dates are nonsense.
    """
    if not names:
        return {}
    ended = run_module("scratchtasks.refresh.pip_session", names)
    if ended.code:
        raise ConfigErrors((_refusal(ended),))
    found: dict[str, dict[str, Release]] = {name: {} for name in names}
    faults: list[ConfigError] = []
    absent: dict[str, list[str]] = {name: [] for name in names}
    bare: dict[str, list[str]] = {name: [] for name in names}
    for answer in json.loads(ended.stdout):
        name, where = answer["name"], answer["where"]
        try:
            if answer.get("status") == 404:
                absent[name].append(where)
                continue
            page = _page(answer, name, where, now)
            if page and not any(release.is_whole for release in page):
                bare[name].append(where)
            for release in page:
                if release.is_whole and _is_before(release, answer.get("before")):
                    found[name].setdefault(release.filename, release)
        except ConfigError as error:
            faults.append(error)
    for name in names:
        if found[name] or faults or name in optional:
            continue
        if bare[name]:
            what = f"is listed without any SHA-256 (asked {', '.join(bare[name])})"
            hint = "scratch.lock holds files to theirs: use an index that tells it (PEP 503)"
            faults.append(ConfigError(name, what, hint))
        elif absent[name]:
            places = ", ".join(absent[name])
            faults.append(ConfigError(name, f"is in no index (asked {places})"))
    if faults:
        raise ConfigErrors(tuple(faults))
    return {name: tuple(each.values()) for name, each in found.items()}


def _page(answer: Mapping[str, Any], name: str, where: str, now: float) -> tuple[Release, ...]:
    if "error" in answer:
        status = answer.get("status")
        hint = "is the index reachable? `pip config list` shows what pip uses"
        if status in (401, 403, 407):
            hint = "pip takes credentials from netrc, keyring or its index-url"
        raise ConfigError(where, answer["error"], hint)
    _check_clock(answer["date"], where, now)
    return parse_page(base64.b64decode(answer["body"]), answer["type"], name, where)


def _is_before(release: Release, limit: float | None) -> bool:
    """Whether pip's own `uploaded-prior-to` lets it have *release*."""
    return limit is None or release.uploaded is None or release.uploaded < limit


def _check_clock(date: str, where: str, now: float) -> None:
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return  # many a private index has no clock to tell of
    if abs(theirs - now) > _DAY:
        ours = datetime.fromtimestamp(now, UTC)
        raise ConfigError(
            where,
            f"its clock says {datetime.fromtimestamp(theirs, UTC):%Y-%m-%d %H:%M}, "
            f"this machine's {ours:%Y-%m-%d %H:%M}",
            "set the clock: cooldowns and expiry dates hang on it",
        )


def _refusal(ended: Ended) -> ConfigError:
    said = (ended.stderr.strip() or ended.stdout.strip()).decode("utf-8", "replace")
    lines = said.splitlines() or ["nothing"]
    # Of a traceback the last line tells; what pip finds wrong with its configuration takes three.
    told = lines[-1] if "Traceback" in said else " ".join(lines[-3:])
    told = without_logins(told)[:300]
    if ended.code == UNKNOWN_PIP:
        return ConfigError("pip", f"is of a version that cannot be asked ({told})", "update pip")
    return ConfigError("pip", f"ended with status {ended.code}: {told}")
