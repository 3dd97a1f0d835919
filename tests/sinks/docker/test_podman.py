"""Podman by its docker-compatible socket: it takes whole archives only."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Engine


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
