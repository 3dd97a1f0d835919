"""The program, compiled once, a bench with an empty store for each test, and all ways to try."""

from pathlib import Path

import pytest

from scratchtasks.core.platform import host_platform
from scratchtasks.sinks.smoke.verdict import WAYS, Way
from tests.sinks.docker.conftest import HOSTS, host_of

from .images import Bench, compile_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`program.go` for this machine."""
    return compile_program(tmp_path_factory.mktemp("program") / "api", host_platform())


@pytest.fixture
def bench(tmp_path: Path, program: bytes) -> Bench:
    """A bench whose images are for this machine."""
    return Bench(tmp_path, program)


@pytest.fixture(params=[*HOSTS, *(way for way in WAYS if way != "docker")])
def way(request: pytest.FixtureRequest, bench: Bench) -> Way:
    """Each way of *bench* to try an image out; Docker is two, one for each kind of image store."""
    if request.param in HOSTS:
        bench.env["DOCKER_HOST"] = host_of(request.param)
        return "docker"
    way: Way = request.param
    return way
