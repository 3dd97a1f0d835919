"""What holds for every test, and what tests of several rooms stand on."""

import signal
from collections.abc import Iterator

import pytest

from tests.registry.proxy import Proxy
from tests.registry.servers import registry, serving

# A shell that starts the tests in the background has them ignore SIGINT, and every program that
# a test starts and interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


ENGINES = (
    "tests/benchmarks/",
    "tests/images/",
    "tests/plugin/test_refresh.py",
    "tests/plugin/test_resolve.py",
    "tests/plugin/test_round_trip.py",
    "tests/plugin/test_trace.py",
    "tests/plugin/test_up.py",
    "tests/scenarios/test_platforms.py",
    "tests/sinks/docker/",
    "tests/sinks/test_kind.py",
)
"""Where tests use a Docker Engine: what one of them removes may be what another counts on."""

SMOKE = (
    "tests/plugin/test_smoke.py",
    "tests/sinks/docker/test_leftovers.py",
    "tests/sinks/smoke/",
)
"""The same for what `smoke` makes there, which nobody else looks at."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one worker, all that use the Docker Engines to one, and all that smoke."""
    for item in items:
        place = item.nodeid.partition("::")[0]
        shared = {"smoke": place.startswith(SMOKE), "engines": place.startswith(ENGINES)}
        group = next((name for name, is_in in shared.items() if is_in), place)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def registry_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `host:port` of an open registry, one for all; tests take repositories of their own."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def proxy(registry_host: str) -> Iterator[Proxy]:
    """What stands before the open registry, counts requests, and breaks what it is told to."""
    server = Proxy(registry_host)
    with serving(server):
        yield server


@pytest.fixture
def team(request: pytest.FixtureRequest) -> str:
    """A repository path that no other test uses."""
    name: str = request.node.name
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")
