"""The dashboard, the worker and portcheck in a real Docker Engine."""

import io
import socket
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from docker.errors import NotFound

from .authority import GREETING
from .built import REPOSITORY
from .engine import Engine, eventually

pytestmark = pytest.mark.docker

UNKNOWN_ISSUER = "invalid peer certificate: UnknownIssuer"


@pytest.fixture(scope="module")
def dashboard(engine: Engine, server: str) -> Iterator[str]:
    """The URL of a dashboard that watches two services, one of them up."""
    port = _free_port()
    environment = {
        "DASHBOARD_LISTEN": f"127.0.0.1:{port}",
        "DASHBOARD_SERVICES": f"self=http://127.0.0.1:{port}/healthz private={server}",
        "DASHBOARD_INTERVAL": "1s",
    }
    url = f"http://127.0.0.1:{port}"
    with engine.container("dashboard", environment=environment, network_mode="host"):
        eventually(lambda: _answers(f"{url}/healthz"), "the dashboard answers")
        yield url


def test_the_dashboard_serves_its_files(dashboard: str) -> None:
    web = REPOSITORY / "services/dashboard/web"
    assert _get(f"{dashboard}/") == (web / "index.html").read_bytes()
    for name in ("style.css", "dashboard.js", "favicon.svg"):
        assert _get(f"{dashboard}/{name}") == (web / name).read_bytes()


def test_the_dashboard_shows_local_time_and_what_is_up(dashboard: str) -> None:
    def status() -> str:
        return _get(f"{dashboard}/status").decode()

    eventually(lambda: "200 OK" in status(), "it has seen that it is up itself")
    assert " CET" in status() or " CEST" in status()
    eventually(lambda: "unknown authority" in status(), "it does not trust the private server")


def test_the_dashboard_keeps_its_state_in_a_volume_of_its_user(engine: Engine) -> None:
    environment = {"DASHBOARD_SERVICES": "down=http://127.0.0.1:1/"}
    found: list[tarfile.TarInfo] = []
    with engine.container("dashboard", environment=environment, read_only=True) as container:

        def is_saved() -> bool:
            try:
                chunks, _ = container.get_archive("/var/lib/dashboard")
            except NotFound:
                return False
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                found[:] = archive.getmembers()
            return any(member.name == "dashboard/state.json" for member in found)

        eventually(is_saved, "the state is in the volume")
    owners = {(member.name, member.uid, oct(member.mode & 0o777)) for member in found}
    assert owners == {("dashboard", 1001, "0o700"), ("dashboard/state.json", 1001, "0o600")}


def test_the_worker_trusts_the_extra_authority(engine: Engine, server: str) -> None:
    answer = engine.run("worker", "fetch", server, network_mode="host").answer()
    assert answer["status"] == 200
    assert answer["bytes"] == len(GREETING)


def test_the_worker_refuses_a_server_without_it(engine: Engine, server: str) -> None:
    reason = engine.run("worker-spare", "fetch", server, network_mode="host").error()
    assert UNKNOWN_ISSUER in reason


def test_the_worker_knows_zones(engine: Engine) -> None:
    answer = engine.run("worker", "time", "Asia/Kolkata").answer()
    assert answer["abbreviation"] == "IST"
    assert answer["time"].endswith("+05:30")
    assert answer["local"][-6:] in ("+01:00", "+02:00"), "TZ=Europe/Paris, from the image"
    paris = engine.run("worker", "time", "Europe/Paris").answer()
    assert paris["abbreviation"] in ("CET", "CEST")


def test_the_worker_without_zoneinfo(engine: Engine) -> None:
    reason = engine.run("worker-spare", "time", "Europe/Paris").error()
    assert reason.startswith("/usr/share/zoneinfo/Europe/Paris: No such file or directory")


def test_portcheck_waits_for_a_port(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = engine.run("portcheck", "localhost", port, network_mode="host")
    assert ended.code == 0, ended
    assert ended.stdout.startswith(f"localhost port {port}: open after ")


def test_portcheck_finds_hosts_given_to_docker(engine: Engine) -> None:
    hosts = {"db.internal": "127.0.0.1"}
    command = ("db.internal", "1", "--timeout", "0.3")
    ended = engine.run("portcheck", *command, extra_hosts=hosts)
    assert ended.code == 1
    assert ended.stderr.startswith("portcheck: db.internal port 1: Connection refused (waited 0.")


def _get(url: str) -> bytes:
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with without_proxy.open(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def _answers(url: str) -> bool:
    try:
        _get(url)
    except urllib.error.URLError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
