"""Images from Docker Hub, under its real names, out of a registry that stands in for it.

Names lead to loopback by way of `socket.getaddrinfo`; TLS, tokens and redirects are as there.
"""

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import SinkError, StageError
from scratchtasks.core.source import FromImage
from scratchtasks.execute.operation import World
from scratchtasks.execute.sources.resolve import resolve_pin
from scratchtasks.rules.fetch import fetch
from tests.registry.proxy import Fault, Proxy
from tests.registry.servers import (
    PASSWORD,
    USER,
    Authority,
    TokenServer,
    config_json,
    registry,
    serving,
)

from .debian_root import Entry, Layout, compressed, layer_of
from .test_image import content

REGISTRY, AUTH, CDN = "registry-1.docker.io", "auth.docker.io", "production.cloudfront.docker.com"
OS_RELEASE = b'NAME="Alpine Linux"\n'
PULL = ("GET", ("repository:library/alpine:pull",))


@dataclass
class Hub:
    """What answers to Docker Hub's names; *index* is the digest that `alpine:3` means."""

    authority: Authority
    registry: Proxy
    tokens: TokenServer
    cdn: Proxy
    index: str

    @property
    def ports(self) -> dict[str, int]:
        return {
            REGISTRY: self.registry.server_port,
            AUTH: self.tokens.server_port,
            CDN: self.cdn.server_port,
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stand-in, with alpine:3 for two platforms, whose blobs are redirected to a CDN."""
    folder = tmp_path_factory.mktemp("hub")
    authority = Authority(folder / "ca", (REGISTRY, AUTH, CDN))
    tls = authority.server_context()
    layout = Layout(folder / "layout")
    layer = compressed(layer_of(Entry("etc/os-release", OS_RELEASE)), "gzip")
    platforms = [
        (layout.manifest([layer], name), {"os": "linux", "architecture": name})
        for name in ("amd64", "arm64")
    ]
    with registry(folder / "open") as upstream:
        index = layout.push(layout.index(platforms), f"{upstream}/library/alpine:3")
        shutil.copytree(folder / "open/data", folder / "hub/data")
        tokens = TokenServer(authority, f"https://{AUTH}/token", "registry.docker.io")
        with registry(folder / "hub", auth=tokens.auth) as address:
            hub = Hub(authority, Proxy(address, tls), tokens, Proxy(upstream, tls), index)
            with serving(hub.registry), serving(tokens), serving(hub.cdn):
                yield hub


@pytest.fixture
def hub(served: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same, fresh, and Docker Hub's names lead to it; no other name leads anywhere."""
    served.registry.seen.clear()
    served.registry.faults.clear()
    served.cdn.seen.clear()
    served.tokens.asked.clear()
    served.tokens.users.clear()
    real = socket.getaddrinfo

    def lead(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host in served.ports and port == 443:
            return real("127.0.0.1", served.ports[host], *more, **named)
        if host == "127.0.0.1":  # what stands in asks what stands behind it
            return real(host, port, *more, **named)
        raise socket.gaierror(socket.EAI_NONAME, f"no such name: {host}")

    monkeypatch.setattr(socket, "getaddrinfo", lead)
    return served


@pytest.fixture
def user(hub: Hub, tmp_path: Path, world_at: Callable[..., World]) -> Callable[..., World]:
    """A user's world; *env* is hers besides the CA of the stand-in."""

    def make(**env: str) -> World:
        ca = f"{hub.authority.folder}/ca.crt"
        return world_at(tmp_path / "ws", {"HOME": str(tmp_path), "SSL_CERT_FILE": ca, **env})

    return make


def pinned(image: str, world: World) -> World:
    """*world* with what *image* means now in its lock."""
    pin, _ = resolve_pin(fetch(FromImage(image=image, path="/x"), "file"), world)
    return replace(world, pins={pin.name: pin})


@pytest.mark.parametrize(
    "image",
    ["docker.io/library/alpine:3", "alpine:3", "docker.io/alpine:3", "index.docker.io/alpine:3"],
)
def test_alpine_is_pulled_by_nobody(image: str, hub: Hub, user: Callable[..., World]) -> None:
    world = pinned(image, user())
    pin = world.pins[f"image:{image}"]
    assert (pin.version, f"sha256:{pin.sha256}") == ("3", hub.index)
    assert content(image, "/etc/os-release", world) == OS_RELEASE
    # Each client is told once where tokens are, and asks for no more than it needs, as nobody.
    assert hub.tokens.asked == [PULL, PULL]
    assert set(hub.tokens.users) == {""}
    path = "/v2/library/alpine"
    first, second, *rest = map(str, hub.registry.seen)
    assert (first, second) == (f"HEAD {path}/manifests/3", f"HEAD {path}/manifests/3")
    assert rest[0] == f"GET {path}/manifests/{hub.index}"
    assert not any(line.endswith("manifests/3") for line in rest)
    assert {seen.headers["Host"] for seen in hub.registry.seen} == {REGISTRY}


def test_a_tag_that_stays_costs_no_manifest(hub: Hub, user: Callable[..., World]) -> None:
    """Docker Hub counts the manifests that it sends, and asks for money after a hundred."""
    world = user()
    pinned("alpine:3", world)
    hub.registry.seen.clear()
    pinned("alpine:3", world)
    assert list(map(str, hub.registry.seen)) == ["HEAD /v2/library/alpine/manifests/3"] * 2


def test_blobs_come_from_elsewhere_without_the_token(hub: Hub, user: Callable[..., World]) -> None:
    def redirected(path: str) -> Fault:
        return Fault(
            lambda seen: seen.path.endswith(path) and "Authorization" in seen.headers,
            status=307,
            headers={"location": f"https://{CDN}{path}"},
        )

    world = user()
    digests = [
        path.name for path in (hub.authority.folder.parent / "layout/blobs/sha256").iterdir()
    ]
    hub.registry.faults += [
        redirected(f"/v2/library/alpine/blobs/sha256:{digest}") for digest in digests
    ]
    assert content("alpine:3", "/etc/os-release", pinned("alpine:3", world)) == OS_RELEASE
    assert len(hub.cdn.seen) == 2  # config and layer
    assert [seen for seen in hub.cdn.seen if "Authorization" in seen.headers] == []


def test_the_user_s_login_is_shown(hub: Hub, user: Callable[..., World], tmp_path: Path) -> None:
    folder = config_json(tmp_path / "docker", "https://index.docker.io/v1/")
    world = pinned("alpine:3", user(DOCKER_CONFIG=folder))
    assert content("alpine:3", "/etc/os-release", world) == OS_RELEASE
    assert set(hub.tokens.users) == {USER}
    assert set(hub.tokens.asked) == {PULL}


def test_a_login_that_is_wrong_is_told_without_its_password(
    hub: Hub, user: Callable[..., World], tmp_path: Path
) -> None:
    wrong = PASSWORD + "-but-wrong"
    folder = config_json(tmp_path / "docker", "https://index.docker.io/v1/", password=wrong)
    with pytest.raises(SinkError) as caught:
        pinned("alpine:3", user(DOCKER_CONFIG=folder))
    assert str(caught.value) == (
        "GET auth.docker.io/token: 401 ERROR: incorrect username or password\n"
        f"    hint: the login of {folder}/config.json was sent; docker login"
    )


def test_a_digest_that_is_not_that_of_the_bytes_is_refused(
    hub: Hub, user: Callable[..., World]
) -> None:
    lie = f"sha256:{'ab' * 32}"
    hub.registry.faults.append(
        Fault(
            lambda seen: seen.method == "HEAD" and "Authorization" in seen.headers,
            change=lambda headers: {**headers, "docker-content-digest": lie},
        )
    )
    index = (hub.authority.folder.parent / "layout/blobs/sha256" / hub.index[7:]).read_bytes()
    hub.registry.faults.append(Fault(lambda seen: seen.path.endswith(lie), status=200, body=index))
    with pytest.raises(SinkError) as caught:
        pinned("alpine:3", user())
    assert str(caught.value) == (
        f"docker.io/library/alpine@{lie}: digest mismatch: the registry sent {hub.index}"
    )


def test_what_is_not_there_and_who_cannot_be_trusted(
    hub: Hub, user: Callable[..., World], tmp_path: Path, world_at: Callable[..., World]
) -> None:
    with pytest.raises(StageError) as missing:
        pinned("alpine:4", user())
    assert str(missing.value) == (
        "image alpine:4: the registry has no 4 in docker.io/library/alpine"
    )
    with pytest.raises(SinkError, match="certificate"):
        pinned("alpine:3", world_at(tmp_path / "other", {"HOME": str(tmp_path)}))
