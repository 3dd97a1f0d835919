"""A smoke run that is killed leaves a container running; the next one removes all that it left."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import ContainerCollection

from scratchtasks.sinks.docker import connect
from scratchtasks.sinks.smoke import engine as smoke_engine
from scratchtasks.sinks.smoke.leftovers import REPOSITORY, sweep
from scratchtasks.store.owner import this_process
from tests.sinks.docker.conftest import HOSTS, host_of

from .images import Bench

ROOT = Path(__file__).parents[3]

SLOW = """
import sys
from pathlib import Path
from scratchtasks.config.structure import parse_structure
from tests.sinks.smoke.images import Bench
from tests.sinks.smoke.test_structure import tried

root, program = map(Path, sys.argv[1:])
test = '''{schemaVersion: "2.0.0", commandTests: [
  {name: slow, setup: [[/usr/bin/api, say, x]], command: /usr/bin/api, args: [sleep, 1h]}]}'''
bench = Bench(root, program.read_bytes())
tried(bench, bench.image(), "docker", parse_structure(test, "cst.yaml"), seconds=3600)
"""
"""A run that goes on for as long as it may, in an image that a setup has left behind."""


@pytest.fixture(params=list(HOSTS))
def client(request: pytest.FixtureRequest, bench: Bench) -> Iterator[DockerClient]:
    """Each of the two engines, which *bench* uses then."""
    bench.env["DOCKER_HOST"] = host_of(request.param)
    client = connect(bench.env)
    yield client
    client.close()


def left_by(pid: int, client: DockerClient) -> list[str]:
    """The running containers (their images) and the images of the process *pid*."""
    ours: Any = {"label": "scratchtasks=smoke"}
    containers = [
        f"runs {each['Image']}"
        for each in client.api.containers(filters=ours)
        if each["Labels"].get("scratchtasks.owner", "").startswith(f"{pid}.")
    ]
    images = [name for each in client.images.list(name=REPOSITORY) for name in each.tags]
    return sorted([*containers, *(name for name in images if f":{pid}." in name)])


@contextmanager
def slow_run(
    bench: Bench, folder: Path, client: DockerClient
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process in the middle of a smoke test, killed at the end; what it leaves is swept."""
    folder.mkdir()
    (folder / "program").write_bytes(bench.program)
    argv = [sys.executable, "-c", SLOW, str(folder), str(folder / "program")]
    with subprocess.Popen(argv, cwd=ROOT, env=bench.env) as process:
        try:
            deadline = time.monotonic() + 60
            while len(left_by(process.pid, client)) != 3:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait()
            sweep(client)


@pytest.mark.docker
def test_the_next_run_removes_what_a_killed_one_has_left_and_nothing_of_a_living_one(
    client: DockerClient, bench: Bench, tmp_path: Path
) -> None:
    with slow_run(bench, tmp_path / "living", client) as living:
        theirs = left_by(living.pid, client)
        with slow_run(bench, tmp_path / "killed", client) as killed:
            killed.kill()
            killed.wait()
            assert len(left_by(killed.pid, client)) == 3
            assert bench.smoke(bench.image(), "docker", "say", "api").how == "docker"
            assert left_by(killed.pid, client) == []
            assert left_by(living.pid, client) == theirs
    assert left_by(living.pid, client) == []
    assert left_by(os.getpid(), client) == []


@pytest.mark.docker
@pytest.mark.parametrize("made", [(ContainerCollection, "create"), (smoke_engine, "load")])
def test_a_ctrl_c_while_the_engine_makes_something_leaves_none(
    client: DockerClient, bench: Bench, monkeypatch: pytest.MonkeyPatch, made: tuple[Any, str]
) -> None:
    make = getattr(*made)

    def make_and_strike(*words: Any, **options: Any) -> None:
        make(*words, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(*made, make_and_strike)
    with pytest.raises(KeyboardInterrupt):
        bench.smoke(bench.image(), "docker", "say", "api")
    ours: Any = {"label": f"scratchtasks.owner={this_process()}"}
    assert client.api.containers(all=True, filters=ours) == []
    assert left_by(os.getpid(), client) == []
