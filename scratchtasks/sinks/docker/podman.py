"""Podman by its docker-compatible API: the service that runs, or one of our own for as long."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scratchtasks.core.errors import SinkError

from .connect import connect_to
from .endpoint import Endpoint

if TYPE_CHECKING:
    from docker import DockerClient

_START = 20
"""Seconds that a service of our own may take to listen."""

_IDLE = 5
"""Seconds after which it ends by itself, should nobody be left to end it."""


@contextmanager
def podman(env: Mapping[str, str]) -> "Iterator[DockerClient]":
    """A client of the user's podman.

    CONTAINER_HOST names its service; else it is the user's or the system's, if that listens; else
    `podman system service` is run until the end.

    Raises: SinkError when CONTAINER_HOST does not answer, or podman cannot be run.
    """
    if env.get("CONTAINER_HOST"):
        hint = "start podman's service, or correct CONTAINER_HOST"
        named = Endpoint(env["CONTAINER_HOST"], "from CONTAINER_HOST")
        client = connect_to(named, env, "podman", hint)
    else:
        found = _running(env)
        if found is None:
            with _service(env) as host, _closed(connect_to(Endpoint(host), env, "podman")) as it:
                yield it
            return
        client = found
    with _closed(client) as it:
        yield it


@contextmanager
def _closed(client: "DockerClient") -> "Iterator[DockerClient]":
    try:
        yield client
    finally:
        client.close()


def _running(env: Mapping[str, str]) -> "DockerClient | None":
    folders = [env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"]
    if os.geteuid() == 0:
        folders = ["/run"]
    for folder in folders:
        path = f"{folder}/podman/podman.sock"
        if os.path.exists(path):
            try:
                return connect_to(Endpoint(f"unix://{path}"), env, "podman")
            except SinkError:
                continue  # left by a service that is gone
    return None


@contextmanager
def _service(env: Mapping[str, str]) -> Iterator[str]:
    """The host of a podman service that is ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="podman", ignore_cleanup_errors=True) as folder:
        path = f"{folder}/podman.sock"
        argv = ["podman", "system", "service", f"--time={_IDLE}", f"unix://{path}"]
        with open(f"{folder}/log", "w+b") as log:
            try:
                service = subprocess.Popen(
                    argv,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise SinkError(
                    "podman",
                    f"cannot be run: {error.strerror}",
                    'install it, or set load.engine = "docker"',
                ) from None
            try:
                _await(service, path, f"{folder}/log")
                yield f"unix://{path}"
            finally:
                service.terminate()
                service.wait()


def _await(service: "subprocess.Popen[bytes]", path: str, log: str) -> None:
    deadline = time.monotonic() + _START
    while not os.path.exists(path):
        if service.poll() is not None or time.monotonic() > deadline:
            with open(log, "rb") as file:
                said = file.read()[-500:].decode(errors="replace").strip()
            raise SinkError("podman", f"its service does not start: {said or 'no reason given'}")
        time.sleep(0.02)
