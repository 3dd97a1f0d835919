"""Pulling into the store: with passwords and tokens as pushing does, and asking for no more."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.errors import RegistryError
from scratchtasks.registry.manifests import fetch_manifest
from scratchtasks.registry.pull import pull_blob, pull_manifest
from scratchtasks.registry.reference import parse_reference
from tests.registry.proxy import Fault, Proxy
from tests.registry.servers import Authority, TokenServer, config_json, registry, serving

from .bench import QUICK, Bench


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    server = TokenServer(Authority(tmp_path_factory.mktemp("authority")))
    with serving(server):
        yield server


@pytest.fixture(scope="module")
def token_host(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("tokens"), auth=tokens.auth) as host:
        yield host


def test_a_token_that_may_only_read_is_asked_for_and_enough(
    bench: Bench, team: str, token_host: str, tokens: TokenServer, tmp_path: Path
) -> None:
    env = {"DOCKER_CONFIG": config_json(tmp_path / "docker", token_host)}
    image = bench.image(f"{token_host}/{team}", b"one layer")
    bench.push(image, env=env)
    other = Bench(tmp_path / "other")
    tokens.asked.clear()
    tokens.grants_push = False
    try:
        with Registry(env, limits=QUICK, access="pull") as client:
            repository = parse_reference(f"{token_host}/{team}").repository
            found = fetch_manifest(client, repository, "latest")
            assert found is not None
            assert digest_of(found.data) == image.top.digest
            assert pull_manifest(client, repository, image.top, other.store) == found.data
            for blob in image.blobs[1:]:
                pull_blob(client, repository, blob, other.store)
                assert other.store.read(blob.digest) == bench.store.read(blob.digest)
    finally:
        tokens.grants_push = True
    assert tokens.asked == [("GET", (f"repository:{team}:pull",))]


def test_who_may_not_read_is_told_how_to_log_in(token_host: str, team: str) -> None:
    repository = parse_reference(f"{token_host}/{team}").repository
    with Registry({}, limits=QUICK, access="pull") as client, pytest.raises(SinkError) as caught:
        fetch_manifest(client, repository, "latest")
    assert str(caught.value).endswith(f"hint: no login was sent; docker login {token_host}")


def test_what_the_store_has_is_not_asked_for(bench: Bench, proxy: Proxy, team: str) -> None:
    image = bench.image(f"{proxy.host}/{team}", b"one layer")
    repository = parse_reference(image.repository).repository
    with Registry({}, limits=QUICK, access="pull") as client:
        assert pull_manifest(client, repository, image.top, bench.store)
        pull_blob(client, repository, image.blobs[-1], bench.store)
    assert proxy.seen == []


def test_a_wrong_size_a_wrong_digest_and_a_loss_leave_nothing_in_the_store(
    bench: Bench, proxy: Proxy, team: str, tmp_path: Path
) -> None:
    image = bench.image(f"{proxy.host}/{team}", b"one layer")
    bench.push(image)
    layer = image.blobs[-1]
    other = Bench(tmp_path / "other")
    where = f"{proxy.host}/{team}@{layer.digest}"
    repository = parse_reference(image.repository).repository

    def refusal(blob: Descriptor) -> str:
        with (
            Registry({}, limits=replace(QUICK, attempts=2), access="pull") as client,
            pytest.raises(RegistryError) as caught,
        ):
            pull_blob(client, repository, blob, other.store)
        return str(caught.value)

    assert refusal(replace(layer, size=5)) == f"{where}: wanted 5 bytes, the registry sent more"
    short = f"{where}: wanted 50 bytes, the registry sent 9 bytes"
    assert refusal(replace(layer, size=50)) == short
    forged = b"two layer"
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, status=200, body=forged))
    assert refusal(layer) == f"{where}: digest mismatch: the registry sent {digest_of(forged)}"
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, times=9, half=0))
    assert refusal(layer) == (
        f"GET {proxy.host}/v2/{team}/blobs/{layer.digest}: the connection was dropped"
    )
    proxy.faults.clear()
    assert not [path for path in (tmp_path / "other/blobs").rglob("*") if path.is_file()]
    none = Descriptor(layer.media_type, Digest(f"sha256:{'0' * 64}"), 1)
    with Registry({}, limits=QUICK, access="pull") as client:
        assert pull_manifest(client, repository, none, other.store) is None


def test_a_registry_without_ranges_is_read_from_the_beginning_again(
    bench: Bench, proxy: Proxy, team: str, tmp_path: Path
) -> None:
    image = bench.image(f"{proxy.host}/{team}", bytes(range(256)) * 4000)
    bench.push(image)
    data = bench.store.read(image.blobs[-1].digest)
    other = Bench(tmp_path / "other")
    repository = parse_reference(image.repository).repository
    proxy.faults += [
        Fault(lambda seen: "/blobs/" in seen.path, half=100_000),
        Fault(lambda seen: "Range" in seen.headers, status=200, body=data),
    ]
    with Registry({}, limits=QUICK, access="pull") as client:
        pull_blob(client, repository, image.blobs[-1], other.store)
    assert other.store.read(image.blobs[-1].digest) == data
    assert proxy.faults[1].times == 0


def test_redirects_to_where_blobs_lie_are_followed_without_secrets(
    bench: Bench, registry_host: str, proxy: Proxy, team: str, tmp_path: Path
) -> None:
    image = bench.image(f"{registry_host}/{team}", b"one layer")
    bench.push(image)
    layer = image.blobs[-1]
    place = f"http://{registry_host}/v2/{team}/blobs/{layer.digest}"
    other = Bench(tmp_path / "other")
    repository = parse_reference(f"{proxy.host}/{team}").repository
    proxy.faults.append(
        Fault(lambda seen: "/blobs/" in seen.path, status=307, headers={"Location": place})
    )
    with Registry({}, limits=QUICK, access="pull") as client:
        pull_blob(client, repository, layer, other.store)
    assert other.store.read(layer.digest) == b"one layer"
