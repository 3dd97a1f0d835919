"""What went wrong in the SDK or below HTTP, in words for the user."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

from scratchtasks.core.errors import SinkError


@contextmanager
def sdk_errors(where: str) -> Iterator[None]:
    """Everything that the SDK raises, as SinkError."""
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, OSError) as error:  # what requests raises is an OSError
        reason = str(getattr(error, "explanation", None) or reason_of(error))
        raise SinkError(where, f"docker: {reason}") from None


def reason_of(error: BaseException) -> str:
    """Why *error* happened, without the wrappings of the SDK's layers."""
    for cause in _chain(error):
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return "it closed the connection"
        if isinstance(cause, http.client.HTTPException):
            return f"its answer is not HTTP: {str(cause).strip()[:80]!r}"
        if isinstance(cause, json.JSONDecodeError):
            return f"its answer is not JSON: {cause.doc[:80]!r}"
        if isinstance(cause, TimeoutError):
            return "it does not answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(error).removeprefix("Error while fetching server API version: ").rstrip(".")


def has_timed_out(error: BaseException) -> bool:
    """Whether *error* came of waiting for an answer; to ask again is to wait again."""
    return any(isinstance(cause, TimeoutError) for cause in _chain(error))


def hint_for(error: BaseException) -> str:
    """What to do about *error*, met while connecting."""
    if any(isinstance(cause, PermissionError) for cause in _chain(error)):
        return "join the group that owns the socket (often docker), or use a rootless engine"
    return "start Docker, or set DOCKER_HOST"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__
