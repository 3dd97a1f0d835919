"""What holds for every test, and what tests of several rooms stand on."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.registry.proxy import Proxy
from tests.registry.servers import registry, serving

# A shell that starts the tests in the background has them ignore SIGINT, and every program that
# a test starts and interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes depends on what else the machine does.  A fixture that examples share
# is meant to be.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any machine")


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


class _Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Each file goes to one worker, all that use the Docker Engines to one, and all that smoke.

    xdist's own `loadgroup` reads groups out of test ids, where pytest 9 has none any more.
    """

    def _split_scope(self, nodeid: str) -> str:
        place = nodeid.partition("::")[0]
        shared = {"smoke": place.startswith(SMOKE), "engines": place.startswith(ENGINES)}
        return next((name for name, is_in in shared.items() if is_in), place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Groups:
    """How xdist shares the tests among its workers, whatever `--dist` says."""
    return _Groups(config, log)


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
