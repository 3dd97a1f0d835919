"""A trial: what is run in an image, as whom, and whether what came of it is what was wanted.

Source: OCI image-spec v1.1, config.md; how Docker combines entrypoint, cmd and arguments.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.target import Smoke
from scratchtasks.store.blobs import ContentStore

from .matching import first_matches

SHOWN = 4096
"""Bytes of each output stream that a failed trial shows."""

_USER = re.compile(r"([0-9]+)(?::([0-9]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """*argv* run in *image* as *uid*:*gid*, under the terms of *definition*.

    *env* is all of the program's environment except what every container gets (HOME and
    HOSTNAME); *volumes* are the absolute paths that stay writable in a read-only root.  Those
    *before* it run first, in the same root file system, however they end.
    """

    image: PlatformImage
    definition: Smoke
    argv: tuple[str, ...]
    env: Mapping[str, str]
    uid: int
    gid: int
    workdir: str
    volumes: tuple[str, ...]
    before: tuple["Trial", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial.

    *code* is the exit code, 128 + N after signal N, None when it had to be ended; *refusal* is
    why the program could not even be started, or "".  *answer* is the HTTP status of the last
    probe, or why there was none; "" without a probe.  The streams hold at most their last MiB.
    """

    code: int | None
    stdout: bytes
    stderr: bytes
    answer: str = ""
    refusal: str = ""


def stopped_before(step: Trial, outcome: Outcome) -> Outcome | None:
    """What a trial comes to if *outcome* of a *step* before it leaves nothing to try."""
    if outcome.refusal:
        reason = f"setup {step.argv[0]}: {outcome.refusal}"
    elif outcome.code is None:
        reason = f"setup {step.argv[0]} still ran after {step.definition.timeout_seconds} s"
    else:
        return None
    return replace(outcome, refusal=reason)


class Unusable(Exception):
    """This way of running a trial does not work here; the message says why."""


def trial_of(image: PlatformImage, definition: Smoke, store: ContentStore, where: str) -> Trial:
    """What *definition* asks to be run in *image*.

    Without a command it is the image's entrypoint, and then arguments replace the image's cmd.

    Raises: SinkError (nothing to run, a user that is no number); StoreError (blobs missing).
    """
    config = json.loads(store.read(image.config.digest))
    runtime: dict[str, Any] = config.get("config") or {}
    if definition.command:
        argv = (*definition.command, *definition.args)
    else:
        argv = (*runtime.get("Entrypoint", ()), *(definition.args or runtime.get("Cmd", ())))
    if not argv:
        raise SinkError(where, "nothing to run", "set smoke.command or image.entrypoint")
    user = _USER.fullmatch(runtime.get("User") or "0:0")
    if user is None:
        raise SinkError(where, f"image user: wanted UID:GID, got {runtime['User']!r}")
    env = dict(item.partition("=")[::2] for item in runtime.get("Env", ()))
    return Trial(
        image=image,
        definition=definition,
        argv=argv,
        env={**env, **definition.env},
        uid=int(user[1]),
        gid=int(user[2] or 0),
        workdir=runtime.get("WorkingDir") or "/",
        volumes=tuple(sorted(runtime.get("Volumes") or ())),
    )


def is_satisfied(definition: Smoke, stdout: bytes, stderr: bytes) -> bool:
    """Whether both outputs hold what they should.  Raises: Endless."""
    return None not in _matches(definition, stdout, stderr)


def faults_of(trial: Trial, outcome: Outcome) -> list[str]:
    """Each way in which *outcome* is not what was wanted, in plain words.  Raises: Endless."""
    wanted = trial.definition
    if outcome.refusal:
        return [f"{trial.argv[0]} cannot be started: {outcome.refusal}"]
    faults = []
    if wanted.http_path:
        faults += _probe_faults(wanted, outcome)
    elif outcome.code is None:
        faults.append(f"still running after {wanted.timeout_seconds} s")
    elif outcome.code != wanted.exit_code:
        faults.append(f"exit code: wanted {wanted.exit_code}, got {_shown_code(outcome.code)}")
    found = _matches(wanted, outcome.stdout, outcome.stderr)
    for name, pattern, output, match in (
        ("stdout", wanted.stdout, outcome.stdout, found[0]),
        ("stderr", wanted.stderr, outcome.stderr, found[1]),
    ):
        if match is None:
            faults.append(f"{name}: wanted a match of {pattern!r}, got {_shown_output(output)}")
    return faults


def excerpt(where: str, outcome: Outcome) -> bytes:
    """What the program printed, for people: at most the last 4 KiB of each stream."""
    parts = []
    for name, output in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        if output:
            size = f", the last {SHOWN} bytes" if len(output) > SHOWN else ""
            end = b"" if output.endswith(b"\n") else b"\n"
            parts.append(f"{where}: {name}{size}:\n".encode() + output[-SHOWN:] + end)
    return b"".join(parts)


def _matches(wanted: Smoke, stdout: bytes, stderr: bytes) -> list[str | None]:
    return first_matches([(wanted.stdout, text_of(stdout)), (wanted.stderr, text_of(stderr))])


def _probe_faults(wanted: Smoke, outcome: Outcome) -> list[str]:
    if outcome.answer == str(wanted.http_status):
        return []
    what = f"GET :{wanted.http_port}{wanted.http_path}: wanted status {wanted.http_status}"
    if outcome.code is not None:
        return [f"{what}, the program ended with exit code {_shown_code(outcome.code)}"]
    return [f"{what} within {wanted.timeout_seconds} s, got {outcome.answer or 'no answer'}"]


def _shown_code(code: int) -> str:
    import signal

    try:
        return f"{code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return str(code)


def _shown_output(output: bytes) -> str:
    if not output:
        return "nothing"
    text = text_of(output)
    return repr(text) if len(text) <= 80 else f"{len(output)} bytes without one"


def text_of(output: bytes) -> str:
    """*output* for patterns and people."""
    return output.decode(errors="replace")
