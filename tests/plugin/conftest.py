"""A program, one for all tests of a run, and workspaces that ship it to a registry."""

from pathlib import Path

import pytest

from tests.registry.proxy import Proxy
from tests.scenarios.workspaces import Site

from .shipyard import Yard, compile_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program that says its version."""
    return compile_program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def yard(proxy: Proxy, program: bytes, tmp_path: Path) -> Yard:
    """An empty workspace; nobody else pushes to its part of the registry."""
    team = f"{tmp_path.parent.name}-{tmp_path.name}".lower().replace("_", "-").strip("-")
    return Yard(Site(tmp_path / "ws"), proxy.host, team.replace("--", "-"), program)
