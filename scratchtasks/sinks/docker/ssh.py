"""`ssh://` hosts: each connection is one `ssh HOST docker system dial-stdio`, as the CLI does it.

The user's own ssh program brings keys, agent, jump hosts and known_hosts with it; the SDK's own
way needs paramiko, which does not know all of them.
"""

import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scratchtasks.core.errors import SinkError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.transport.unixconn import UnixHTTPAdapter

_BASE = "http+docker://ssh"


def ssh_command(url: str) -> list[str]:
    """The command whose stdin and stdout lead to the engine at *url*.

    Raises: SinkError when *url* is no `ssh://[USER@]HOST[:PORT][/SOCKET]`.
    """
    wanted = "wanted ssh://[USER@]HOST[:PORT][/SOCKET]"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SinkError("docker", f"{wanted}, got {url!r}: {error}") from None
    if parts.password is not None:
        raise SinkError("docker", "an ssh:// host must not hold a password", "use a key")
    # ssh would take a name that begins with a dash for an option.
    if not host or host.startswith("-") or parts.query or parts.fragment:
        raise SinkError("docker", f"{wanted}, got {url!r}")
    argv = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if parts.username:
        argv.append(f"-l{parts.username}")
    if port:
        argv.append(f"-p{port}")
    # A shell reads the rest, at the other end.
    remote = [f"--host={shlex.quote('unix://' + parts.path)}"] if parts.path.strip("/") else []
    return [*argv, "--", host, "docker", *remote, "system", "dial-stdio"]


def client_over_ssh(
    argv: Sequence[str], env: Mapping[str, str], version: str, timeout: int
) -> "DockerClient":
    """A client, not connected yet, of the engine that *argv*, from ssh_command, leads to.

    *timeout* is in seconds of silence.
    """
    from docker import DockerClient

    # As a version is given, nothing connects before the adapter is in its place.
    client = DockerClient(base_url="tcp://127.0.0.1:1", version=version, timeout=timeout)
    client.api.mount(_BASE, _adapter(argv, env, timeout))
    client.api.base_url = _BASE
    return client


def _adapter(argv: Sequence[str], env: Mapping[str, str], timeout: int) -> "UnixHTTPAdapter":
    """HTTP over the stdin and stdout of *argv*; classes in here, for the SDK is imported late."""
    from docker.transport.unixconn import (
        UnixHTTPAdapter,
        UnixHTTPConnection,
        UnixHTTPConnectionPool,
    )

    class Connection(UnixHTTPConnection):
        program: subprocess.Popen[bytes] | None = None

        def connect(self) -> None:
            self.sock, self.program = _dial(argv, env)
            self.sock.settimeout(timeout)

        def close(self) -> None:
            super().close()
            program, self.program = self.program, None
            if program is not None:
                program.terminate()
                program.wait()

    class Pool(UnixHTTPConnectionPool):
        def _new_conn(self) -> Connection:  # type: ignore[override]  # stubs know HTTPS only
            return Connection("localhost", "", timeout)

    class Adapter(UnixHTTPAdapter):
        pool = Pool("localhost", "", timeout)

        def get_connection(self, url: str | bytes, proxies: object = None) -> Pool:
            return self.pool

        def close(self) -> None:
            super().close()
            self.pool.close()

    return Adapter("http+unix://ssh", timeout)


def _dial(
    argv: Sequence[str], env: Mapping[str, str]
) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    ours, its = socket.socketpair()
    with its:
        try:
            # A session of its own: Ctrl-C is for us, who then close the connection.
            program = subprocess.Popen(
                argv, stdin=its.fileno(), stdout=its.fileno(), env=dict(env), start_new_session=True
            )
        except OSError as error:
            ours.close()
            raise OSError(error.errno, f"cannot run {argv[0]}: {error.strerror}") from None
    return ours, program
