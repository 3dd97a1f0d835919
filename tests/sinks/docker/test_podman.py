"""Podman by its docker-compatible socket: it takes whole archives only."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scratchtasks.config.structure import parse_structure
from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import host_platform
from scratchtasks.sinks.docker import connect
from scratchtasks.sinks.engines import open_engine
from scratchtasks.sinks.smoke.leftovers import REPOSITORY
from tests.plugin.watching import Watching
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, lone_go, site_of
from tests.sinks.smoke.images import Bench
from tests.sinks.smoke.images import compile_program as compile_smoked
from tests.sinks.smoke.test_structure import tried

from .conftest import Engine
from .leaving import swept_of
from .made import Made, its_own
from .serving import SOURCE, free_port, said_at

_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
"""
"""Docker's runtime, as crun starts nothing under cgroups of both versions; and limits that one
may set without being allowed to raise any."""


@pytest.fixture(scope="module")
def podman() -> Iterator[str]:
    """The DOCKER_HOST of a podman of our own."""
    with tempfile.TemporaryDirectory(prefix="podman", ignore_cleanup_errors=True) as folder:
        host = f"unix://{folder}/podman.sock"
        storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        options = [*storage, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        (Path(folder) / "containers.conf").write_text(_CONF)
        with (Path(folder) / "log").open("w") as log:
            service = subprocess.Popen(
                ["podman", *options, "system", "service", "--time=0", host],
                stdout=log,
                stderr=log,
                env=os.environ | {"TMPDIR": folder, "CONTAINERS_CONF": f"{folder}/containers.conf"},
            )
        try:
            deadline = time.monotonic() + 20
            while not (Path(folder) / "podman.sock").exists():
                assert service.poll() is None, (Path(folder) / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield host
        finally:
            service.terminate()
            service.wait(20)


@pytest.fixture
def engine(podman: str, open_engine: Callable[[str, str], Engine]) -> Engine:
    """Podman, seen as an engine."""
    return open_engine("podman", podman)


def test_load_change_and_load_again(engine: Engine, name: str) -> None:
    one, two = engine.made.named(name, "one"), engine.made.named(name, "two")
    assert engine.load(one) == ["loaded"]
    assert engine.load(one) == ["present"]
    assert engine.relay.loads() == 0
    assert engine.id(name) == one.root.config.digest
    assert engine.load(two) == ["loaded"]
    assert engine.relay.loads() == 1
    assert engine.id(name) == two.root.config.digest
    assert engine.load(one) == ["tagged"]
    assert engine.read(name) == "one"


def test_several_images_in_one_archive(engine: Engine, name: str) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    images = [engine.made.named(each, each) for each in names]
    assert engine.load(*images) == ["loaded"] * 3
    assert engine.relay.loads() == 1
    assert [engine.read(each) for each in names] == names
    assert engine.load(*images) == ["present"] * 3


def test_load_by_doit_into_podman(engine: Engine, podman: str, name: str, tmp_path: Path) -> None:
    files = {"dodo.py": DODO, "pyproject.toml": LOADER, "go.mod": GO_MOD}
    files["scratch.toml"] = f'{QUICK}{its_own(engine.made.owner)}[load]\nengine = "podman"\n'
    files[f"services/{name}/main.go"] = lone_go("hello")
    files[f"services/{name}/service.toml"] = SERVICE
    site = site_of(tmp_path / "site", files)
    site.env |= {"CONTAINER_HOST": podman, "DOCKER_HOST": "unix:///no/engine.sock"}
    assert f"{name}:latest loaded\n" in site.doit("load").err
    assert f"{name}:latest is already loaded\n" in site.doit("load").err
    site.doit("image")
    (image,) = json.loads((site.root / "dist/images.json").read_text())["images"]
    assert engine.id(name) == image["image_id"]


def test_up_watch_and_smoke_with_containers_that_run(
    engine: Engine, podman: str, name: str, tmp_path: Path
) -> None:
    config = '[image]\nports = ["8080/tcp"]\nenv = { WORD = "first" }\n'
    files = {"dodo.py": DODO, "pyproject.toml": LOADER, "go.mod": GO_MOD}
    files["scratch.toml"] = f'{QUICK}{its_own(engine.made.owner)}[load]\nengine = "podman"\n'
    files[f"services/{name}/main.go"] = SOURCE.read_text()
    files[f"services/{name}/service.toml"] = SERVICE + config
    site = site_of(tmp_path / "site", files)
    site.env |= {"CONTAINER_HOST": podman, "DOCKER_HOST": "unix:///no/engine.sock"}
    port = free_port()
    words = (name, "-p", f"{port}:8080")
    try:
        url = f"http://127.0.0.1:{port} (8080/tcp)\n"
        assert f"scratch-{name} started: {url}" in site.doit("up", *words).out
        assert said_at(port) == "first []"
        assert f"scratch-{name} is up to date: {url}" in site.doit("up", *words).out
        assert f"scratch-{name} replaced: {url}" in site.doit("up", *words, "WORD=second").out
        assert said_at(port) == "second []"
        failed = site.run("up", *words, "CODE=3")
        assert failed.code == 1
        assert failed.err.endswith(
            f"error: scratch-{name}: ended at once with exit code 3\n    no such table: users\n"
        )
        assert said_at(port) == "second []"

        with socket.create_server(("127.0.0.1", 0)) as other_server:
            taken = other_server.getsockname()[1]
            refused = site.run("up", name, "-p", f"{taken}:8080")
        assert refused.err.endswith(
            f"error: scratch-{name}: cannot start: port {taken} of 127.0.0.1 is taken\n"
            f"    hint: choose another one: --port {taken + 1}:8080 (0 for any)\n"
        )
        assert said_at(port) == "second []"

        watching = Watching(site, *words)
        try:
            watching.until(lambda: watching.rounds() == 1)
            source = site.root / f"services/{name}/main.go"
            source.write_text(SOURCE.read_text().replace('os.Getenv("WORD")', '"edited"'))
            watching.until(lambda: watching.rounds() == 2)
            assert said_at(port) == "edited []"
        finally:
            watching.process.send_signal(signal.SIGINT)
            watching.process.wait(30)
    finally:
        site.run("up", "--down", name)
    assert engine.client.containers.list(all=True, filters={"name": name}) == []


def test_smoke_in_a_container_of_podman(podman: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, compile_smoked(tmp_path / "api", host_platform()))
    bench.env["DOCKER_HOST"] = podman
    image = bench.image()
    assert bench.smoke(image, "docker", "say", "api 1.2", stdout=r"^api 1\.").how == "docker"
    with pytest.raises(SinkError, match="exit code: wanted 0, got 5"):
        bench.smoke(image, "docker", "exit", "5")
    probe = {"http_path": "/health?full=1", "http_port": 8080, "http_status": 204}
    assert bench.smoke(image, "docker", "serve", ":8080,204", **probe).passed
    assert tried(bench, image, "docker", parse_structure(AFTER_SETUPS, "cst.yaml")) == ""
    client = connect({"DOCKER_HOST": podman})
    names = [name for each in client.images.list(all=True) for name in each.tags]
    assert [name for name in names if REPOSITORY in name] == []
    client.close()


AFTER_SETUPS = """\
schemaVersion: "2.0.0"
commandTests:
- name: after setups
  setup: [[/usr/bin/api, write, /tmp/one], [/usr/bin/api, write, /tmp/two]]
  command: /usr/bin/api
  args: [cat, /tmp/one, cat, /tmp/two]
  expectedOutput: ['/tmp/one: "new"', '/tmp/two: "new"']
"""


def test_what_a_killed_smoke_run_has_left_is_removed(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    assert swept_of(engine.client, name) == {"gone"}


def test_a_service_is_run_where_none_listens(made: Made, name: str, tmp_path: Path) -> None:
    """With storage of its own; it ends with the block."""
    storage = f"[storage]\ndriver = 'vfs'\ngraphroot = '{tmp_path}/root'\n"
    (tmp_path / "storage.conf").write_text(storage + f"runroot = '{tmp_path}/run'\n")
    env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    env["TMPDIR"] = str(tmp_path)
    env.pop("CONTAINER_HOST", None)
    image = made.named(name, "hello")
    for said in ("loaded", "present"):
        with open_engine("podman", env) as target:
            assert target.architectures[:2] == ("amd64", "386")
            assert target.load([image], made.store) == [said]
            assert target.id_of(image) == image.root.config.digest


def test_podman_that_does_not_answer_or_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError) as caught,
        open_engine("podman", {"CONTAINER_HOST": "unix:///no/podman.sock"}),
    ):
        pass
    assert str(caught.value) == (
        "podman: no engine answers at unix:///no/podman.sock (from CONTAINER_HOST): "
        "No such file or directory\n"
        "    hint: start podman's service, or correct CONTAINER_HOST"
    )
    (tmp_path / "podman").write_text("#!/bin/sh\necho storage is broken >&2\nexit 125\n")
    (tmp_path / "podman").chmod(0o755)
    for path, message in (
        (f"{tmp_path}:/bin", "podman: its service does not start: storage is broken"),
        (
            "/nowhere",
            "podman: cannot be run: No such file or directory\n"
            '    hint: install it, or set load.engine = "docker"',
        ),
    ):
        with pytest.raises(SinkError) as caught, open_engine("podman", {"PATH": path}):
            pass
        assert str(caught.value) == message
