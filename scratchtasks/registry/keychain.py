"""Credential helpers: programs named `docker-credential-NAME` that know passwords.

Source: docker-credential-helpers, "Development": the server's name comes on standard input, JSON
goes to standard output, and so does the message when the exit status is not 0.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scratchtasks.core.errors import SinkError

from .credentials import is_unicode
from .errors import clean

if TYPE_CHECKING:
    from subprocess import Popen

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OUTPUT_LIMIT = 1 << 20
_LOOK = 50
"""Milliseconds between looks whether the program has ended."""

_NOT_FOUND = "credentials not found"


def ask_helper(
    name: object,
    server: str,
    origin: str,
    env: Mapping[str, str],
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> tuple[str, str] | None:
    """The user name and secret that helper *name* has for *server*, None when it has none.

    *origin* is the file that names the helper.  The program is looked for on *env*'s PATH, gets
    *env*, and is ended with all its children after *seconds*, or once *check*, asked all the time,
    raises.

    Raises: SinkError when it is not there, fails, hangs, or says something else; what *check* does.
    """
    import shutil
    import subprocess

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SinkError(origin, f"wanted the name of a credential helper, got {str(name)[:80]!r}")
    program = f"docker-credential-{name}"
    path = shutil.which(program, path=env.get("PATH", os.defpath))
    if path is None:
        raise SinkError(
            origin,
            f"the credential helper {program} is not on PATH",
            f"install it, or edit {origin}",
        )
    try:
        process = subprocess.Popen(
            [path, "get"],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SinkError(path, f"cannot be started: {error.strerror}") from None
    with process:
        try:
            output = _talk(process, server, time.monotonic() + seconds, check)
        finally:
            if process.poll() is None:
                _end(process.pid)
    if output is None:
        raise SinkError(f"{program} get", f"no answer for {server} within {seconds:g} s")
    if len(output) > _OUTPUT_LIMIT:
        raise SinkError(f"{program} get", f"wanted at most {_OUTPUT_LIMIT} bytes for {server}")
    if process.returncode:
        said = clean(output[:2000].decode("utf-8", "replace"))
        if _NOT_FOUND in said:
            return None
        raise SinkError(
            f"{program} get",
            f"failed for {server} with exit status {process.returncode}"
            + (f": {said}" if said and "{" not in said else ""),
        )
    return _answer(output, program, server)


def _talk(
    process: "Popen[bytes]", server: str, until: float, check: Callable[[], None]
) -> bytes | None:
    """What *process* says of *server*, up to a byte too many; None when it has not ended *until*.

    A child that it leaves behind (an agent, say) may hold its output open for ever: what was
    said when the helper itself has ended is all.
    """
    import select
    import subprocess

    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(server.encode() + b"\n")
        process.stdin.close()
    except BrokenPipeError:
        pass  # it does not care; its exit status tells why
    pipe = select.poll()
    pipe.register(process.stdout, select.POLLIN)
    output, piece = b"", b"?"
    while piece and len(output) <= _OUTPUT_LIMIT and time.monotonic() < until:
        check()
        has_ended = process.poll() is not None
        if pipe.poll(_LOOK):
            piece = os.read(process.stdout.fileno(), 65536)
            output += piece
        elif has_ended:
            return output
    if len(output) > _OUTPUT_LIMIT:
        return output
    while True:
        try:
            process.wait(_LOOK / 1000)
        except subprocess.TimeoutExpired:
            check()
            if time.monotonic() >= until:
                return None
        else:
            return output


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended just now


def _answer(output: bytes, program: str, server: str) -> tuple[str, str] | None:
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        value = None
    username = value.get("Username") if isinstance(value, dict) else None
    secret = value.get("Secret") if isinstance(value, dict) else None
    if (
        not isinstance(username, str)
        or not isinstance(secret, str)
        or not is_unicode(username + secret)
    ):
        # What it printed may be a secret in another form: never shown.
        raise SinkError(
            f"{program} get",
            f"wanted JSON with Username and Secret for {server}, got something else",
        )
    return (username, secret) if username and secret else None
