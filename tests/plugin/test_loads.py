"""What a run asks an engine that does not answer: it waits once."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import cast

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import host_platform, parse_platform
from scratchtasks.plugin.session import Session
from scratchtasks.sinks import docker

from .shop import FILES, session, write

VERSION = json.dumps({"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}).encode()


class Engine(ThreadingUnixStreamServer):
    """Takes every connection, answers what it has *answers* to, and is silent about the rest."""

    daemon_threads = True

    def __init__(self, path: str, answers: Mapping[str, bytes]) -> None:
        super().__init__(path, _Connection)
        self.answers = answers
        self.asked: list[str] = []


class _Connection(StreamRequestHandler):
    def handle(self) -> None:
        engine = cast(Engine, self.server)
        words = self.rfile.readline().decode().split()
        if not words:
            return  # it was only tried out whether somebody listens
        engine.asked.append(words[1])
        body = engine.answers.get(words[1])
        if body is not None:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            self.wfile.write(head.encode() + body)
        else:
            self.rfile.read()  # until the other side gives up


@pytest.fixture
def listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Mapping[str, bytes]], Engine]]:
    """Has an Engine with such answers listen at DOCKER_HOST; a second of silence is too much."""
    path = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(sys.modules[docker.connect.__module__], "TIMEOUT", 1)
    with ExitStack() as stack:

        def start(answers: Mapping[str, bytes]) -> Engine:
            engine = stack.enter_context(Engine(os.path.relpath(path), answers))
            threading.Thread(target=engine.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(engine.shutdown)
            return engine

        yield start


@pytest.fixture
def shop(tmp_path: Path, listen: object) -> Iterator[Session]:
    """Two services, api and web, in a run that knows where the engine is."""
    write(tmp_path / "ws")
    it = session(tmp_path / "ws")
    yield it
    it.close()


def _warm_up(shop: Session) -> None:
    """Begin, and wait for the end of that."""
    shop.loads.begin()
    for thread in threading.enumerate():
        if thread.name == "engine":
            thread.join()


def _refusal(shop: Session, name: str) -> str:
    with pytest.raises(SinkError) as caught:
        shop.loads.load(shop.graph.tasks[f"rootfs:{name}"])
    return str(caught.value)


def _no_answer() -> str:
    return (
        f"docker: no engine answers at {os.environ['DOCKER_HOST']} (from DOCKER_HOST): "
        "it does not answer in time\n    hint: start Docker, or set DOCKER_HOST"
    )


def test_an_engine_that_never_answers_is_waited_for_once(
    listen: Callable[[Mapping[str, bytes]], Engine], shop: Session
) -> None:
    engine = listen({})
    _warm_up(shop)
    assert [_refusal(shop, name) for name in ("api", "web")] == [_no_answer()] * 2
    assert engine.asked == ["/version"]


def test_one_that_falls_silent_is_waited_for_once(
    listen: Callable[[Mapping[str, bytes]], Engine], shop: Session
) -> None:
    engine = listen({"/version": VERSION, "/v1.41/version": VERSION})
    _warm_up(shop)
    silence = "docker: GET /info: it does not answer in time"
    assert [_refusal(shop, name) for name in ("api", "web")] == [silence] * 2
    assert engine.asked == ["/version", "/v1.41/version", "/v1.41/info"]


def test_one_that_was_not_there_in_the_beginning_is_asked_again(
    listen: Callable[[Mapping[str, bytes]], Engine], shop: Session
) -> None:
    _warm_up(shop)
    assert _refusal(shop, "api") == _no_answer().replace(
        "it does not answer in time", "No such file or directory"
    )
    engine = listen({})
    assert [_refusal(shop, name) for name in ("api", "web")] == [_no_answer()] * 2
    assert engine.asked == ["/version"]


def _build(it: Session, name: str) -> None:
    """Build the task *name*, what it needs first."""
    for dep in it.graph.tasks[name].deps:
        _build(it, dep)
    for action in it.graph.tasks[name].actions:
        it.engine.run([*it.graph.actions[action].deps.values()])
        it.engine.run([action])


@pytest.mark.parametrize("tag", ["", "a b", "1+2"])
def test_a_template_that_gives_no_tag_is_told_ahead_of_the_engine(
    listen: Callable[[Mapping[str, bytes]], Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tag: str,
) -> None:
    push = '[push]\nrepository = "registry.example.com/api"\ntags = ["{env.RELEASE}"]\n'
    service = FILES["services/api/service.toml"] + push
    write(tmp_path / "ws", {**FILES, "services/api/service.toml": service})
    monkeypatch.setenv("RELEASE", tag)
    info = json.dumps({"OSType": "linux", "Architecture": "x86_64"}).encode()
    engine = listen({"/version": VERSION, "/v1.41/version": VERSION, "/v1.41/info": info})
    it = session(tmp_path / "ws")
    _build(it, "rootfs:api")
    assert _refusal(it, "api").startswith("//services/api:image: push.tags: wanted a tag (")
    assert not [path for path in engine.asked if "/images/" in path]
    it.close()


def test_what_an_engine_of_another_machine_wants_is_built_when_it_says_so(tmp_path: Path) -> None:
    other = next(p for p in ("linux/s390x", "linux/riscv64") if p != str(host_platform()))
    service = f'[image]\nplatforms = ["{host_platform()}", "{other}"]\n'
    files = {"services/api/service.toml": FILES["services/api/service.toml"] + service}
    write(tmp_path / "ws", {**FILES, **files})
    it = session(tmp_path / "ws")
    root = it.root_of("api", parse_platform(other))
    assert str(root.platform) == other
    assert it.engine.known(f"//services/api:rootfs@{host_platform()}") is None
    it.close()
