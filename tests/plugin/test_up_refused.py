"""What `doit up` and `doit watch` refuse before anything is built."""

import os
from pathlib import Path

import pytest

from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, PREBUILT, QUICK, Site


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "up: wanted the NAME of a service\n"),
        (("ap",), "ap: there is no such service\n    hint: did you mean 'api'?\n"),
        pytest.param(
            ("--down", "ap"),
            "ap: there is no such service\n    hint: did you mean 'api'?\n",
            marks=pytest.mark.docker,
        ),
        (
            ("api", "-p", "1:2"),
            "--port 1:2: no service here declares the port 2/tcp\n"
            "    hint: declared: api 80/tcp, api 53/udp\n",
        ),
        (
            ("api", "-p", "80"),
            "--port: wanted HOST:PORT or NAME:HOST:PORT, got '80'\n"
            "    hint: 9090:8080 publishes the declared port 8080 as 9090\n",
        ),
        (
            ("api", "web"),
            "up: api and web both want port 80\n    hint: choose another one: --port web:81:80\n",
        ),
        (
            ("api", "web", "-p", "api:81:80"),
            "up: api and web both want port 53\n"
            "    hint: choose another one: --port web:54:53/udp\n",
        ),
        (
            ("api", "--env", "NOT_THERE"),
            "--env NOT_THERE: there is no such variable\n"
            "    hint: set it, or give its value here: NAME=VALUE\n",
        ),
        (
            ("api", "--env=A=1"),
            "--env: wanted the name of a variable, got 'A=1'\n"
            "    hint: values are given without it: NAME=VALUE\n",
        ),
        (
            ("api", "--address", "localhost"),
            "--address: wanted an IPv4 or IPv6 address, got 'localhost'\n",
        ),
    ],
)
def test_what_is_refused_before_anything_is_built(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK, "go.mod": GO_MOD})
    for each in ("api", "web"):
        text = f'{PREBUILT}[image]\nports = ["80/tcp", "53/udp"]\n'
        site.write({f"services/{each}/service.toml": text, f"services/{each}/tool": "x"})
    host = "unix:///var/run/docker.sock"  # `--down` asks it what is up
    ran = site.run("up", *words, env={"DOCKER_HOST": os.environ.get("DOCKER_HOST") or host})
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"ERROR: {message}"
    assert not (site.root / "dist").exists()


@pytest.mark.parametrize("command", ["up", "watch"])
def test_a_kind_cluster_runs_no_containers(command: str, tmp_path: Path) -> None:
    site = Site(tmp_path, {"SCRATCH_ENGINE": "kind:dev"})
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK})
    site.write({"services/web/service.toml": PREBUILT})
    ran = site.run(command, "web")
    assert (ran.code, ran.out, ran.err) == (
        3,
        "",
        "ERROR: up: the engine kind:dev runs pods, not containers\n    hint: doit load, and "
        "`doit resolve --local` for manifests that name what is loaded\n",
    )
    assert not (site.root / "dist").exists()


def test_volumes_go_with_their_containers_only(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER})
    ran = site.run("up", "web", "--volumes")
    assert (ran.code, ran.out, ran.err) == (
        3,
        "",
        "ERROR: up: --volumes goes with --down\n"
        "    hint: `doit up --down --volumes` removes containers and their volumes\n",
    )


def test_watching_what_cannot_be_read_ends_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER})
    site.write({"services/api/service.toml": "nam = 1\n"})
    ran = site.run("watch", "api")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("ERROR: services/api/service.toml: unknown key 'nam'")
    assert site.run("watch").err == "ERROR: watch: wanted the NAME of a service\n"
