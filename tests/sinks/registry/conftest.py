"""One open registry for all tests of this folder; each test takes repositories of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench
from .proxy import Proxy
from .servers import registry, serving


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An open registry's `host:port`."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def proxy(host: str) -> Iterator[Proxy]:
    """A proxy before the open registry, which counts, and breaks what it is told to."""
    server = Proxy(host)
    with serving(server):
        yield server


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def team(request: pytest.FixtureRequest) -> str:
    """A repository path that no other test uses."""
    name: str = request.node.name
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")
