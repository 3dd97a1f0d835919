"""The images of services/, built once, and a Docker Engine that has them.

Without an engine these tests fail: an image that nobody has run is not proven.
"""

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.docker import connect

from .authority import https_server, write_authority
from .built import IMAGES, Built, build, doit
from .engine import Engine, borrowed_tags
from .tools import output_of


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, and `server.pem` for a server on this machine."""
    folder = tmp_path_factory.mktemp("authority")
    write_authority(folder)
    return folder


@pytest.fixture(scope="session")
def built(authority: Path) -> Iterator[Built]:
    """All images, built by `doit` in a copy of services/ whose internal CA is `ca.pem`."""
    cache = os.environ.get("SCRATCH_TEST_CACHE", "~/.cache/scratchtasks-tests")
    with build(authority / "ca.pem", Path(cache).expanduser()) as images:
        yield images


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """A client of the Docker Engine that DOCKER_HOST names."""
    connected, reason = None, ""
    with warnings.catch_warnings():
        # The SDK forgets to close a socket that was refused.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            connected = connect(os.environ)
        except SinkError as error:
            reason = str(error)
        gc.collect()
    if connected is None:
        pytest.fail(reason, pytrace=False)
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def engine(client: DockerClient, built: Built) -> Iterator[Engine]:
    """The Docker Engine, with all images in it by `doit load`."""
    tags = {name: f"{name}:latest" for name in IMAGES}
    with borrowed_tags(client, list(tags.values()), lambda: doit(built.root, "load")) as ids:
        yield Engine(client, {name: ids[tag] for name, tag in tags.items()})


@pytest.fixture(scope="session")
def server(authority: Path) -> Iterator[str]:
    """The URL of an HTTPS server on this machine's loopback that only `ca.pem` vouches for."""
    with https_server(authority / "server.pem") as url:
        yield url


@pytest.fixture(scope="session")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The root file system of every image, unpacked by umoci, by name."""
    folder = tmp_path_factory.mktemp("unpacked")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    for name in IMAGES:
        layout = f"{built.layout(name)}:latest"
        output_of("umoci", "unpack", *rootless, "--image", layout, folder / name)
    return {name: folder / name / "rootfs" for name in IMAGES}
