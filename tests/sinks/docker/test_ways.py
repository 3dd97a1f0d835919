"""The ways to an engine: TLS as the docker CLI has it, and the user's own ssh program."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks import docker
from scratchtasks.sinks.docker.ssh import ssh_command
from tests.images.authority import write_authority

from .conftest import Engine, host_of
from .made import Made
from .relay import serving


@pytest.fixture
def tls_host(tmp_path: Path) -> Iterator[str]:
    """The classic engine behind TLS, with `ca.pem` of tmp_path vouching for it."""
    write_authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    with serving(listener, host_of("classic"), tls):
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def _load(env: dict[str, str], made: Made, name: str) -> list[docker.How]:
    client = docker.connect(env)
    try:
        return docker.load([made.named(name, "hello")], docker.Engine(client), made.store)
    finally:
        client.close()


def test_tls_with_a_server_that_our_ca_vouches_for(
    tls_host: str,
    open_engine: Callable[[str, str], Engine],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = open_engine("classic", host_of("classic"))
    env = {"DOCKER_HOST": tls_host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    assert _load(env, engine.made, name) == ["loaded"]
    assert engine.read(name) == "hello"


def test_tls_with_a_server_that_nobody_vouches_for(tls_host: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_authority(other)
    env = {"DOCKER_HOST": tls_host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(other)}
    with pytest.raises(SinkError) as caught:
        docker.connect(env)
    said = str(caught.value)
    assert said.startswith(f"docker: no engine answers at {tls_host} (from DOCKER_HOST): [SSL: ")
    assert "certificate verify failed" in said


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """A folder with an `ssh` that runs the command here; it notes its arguments in `argv`."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$*" >>{folder}/argv\n'
        'while [ "$1" != docker ]; do shift; done\n'
        "unset DOCKER_HOST\n"
        'exec sh -c "$*"\n'
    )
    program.chmod(0o755)
    return folder


def test_a_host_over_ssh(engine: Engine, name: str, ssh: Path) -> None:
    socket_path = host_of(engine.kind).removeprefix("unix://")
    env = {**os.environ, "PATH": f"{ssh}:{os.environ['PATH']}"}
    env["DOCKER_HOST"] = f"ssh://me@far.example.com:2222{socket_path}"
    assert _load(env, engine.made, name) == ["loaded"]
    assert _load(env, engine.made, name) == ["present"]
    assert engine.read(name) == "hello"
    first = (ssh / "argv").read_text().splitlines()[0]
    assert first == (
        "-o ConnectTimeout=30 -T -lme -p2222 -- far.example.com "
        f"docker --host=unix://{socket_path} system dial-stdio"
    )


def test_ssh_that_cannot_reach_the_host(ssh: Path, tmp_path: Path) -> None:
    (ssh / "ssh").write_text("#!/bin/sh\nexit 255\n")
    env = {"DOCKER_HOST": "ssh://far.example.com", "PATH": f"{ssh}:{os.environ['PATH']}"}
    with pytest.raises(SinkError) as caught:
        docker.connect(env)
    assert str(caught.value) == (
        "docker: no engine answers at ssh://far.example.com (from DOCKER_HOST): "
        "it closed the connection\n"
        "    hint: start Docker, or set DOCKER_HOST"
    )


def test_there_is_no_ssh(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as caught:
        docker.connect({"DOCKER_HOST": "ssh://far.example.com", "PATH": str(tmp_path)})
    assert str(caught.value) == (
        "docker: no engine answers at ssh://far.example.com (from DOCKER_HOST): "
        "cannot run ssh: No such file or directory\n"
        "    hint: start Docker, or set DOCKER_HOST"
    )


def test_a_socket_is_quoted_for_the_shell_at_the_other_end() -> None:
    argv = ssh_command("ssh://far.example.com/run/a'; reboot; '.sock")
    assert argv[-4:] == [
        "docker",
        """--host='unix:///run/a'"'"'; reboot; '"'"'.sock'""",
        "system",
        "dial-stdio",
    ]


_WANTED = "docker: wanted ssh://[USER@]HOST[:PORT][/SOCKET], got "


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ssh://", f"{_WANTED}'ssh://'"),
        ("ssh://-oProxyCommand=reboot", f"{_WANTED}'ssh://-oProxyCommand=reboot'"),
        ("ssh://host?x=1", f"{_WANTED}'ssh://host?x=1'"),
        (
            "ssh://host:port",
            f"{_WANTED}'ssh://host:port': Port could not be cast to integer value as 'port'",
        ),
        (
            "ssh://me:secret@host",
            "docker: an ssh:// host must not hold a password\n    hint: use a key",
        ),
    ],
)
def test_ssh_hosts_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(SinkError) as caught:
        docker.connect({"DOCKER_HOST": url})
    assert str(caught.value) == message
