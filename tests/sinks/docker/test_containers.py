"""Containers on both engines: what runs is only ever replaced by what runs."""

import _thread
import io
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.docker import Loadable
from scratchtasks.sinks.docker import containers as docker_containers
from scratchtasks.sinks.docker.containers import (
    SERVICE,
    WORKSPACE,
    Published,
    There,
    Wanted,
    bring_up,
    decide,
    services_up,
    take_down,
    trouble,
)

from .conftest import Engine
from .serving import compile_server, said_at

ROOT = "/work/shop"
CLASSIC = pytest.mark.parametrize("engine", ["classic"], indirect=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The program that answers."""
    return compile_server(tmp_path_factory.mktemp("server") / "server")


Make = Callable[..., Wanted]


@pytest.fixture
def make(engine: Engine, server: bytes, name: str) -> Iterator[Make]:
    """Makes what is wanted of the service *name*, whose image is loaded; ends it afterwards."""
    image = engine.made.image(
        engine.made.layer({"say": server + name.encode()}), engine.made.layer({"data/keep": b""})
    )
    engine.load(Loadable(image, (f"{name}:latest",)))
    plain = Wanted(
        service=name,
        workspace=ROOT,
        image=engine.id(f"{name}:latest"),
        ports=(),
        env={"WORD": "first"},
        hosts={"db.internal": "10.0.0.7"},
        volumes=(),
    )
    yield lambda **changes: replace(plain, **changes)
    for path in (ROOT, "/work/other"):
        take_down(path, [name], engine.client, with_volumes=True)


ANY = (Published(port="8080/tcp", host=0),)


def said(engine: Engine, name: str) -> str:
    """What the container of the service *name* answers, asked at its own address."""
    (one,) = containers(engine, name)
    (network,) = one.attrs["NetworkSettings"]["Networks"].values()
    return said_at(8080, network["IPAddress"])


def containers(engine: Engine, name: str) -> list[Container]:
    """All that carry the label of the service *name*."""
    return list(engine.client.containers.list(all=True, filters={"label": f"{SERVICE}={name}"}))


def test_started_left_alone_replaced_and_ended(engine: Engine, make: Make, name: str) -> None:
    first = bring_up(make(), engine.client)
    assert (first.how, first.code) == ("started", None)
    assert said(engine, name) == "first [10.0.0.7]"
    (before,) = containers(engine, name)
    assert before.name == f"scratch-{name}"

    again = bring_up(make(), engine.client)
    assert again.how == "unchanged"
    assert [one.id for one in containers(engine, name)] == [before.id]

    assert bring_up(make(env={"WORD": "second"}), engine.client).how == "replaced"
    assert said(engine, name) == "second [10.0.0.7]"
    (after,) = containers(engine, name)
    assert after.id != before.id
    assert after.name == f"scratch-{name}"

    assert name in services_up(ROOT, engine.client)
    assert take_down(ROOT, [name], engine.client, with_volumes=False) == [f"scratch-{name}"]
    assert containers(engine, name) == []
    assert take_down(ROOT, [name], engine.client, with_volumes=False) == []


def test_ports_are_published_where_they_are_wanted(engine: Engine, make: Make, name: str) -> None:
    first = bring_up(make(ports=ANY), engine.client)
    (port,) = first.ports
    assert (port.port, port.address) == ("8080/tcp", "127.0.0.1")
    assert said_at(port.host) == "first [10.0.0.7]"
    assert bring_up(make(ports=ANY), engine.client).ports == (port,)
    other = bring_up(make(ports=(port,)), engine.client)
    assert (other.how, other.ports) == ("replaced", (port,))
    assert said_at(port.host) == "first [10.0.0.7]"


def test_one_that_ends_at_once_gives_its_place_back(engine: Engine, make: Make, name: str) -> None:
    bring_up(make(), engine.client)
    (before,) = containers(engine, name)
    with pytest.raises(SinkError) as caught:
        bring_up(make(env={"CODE": "3"}), engine.client)
    assert str(caught.value) == (
        f"scratch-{name}: ended at once with exit code 3\n    no such table: users"
    )
    assert [one.id for one in containers(engine, name)] == [before.id]
    assert said(engine, name) == "first [10.0.0.7]"


def test_of_a_long_line_its_end_is_shown(engine: Engine, make: Make, name: str) -> None:
    with pytest.raises(SinkError) as caught:
        bring_up(make(env={"CODE": "3", "LENGTH": "3000000"}), engine.client)
    told = "no such table: users\n"
    shown = "x" * (4096 - len(told)) + told
    assert str(caught.value) == (
        f"scratch-{name}: ended at once with exit code 3\n    …{shown.rstrip()}"
    )


@CLASSIC
def test_one_that_somebody_removes_gives_its_place_back(
    engine: Engine, make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up(make(), engine.client)
    (before,) = containers(engine, name)

    def start(new: Container, _: Wanted) -> None:
        new.remove(force=True)
        new.reload()

    monkeypatch.setattr(docker_containers, "_start", start)
    with pytest.raises(SinkError, match="No such container"):
        bring_up(make(env={"WORD": "second"}), engine.client)
    assert [one.id for one in containers(engine, name)] == [before.id]
    assert said(engine, name) == "first [10.0.0.7]"


@CLASSIC
def test_a_ctrl_c_while_the_engine_makes_a_container_leaves_none(
    engine: Engine, make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up(make(), engine.client)
    (before,) = containers(engine, name)
    create = docker_containers._create

    def create_and_strike(*words: Any) -> Container:
        create(*words)
        raise KeyboardInterrupt

    monkeypatch.setattr(docker_containers, "_create", create_and_strike)
    with pytest.raises(KeyboardInterrupt):
        bring_up(make(env={"WORD": "second"}), engine.client)
    (after,) = containers(engine, name)
    started = after.attrs["State"]["StartedAt"]
    assert (after.id, started) == (before.id, before.attrs["State"]["StartedAt"])


@pytest.mark.parametrize("step", ["remove", "rename"])
def test_a_ctrl_c_while_the_new_one_takes_its_place(
    engine: Engine, make: Make, name: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    bring_up(make(), engine.client)
    do = getattr(Container, step)

    def do_and_strike(one: Container, *words: Any, **options: Any) -> None:
        monkeypatch.undo()

        def run() -> None:
            with suppress(APIError):  # two want the same
                do(one, *words, **options)

        doing = threading.Thread(target=run)
        doing.start()
        if step == "rename":  # an engine takes some time to remove
            doing.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(Container, step, do_and_strike)
    wanted = make(env={"WORD": "second"})
    with pytest.raises(KeyboardInterrupt):
        bring_up(wanted, engine.client)
    (after,) = containers(engine, name)
    assert after.name == wanted.name
    assert said(engine, name) == "second [10.0.0.7]"


@CLASSIC
def test_what_an_engine_made_after_a_ctrl_c_goes_with_the_next_up(
    engine: Engine, make: Make, name: str
) -> None:
    wanted = make()
    bring_up(wanted, engine.client)
    docker_containers._create(wanted, f"{wanted.name}-2b07f015", wanted.labels, engine.client)
    assert bring_up(wanted, engine.client).how == "unchanged"
    (after,) = containers(engine, name)
    assert (after.name, after.status) == (wanted.name, "running")


def test_a_port_that_is_taken(engine: Engine, make: Make, name: str) -> None:
    bring_up(make(), engine.client)
    (before,) = containers(engine, name)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        wanted = make(ports=(Published(port="8080/tcp", host=number),))
        with pytest.raises(SinkError) as caught:
            bring_up(wanted, engine.client)
    assert str(caught.value) == (
        f"scratch-{name}: cannot start: port {number} of 127.0.0.1 is taken\n"
        f"    hint: choose another one: --port {number + 1}:8080 (0 for any)"
    )
    assert [one.id for one in containers(engine, name)] == [before.id]
    assert said(engine, name) == "first [10.0.0.7]"


def test_a_port_that_another_container_has(engine: Engine, make: Make, name: str) -> None:
    (port,) = bring_up(make(ports=ANY), engine.client).ports
    other = engine.client.containers.create(
        make().image, ports={"8080/tcp": ("127.0.0.1", port.host)}
    )
    try:
        with pytest.raises(Exception, match="already allocated") as caught:
            other.start()
        assert trouble(str(caught.value), (port,))[0] == f"port {port.host} of 127.0.0.1 is taken"
    finally:
        other.remove(force=True)


@CLASSIC
def test_a_program_that_has_done_its_work(engine: Engine, make: Make, name: str) -> None:
    done = bring_up(make(env={"CODE": "0"}), engine.client)
    assert (done.how, done.code, done.ports) == ("started", 0, ())
    assert bring_up(make(env={"CODE": "0"}), engine.client).how == "replaced"


@CLASSIC
def test_somebody_else_s_container_is_never_touched(engine: Engine, make: Make, name: str) -> None:
    theirs = engine.client.containers.create(make().image, name=f"scratch-{name}")
    try:
        with pytest.raises(SinkError) as caught:
            bring_up(make(), engine.client)
        assert str(caught.value) == (
            f"scratch-{name}: a container of that name is there, and is not ours\n"
            f"    hint: docker rename scratch-{name} ANOTHER, or docker rm it"
        )
        assert take_down(ROOT, [name], engine.client, with_volumes=True) == []
        theirs.reload()
    finally:
        theirs.remove(force=True)

    bring_up(make(workspace="/work/other"), engine.client)
    with pytest.raises(SinkError) as caught:
        bring_up(make(), engine.client)
    assert caught.value.what == (
        "a container of that name is there, and belongs to the workspace /work/other"
    )


@CLASSIC
def test_volumes_keep_what_is_in_them(engine: Engine, make: Make, name: str) -> None:
    wanted = make(volumes=("/data",))
    bring_up(wanted, engine.client)
    (volume,) = engine.client.volumes.list(filters={"label": f"{SERVICE}={name}"})
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo("kept")
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"this"))
        assert containers(engine, name)[0].put_archive("/data", archive.getvalue())
    bring_up(replace(wanted, env={"WORD": "second"}), engine.client)
    assert said(engine, name) == "second [10.0.0.7] this"
    take_down(ROOT, [name], engine.client, with_volumes=False)
    bring_up(wanted, engine.client)
    assert said(engine, name) == "first [10.0.0.7] this"
    assert engine.client.volumes.get(str(volume.id)).id == volume.id
    take_down(ROOT, [name], engine.client, with_volumes=True)
    assert engine.client.volumes.list(filters={"label": f"{SERVICE}={name}"}) == []


def test_a_ctrl_c_leaves_one_running(engine: Engine, make: Make, name: str) -> None:
    (port,) = bring_up(make(ports=ANY), engine.client).ports
    timer = threading.Timer(0.4, _thread.interrupt_main)
    timer.start()
    try:
        bring_up(make(env={"WORD": "second"}, ports=(port,)), engine.client)
    except KeyboardInterrupt:
        pass
    finally:
        timer.cancel()
    assert said_at(port.host).split()[0] in ("first", "second")
    bring_up(make(env={"WORD": "third"}, ports=(port,)), engine.client)
    assert said_at(port.host) == "third [10.0.0.7]"
    assert len(containers(engine, name)) == 1


def test_an_image_that_lost_its_name_goes_with_its_container(
    engine: Engine, make: Make, name: str, server: bytes, tmp_path: Path
) -> None:
    bring_up(make(), engine.client)
    old = make().image
    newer = engine.made.image(engine.made.layer({"say": server + b"newer"}))
    engine.load(Loadable(newer, (f"{name}:latest",)))
    bring_up(make(image=engine.id(f"{name}:latest")), engine.client)
    # Ids only: the SDK would ask about each, and other tests take theirs away meanwhile.
    assert old not in engine.client.api.images(quiet=True, all=True)


def test_a_paused_one_runs_again(engine: Engine, make: Make, name: str) -> None:
    bring_up(make(), engine.client)
    (before,) = containers(engine, name)
    before.pause()
    assert bring_up(make(), engine.client).how == "resumed"
    (after,) = containers(engine, name)
    assert (after.id, after.status) == (before.id, "running")
    after.pause()
    with pytest.raises(SinkError, match="ended at once"):
        bring_up(make(env={"CODE": "3"}), engine.client)
    assert said(engine, name) == "first [10.0.0.7]"


LABELS = st.sampled_from([{}, {SERVICE: "api"}, {SERVICE: "web", WORKSPACE: ROOT},
                          {SERVICE: "api", WORKSPACE: "/work/other"}, "ours", "old"])  # fmt: skip
API = Wanted(service="api", workspace=ROOT, image="sha256:1", env={}, hosts={})
OLD = replace(API, image="sha256:0")


@given(st.lists(st.tuples(LABELS, st.sampled_from(["scratch-api", "x", "y"]), st.booleans()),
                max_size=4, unique_by=lambda each: each[1]))  # fmt: skip
def test_only_ours_is_ever_in_question(drawn: list[tuple[object, str, bool]]) -> None:
    special = {"ours": API.labels, "old": OLD.labels}
    there = []
    for number, (labels, name, is_running) in enumerate(drawn):
        found = special[labels] if isinstance(labels, str) else labels
        assert isinstance(found, dict)
        there.append(There(str(number), name, is_running, found))
    ours = [one for one in there if one.labels in (API.labels, OLD.labels)]
    if any(one.name == "scratch-api" and one not in ours for one in there):
        with pytest.raises(SinkError):
            decide(API, there)
        return
    how, found_there = decide(API, there)
    assert all(one in ours for one in found_there)
    is_same = [o for o in ours if o.labels == API.labels and o.is_running and o.name == API.name]
    assert how == ("unchanged" if is_same else "replaced" if ours else "started")


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("driver failed programming external connectivity on endpoint scratch-api (ab): Bind for "
         "127.0.0.1:8080 failed: port is already allocated", "port 8080 of 127.0.0.1 is taken"),
        ("failed to listen on TCP socket: listen tcp4 127.0.0.1:8080: bind: address already in use",
         "port 8080 of 127.0.0.1 is taken"),
        ("failed to bind host port 127.0.0.1:8080/tcp: address already in use",
         "port 8080 of 127.0.0.1 is taken"),
        ("failed to bind host port for 127.0.0.1:8080:172.17.0.2:80/tcp: address already in use",
         "port 8080 of 127.0.0.1 is taken"),
        ("failed to bind host port 127.0.0.1:80801/tcp: address already in use",
         "failed to bind host port 127.0.0.1:80801/tcp: address already in use"),
        ("Bind for 127.0.0.1:9 failed: port is already allocated",
         "Bind for 127.0.0.1:9 failed: port is already allocated"),
        ("OCI runtime create failed: exec: \"/api\": permission denied: unknown",
         'exec: "/api": permission denied'),
    ],
)  # fmt: skip
def test_what_an_engine_says_of_a_start(reason: str, what: str) -> None:
    assert trouble(reason, (Published(port="80/tcp", host=8080),))[0] == what


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("failed to listen on UDP socket: listen udp4 127.0.0.1:53: bind: address already in use",
         "choose another one: --port 54:53/udp (0 for any)"),
        ("failed to bind host port 127.0.0.1:53/tcp: address already in use",
         "choose another one: --port 54:53 (0 for any)"),
        ("Bind for 127.0.0.1:53 failed: port is already allocated",
         "choose another one: --port 54:53 (0 for any)"),
    ],
)  # fmt: skip
def test_the_port_that_is_to_be_another(reason: str, hint: str) -> None:
    ports = (Published(port="53/tcp", host=53), Published(port="53/udp", host=53))
    assert trouble(reason, ports)[1] == hint


class _AtWork:
    """An engine that lists a container which it cannot remove yet."""

    def __init__(self) -> None:
        self.api, self.tries = self, 0

    def remove_container(self, _name: str, *, force: bool) -> None:
        self.tries += 1
        if self.tries < 3:
            raise NotFound("No such container")
        assert force

    def containers(self, **_options: Any) -> list[str]:
        return ["scratch-api"]


def test_what_an_engine_is_still_making_is_removed_once_it_can_be() -> None:
    engine: Any = _AtWork()
    docker_containers._discard("scratch-api", engine)
    assert engine.tries == 3
