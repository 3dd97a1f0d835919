"""Engines that are not there, may not be asked, or answer with nonsense."""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks import docker
from scratchtasks.sinks.docker import How

from .made import Made

Answer = Callable[[str], bytes]
_START = "start Docker, or set DOCKER_HOST"


def _http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Callable[[Answer], str]]:
    """Gives the DOCKER_HOST of a server whose answers a function makes of `GET /path`."""
    listener = socket.socket(socket.AF_UNIX)
    path = os.path.relpath(tmp_path / "d.sock")  # a socket's path has 108 bytes at most
    listener.bind(path)
    listener.listen()
    threads = []

    def serve(answer: Answer) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                data = client.recv(1 << 16)
                while b"chunked" in data and not data.endswith(b"\r\n0\r\n\r\n"):
                    data += client.recv(1 << 16)
                client.sendall(answer(" ".join(data.decode("latin-1").split(" ", 2)[:2])))

    def start(answer: Answer) -> str:
        thread = threading.Thread(target=serve, args=(answer,), daemon=True)
        thread.start()
        threads.append(thread)
        return f"unix://{os.path.abspath(path)}"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(5)


def _refusal(host: str) -> str:
    with pytest.raises(SinkError) as caught:
        docker.connect({"DOCKER_HOST": host})
    return str(caught.value)


def test_there_is_no_socket(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"
    assert _refusal(host) == (
        f"docker: no engine answers at {host} (from DOCKER_HOST): No such file or directory\n"
        f"    hint: {_START}"
    )


def test_nobody_listens_on_the_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        assert _refusal(host) == (
            f"docker: no engine answers at {host} (from DOCKER_HOST): Connection refused\n"
            f"    hint: {_START}"
        )


def test_the_socket_is_of_another_group(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/d.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host.removeprefix("unix://"))
        (tmp_path / "d.sock").chmod(0)
        import docker.transport.unixconn  # noqa: F401  # while it can be read by all

        me = os.geteuid()
        try:
            if me == 0:
                os.seteuid(65534)
            said = _refusal(host)
        finally:
            os.seteuid(me)
    assert said == (
        f"docker: no engine answers at {host} (from DOCKER_HOST): Permission denied\n"
        "    hint: join the group that owns the socket (often docker), or use a rootless engine"
    )


def test_a_socket_that_takes_no_more_connections(tmp_path: Path) -> None:
    path = f"{tmp_path}/d.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        assert _refusal(f"unix://{path}") == (
            f"docker: no engine answers at unix://{path} (from DOCKER_HOST): "
            "Resource temporarily unavailable\n    hint: start Docker, or set DOCKER_HOST"
        )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"220 mail.example.com ESMTP\r\n", "its answer is not HTTP: '220 mail.example.com ESMTP'"),
        (b"", "it closed the connection"),
        (_http(b"<html>hello</html>"), "its answer is not JSON: '<html>hello</html>'"),
        (_http(b"{}"), "its answer names no ApiVersion: {}"),
        (_http(b"[]"), "its answer names no ApiVersion: []"),
    ],
)
def test_something_else_answers(fake: Callable[[Answer], str], answer: bytes, reason: str) -> None:
    host = fake(lambda _: answer)
    assert _refusal(host) == (
        f"docker: no engine answers at {host} (from DOCKER_HOST): {reason}\n    hint: {_START}"
    )


def test_it_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[docker.connect.__module__], "TIMEOUT", 0.2)
    host = f"unix://{tmp_path}/d.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host.removeprefix("unix://"))
        listener.listen()
        assert _refusal(host) == (
            f"docker: no engine answers at {host} (from DOCKER_HOST): "
            f"it does not answer in time\n    hint: {_START}"
        )


def test_a_host_that_is_no_url() -> None:
    assert _refusal("ftp://example.com") == (
        "docker: no engine answers at ftp://example.com (from DOCKER_HOST): "
        f"Invalid bind address protocol: ftp://example.com\n    hint: {_START}"
    )


_VERSION = _http(json.dumps({"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}).encode())
_MISSING = _http(b'{"message":"no such image"}', "404 Not Found")


def _load(fake: Callable[[Answer], str], made: Made, answers: dict[str, bytes]) -> list[How]:
    def answer(request: str) -> bytes:
        for start, said in answers.items():
            if start in request:
                return said
        return _VERSION if "/version" in request else _MISSING

    client = docker.connect({"DOCKER_HOST": fake(answer)})
    try:
        return docker.load([made.named("api", "hello")], docker.Engine(client), made.store)
    finally:
        client.close()


_INFO = {"/info": _http(b'{"Driver":"overlay2"}'), "/images/json": _http(b"[]")}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"/info": _http(b"no")}, "docker: GET /info: wanted JSON, got 'no'"),
        ({"/info": _http(b"[1]")}, "docker: GET /info: wanted JSON, got '[1]'"),
        (
            {"/info": _http(b'{"message":"server is busy"}', "503 Busy")},
            "docker: GET /info: 503 server is busy",
        ),
        ({"/info": _http(b"oops", "500 Bad")}, "docker: GET /info: 500 'oops'"),
        ({"/info": b""}, "docker: GET /info: it closed the connection"),
        (
            {**_INFO, "/images/json": _http(b"{}")},
            "docker: GET /images/json: wanted JSON, got '{}'",
        ),
        (
            {**_INFO, "/images/load": _http(b'{"message":"no space left"}', "500 Bad")},
            "docker load: 500 no space left",
        ),
        (
            {**_INFO, "/images/load": _http(b'{"errorDetail":{"message":"no space left"}}')},
            "docker load: no space left",
        ),
        (
            {**_INFO, "/images/load": _http(b'{"stream":"Error unpacking image x: not found"}')},
            "docker load: Error unpacking image x: not found",
        ),
        ({**_INFO, "/images/load": _http(b"%%%")}, "docker load: wanted JSON, got '%%%'"),
    ],
)
def test_an_answer_on_the_way(
    fake: Callable[[Answer], str], made: Made, answers: dict[str, bytes], message: str
) -> None:
    with pytest.raises(SinkError) as caught:
        _load(fake, made, answers)
    assert str(caught.value) == message


def test_among_many_images_those_like_ours_are_looked_at(
    fake: Callable[[Answer], str], made: Made
) -> None:
    """Which are of no time, and so at the end of what an engine lists: the newest first."""
    asked: list[str] = []
    there = [{"Id": f"sha256:{n}", "Created": 1_700_000_000 - n} for n in range(400)]
    there += [{"Id": "sha256:ours", "Created": 0}]

    def answer(request: str) -> bytes:
        asked.append(request.rpartition("/v1.41")[2])
        if "/images/json" in request:
            return _http(json.dumps(there).encode())
        return _VERSION if "/version" in request else _INFO.get(asked[-1], _MISSING)

    client = docker.connect({"DOCKER_HOST": fake(answer)})
    with pytest.raises(SinkError, match="no such image"):
        docker.load([made.named("api", "hello")], docker.Engine(client), made.store)
    client.close()
    assert "/images/sha256:ours/json" in asked
    assert "/images/sha256:0/json" in asked
    assert "/images/sha256:399/json" not in asked


def test_a_yes_without_an_image(fake: Callable[[Answer], str], made: Made) -> None:
    answers = {**_INFO, "/images/load": _http(b'{"stream":"Loaded image ID: sha256:1"}')}
    with pytest.raises(SinkError) as caught:
        _load(fake, made, answers)
    wanted = made.say("hello").config.digest
    assert str(caught.value) == f"docker load: the engine said yes, but has no image {wanted}"


@pytest.mark.parametrize("nonsense", [None, 7, "x", [], [7], {}, {"x": 7}])
def test_fields_of_a_wrong_type(fake: Callable[[Answer], str], made: Made, nonsense: Any) -> None:
    image = dict.fromkeys(
        ("Id", "RepoTags", "RootFS", "Descriptor", "Manifests", "Components"), nonsense
    )
    info = {"DriverStatus": nonsense}
    answers = {
        "/info": _http(json.dumps(info).encode()),
        "/images/json": _http(json.dumps([nonsense]).encode()),
        "/json": _http(json.dumps(image).encode()),
        "/images/load": _http(json.dumps({"errorDetail": nonsense}).encode()),
    }
    with pytest.raises(SinkError) as caught:
        _load(fake, made, answers)
    assert str(caught.value) == f"docker load: { ({'errorDetail': nonsense}) }"
