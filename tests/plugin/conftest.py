"""A registry and a program, one for all tests of a run, and workspaces that ship to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.workspaces import Site
from tests.sinks.registry.proxy import Proxy
from tests.sinks.registry.servers import registry, serving

from .shipyard import Yard, compile_program


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An open registry's `host:port`."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def proxy(host: str) -> Iterator[Proxy]:
    """What stands before the registry, counts requests, and breaks what it is told to."""
    server = Proxy(host)
    with serving(server):
        yield server


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program that says its version."""
    return compile_program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def yard(proxy: Proxy, program: bytes, tmp_path: Path) -> Yard:
    """An empty workspace; nobody else pushes to its part of the registry."""
    team = f"{tmp_path.parent.name}-{tmp_path.name}".lower().replace("_", "-").strip("-")
    return Yard(Site(tmp_path / "ws"), proxy.host, team.replace("--", "-"), program)
