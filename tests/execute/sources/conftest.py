"""A registry that serves a real Debian root, once for all tests of this folder."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.source import FromImage
from scratchtasks.execute.operation import World
from scratchtasks.execute.sources.resolve import resolve_pin
from scratchtasks.rules.fetch import fetch
from tests.registry.proxy import Proxy
from tests.registry.servers import registry, serving

from .debian_root import Layout, compressed, download, tar_of, unpack


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Debian packages by name, as apt fetched them."""
    return download(tmp_path_factory.mktemp("apt") / "packages")


@pytest.fixture(scope="session")
def debian(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root: base-files, ca-certificates, tzdata, media-types."""
    root = tmp_path_factory.mktemp("debian")
    unpack(packages.values(), root)
    return root


@pytest.fixture(scope="session")
def host(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `host:port` of a registry that has `debian:12` for two platforms."""
    folder = tmp_path_factory.mktemp("registry")
    layout = Layout(folder / "layout")
    tar = tar_of(debian)
    amd64 = layout.manifest([compressed(tar, "gzip")])
    arm64 = layout.manifest([compressed(tar, "zstd")], "arm64")
    top = layout.index(
        [
            (amd64, {"os": "linux", "architecture": "amd64"}),
            (arm64, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
        ]
    )
    with registry(folder / "served") as address:
        layout.push(top, f"{address}/debian:12")
        yield address


@pytest.fixture
def proxy(host: str) -> Iterator[Proxy]:
    """What stands before the registry, counts requests, and breaks what it is told to."""
    server = Proxy(host)
    with serving(server):
        yield server


@pytest.fixture
def pinned(world: World) -> Callable[..., World]:
    """The world with a pin for each image, as the registry has it now."""

    def make(*images: str, given: World | None = None) -> World:
        pins = {}
        for image in images:
            pin, _ = resolve_pin(fetch(FromImage(image=image, path="/x"), "file"), given or world)
            pins[pin.name] = pin
        return replace(given or world, pins=pins)

    return make
