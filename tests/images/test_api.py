"""The api image in a real Docker Engine: every essential does its work, or the program fails."""

import re
import time
from pathlib import Path

import pytest

from .authority import COMMON_NAME, GREETING
from .engine import Engine, eventually
from .namespace import run_in

pytestmark = pytest.mark.docker


def test_https_to_a_server_of_the_extra_authority(engine: Engine, server: str) -> None:
    answer = engine.run("api", "fetch", server, network_mode="host").answer()
    assert answer["status"] == 200
    assert answer["bytes"] == len(GREETING)
    assert answer["issuer"] == f"CN={COMMON_NAME}"


def test_https_fails_without_the_extra_authority(engine: Engine, server: str) -> None:
    reason = engine.run("api-spare", "fetch", server, network_mode="host").error()
    assert reason.endswith("x509: certificate signed by unknown authority")


def test_the_time_zone_of_the_image(engine: Engine) -> None:
    answer = engine.run("api", "time", "Asia/Kolkata").answer()
    assert answer["tz"] == "Europe/Paris"
    assert answer["local_zone"] in ("CET", "CEST")
    assert answer["local"][-6:] in ("+01:00", "+02:00")
    assert answer["abbreviation"] == "IST"
    assert answer["time"].endswith("+05:30")


def test_the_time_zone_given_at_start(engine: Engine) -> None:
    answer = engine.run("api", "time", "UTC", environment={"TZ": "Asia/Kathmandu"}).answer()
    assert answer["local"].endswith("+05:45")


def test_no_time_zones_without_zoneinfo(engine: Engine) -> None:
    reason = engine.run("api-spare", "time", "Asia/Kolkata").error()
    assert reason == "unknown time zone Asia/Kolkata"


def test_the_user_has_a_name_and_a_home(engine: Engine) -> None:
    assert engine.run("api", "whoami").answer() == {
        "uid": 1001,
        "gid": 1001,
        "user": "app",
        "group": "app",
        "home": "/home/app",
        "home_mode": "drwx------",
    }


@pytest.mark.parametrize(
    "path", ["/probe", "/etc/probe", "/usr/bin/probe", "/home/probe", "/var/probe"]
)
def test_the_user_cannot_write_to_the_system(engine: Engine, path: str) -> None:
    assert engine.run("api", "write", path).error() == f"open {path}: permission denied"


@pytest.mark.parametrize("path", ["/home/app/probe", "/tmp/probe", "/var/tmp/probe"])
def test_the_user_can_write_where_it_should(engine: Engine, path: str) -> None:
    assert engine.run("api", "write", path).answer() == {"path": path}


def test_temporary_files(engine: Engine) -> None:
    answer = engine.run("api", "temp").answer()
    assert answer == {"folder": "/tmp", "mode": "dtrwxrwxrwx", "bytes": 22}


def test_no_temporary_files_without_tmp(engine: Engine) -> None:
    assert engine.run("api-spare", "temp").error() == "stat /tmp: no such file or directory"


def test_a_read_only_root(engine: Engine) -> None:
    plain = engine.run("api", "temp", read_only=True).error()
    assert re.fullmatch(r"open /tmp/api-\d+: read-only file system", plain)
    given = engine.run("api", "temp", read_only=True, tmpfs={"/tmp": ""}).answer()
    assert given["bytes"] == 22


def test_a_host_of_docker_s_own_file(engine: Engine) -> None:
    given = {"db.internal": "10.0.0.7", "cache.internal": "10.0.0.8"}
    answer = engine.run("api", "resolve", "cache.internal", extra_hosts=given).answer()
    assert answer["addresses"] == ["10.0.0.8"]


def test_docker_hides_the_hosts_file_of_the_image(engine: Engine) -> None:
    """What README tells users: entries of [hosts] must be given to Docker once more."""
    reason = engine.run("api", "resolve", "db.internal").error()
    assert reason.startswith("lookup db.internal")


def test_it_serves_is_healthy_and_stops_when_asked(engine: Engine) -> None:
    second = 1_000_000_000
    check = {"test": ["CMD", "/usr/bin/api", "health"], "interval": second}
    with engine.container("api", healthcheck=check, read_only=True, cap_drop=["ALL"]) as container:

        def health() -> str:
            container.reload()
            status: str = container.attrs["State"]["Health"]["Status"]
            return status

        eventually(lambda: health() == "healthy", "Docker finds the api healthy")
        code, output = container.exec_run(["/usr/bin/api", "health"])
        assert (code, output) == (0, b'{"status":"ok"}\n')
        begun = time.monotonic()
        container.stop(timeout=30)
        assert time.monotonic() - begun < 10, "it had to be killed"
        assert container.wait()["StatusCode"] == 0


def test_an_api_that_does_not_answer_is_not_healthy(engine: Engine) -> None:
    assert "connection refused" in engine.run("api", "health").error()


def test_hosts_from_the_image_s_own_file_where_nobody_hides_it(unpacked: dict[str, Path]) -> None:
    answer = run_in(unpacked["api"], "/usr/bin/api", "resolve", "db.internal").answer()
    assert answer["addresses"] == ["10.0.0.7"]
    local = run_in(unpacked["api"], "/usr/bin/api", "resolve", "localhost").answer()
    assert sorted(local["addresses"]) == ["127.0.0.1", "::1"]
    assert run_in(unpacked["api-spare"], "/usr/bin/api", "resolve", "db.internal").code == 1
