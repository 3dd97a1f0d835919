"""Podman by its docker-compatible socket: it takes whole archives only."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.engines import open_engine
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, lone_go, site_of

from .conftest import Engine
from .made import Made


@pytest.fixture(scope="module")
def podman() -> Iterator[str]:
    """The DOCKER_HOST of a podman of our own."""
    with tempfile.TemporaryDirectory(prefix="podman", ignore_cleanup_errors=True) as folder:
        host = f"unix://{folder}/podman.sock"
        storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        options = [*storage, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        with (Path(folder) / "log").open("w") as log:
            service = subprocess.Popen(
                ["podman", *options, "system", "service", "--time=0", host],
                stdout=log,
                stderr=log,
                env=os.environ | {"TMPDIR": folder},
            )
        try:
            deadline = time.monotonic() + 20
            while not (Path(folder) / "podman.sock").exists():
                assert service.poll() is None, (Path(folder) / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield host
        finally:
            service.terminate()
            service.wait(20)


@pytest.fixture
def engine(podman: str, open_engine: Callable[[str, str], Engine]) -> Engine:
    """Podman, seen as an engine."""
    return open_engine("podman", podman)


def test_load_change_and_load_again(engine: Engine, name: str) -> None:
    one, two = engine.made.named(name, "one"), engine.made.named(name, "two")
    assert engine.load(one) == ["loaded"]
    assert engine.load(one) == ["present"]
    assert engine.relay.loads() == 0
    assert engine.id(name) == one.root.config.digest
    assert engine.load(two) == ["loaded"]
    assert engine.relay.loads() == 1
    assert engine.id(name) == two.root.config.digest
    assert engine.load(one) == ["tagged"]
    assert engine.read(name) == "one"


def test_several_images_in_one_archive(engine: Engine, name: str) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    images = [engine.made.named(each, each) for each in names]
    assert engine.load(*images) == ["loaded"] * 3
    assert engine.relay.loads() == 1
    assert [engine.read(each) for each in names] == names
    assert engine.load(*images) == ["present"] * 3


def test_load_by_doit_into_podman(engine: Engine, podman: str, name: str, tmp_path: Path) -> None:
    label = f'labels = {{ "scratchtasks.test" = "{engine.made.owner}" }}\n'
    files = {"dodo.py": DODO, "pyproject.toml": LOADER, "go.mod": GO_MOD}
    files["scratch.toml"] = f'{QUICK}{label}[load]\nengine = "podman"\n'
    files[f"services/{name}/main.go"] = lone_go("hello")
    files[f"services/{name}/service.toml"] = SERVICE
    site = site_of(tmp_path / "site", files)
    site.env |= {"CONTAINER_HOST": podman, "DOCKER_HOST": "unix:///no/engine.sock"}
    assert f"{name}:latest loaded\n" in site.doit("load").err
    assert f"{name}:latest is already loaded\n" in site.doit("load").err
    site.doit("image")
    (image,) = json.loads((site.root / "dist/images.json").read_text())["images"]
    assert engine.id(name) == image["image_id"]


def test_a_service_is_run_where_none_listens(made: Made, name: str, tmp_path: Path) -> None:
    """With storage of its own; it ends with the block."""
    storage = f"[storage]\ndriver = 'vfs'\ngraphroot = '{tmp_path}/root'\n"
    (tmp_path / "storage.conf").write_text(storage + f"runroot = '{tmp_path}/run'\n")
    env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    env["TMPDIR"] = str(tmp_path)
    env.pop("CONTAINER_HOST", None)
    image = made.named(name, "hello")
    for said in ("loaded", "present"):
        with open_engine("podman", env) as target:
            assert target.architectures[:2] == ("amd64", "386")
            assert target.load([image], made.store) == [said]
            assert target.id_of(f"{name}:latest") == image.root.config.digest


def test_podman_that_does_not_answer_or_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError) as caught,
        open_engine("podman", {"CONTAINER_HOST": "unix:///no/podman.sock"}),
    ):
        pass
    assert str(caught.value) == (
        "podman: no engine answers at unix:///no/podman.sock (from CONTAINER_HOST): "
        "No such file or directory\n"
        "    hint: start podman's service, or correct CONTAINER_HOST"
    )
    (tmp_path / "podman").write_text("#!/bin/sh\necho storage is broken >&2\nexit 125\n")
    (tmp_path / "podman").chmod(0o755)
    for path, message in (
        (f"{tmp_path}:/bin", "podman: its service does not start: storage is broken"),
        (
            "/nowhere",
            "podman: cannot be run: No such file or directory\n"
            '    hint: install it, or set load.engine = "docker"',
        ),
    ):
        with pytest.raises(SinkError) as caught, open_engine("podman", {"PATH": path}):
            pass
        assert str(caught.value) == message
