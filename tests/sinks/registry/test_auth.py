"""Passwords, tokens and TLS against real registries that want them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at
from scratchtasks.registry.reference import parse_repository
from scratchtasks.sinks.registry.plan import make_plan
from scratchtasks.sinks.registry.push import push
from tests.registry.proxy import Fault, Proxy, Seen
from tests.registry.servers import (
    PASSWORD,
    Authority,
    TokenServer,
    config_json,
    password_auth,
    registry,
    serving,
)

from .bench import QUICK, Bench


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """A registry with a password, and TLS by a CA that nobody knows."""
    folder = tmp_path_factory.mktemp("locked")
    with registry(folder, auth=password_auth(folder), tls=authority.tls) as host:
        yield host


@pytest.fixture(scope="module")
def tokens(authority: Authority) -> Iterator[TokenServer]:
    server = TokenServer(authority)
    with serving(server):
        yield server


@pytest.fixture(scope="module")
def token_host(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("tokens"), auth=tokens.auth) as host:
        yield host


@pytest.fixture
def token_proxy(token_host: str, tokens: TokenServer) -> Iterator[Proxy]:
    server = Proxy(token_host)
    tokens.asked.clear()
    with serving(server):
        yield server


def _env(tmp_path: Path, host: str, password: str = PASSWORD) -> dict[str, str]:
    return {"DOCKER_CONFIG": config_json(tmp_path / "docker", host, password=password)}


def test_password_and_private_ca(
    locked: str, authority: Authority, bench: Bench, tmp_path: Path, team: str
) -> None:
    env = _env(tmp_path, locked) | {"SSL_CERT_FILE": f"{authority.folder}/ca.crt"}
    image = bench.image(f"{locked}/{team}/api", b"a")
    bench.push(image, env=env)
    found = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"--authfile={tmp_path}/docker/config.json",
         f"docker://{locked}/{team}/api"],
        check=True, stdout=subprocess.PIPE, timeout=30,
    )  # fmt: skip
    assert json.loads(found.stdout)["Digest"] == image.top.digest


def test_a_ca_in_the_folder_of_containers(
    locked: str, authority: Authority, bench: Bench, tmp_path: Path, team: str
) -> None:
    folder = tmp_path / "home" / ".config" / "containers" / "certs.d" / locked
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes((authority.folder / "ca.crt").read_bytes())
    env = _env(tmp_path, locked) | {"HOME": str(tmp_path / "home")}
    assert bench.push(bench.image(f"{locked}/{team}/api", b"a"), env=env)


def test_an_unknown_ca_is_an_error_and_no_secret_leaves(
    locked: str, bench: Bench, tmp_path: Path, team: str
) -> None:
    image = bench.image(f"{locked}/{team}/api", b"a")
    with pytest.raises(SinkError) as error:
        bench.push(image, env=_env(tmp_path, locked))
    assert str(error.value) == (
        f"HEAD {locked}/v2/{team}/api/manifests/latest: its certificate is not trusted: "
        "unable to get local issuer certificate\n"
        f"    hint: put the CA's certificate into /etc/docker/certs.d/{locked}/ca.crt, "
        "or name it by SSL_CERT_FILE"
    )


def test_without_a_login_the_hint_names_the_command(
    locked: str, authority: Authority, bench: Bench, team: str
) -> None:
    image = bench.image(f"{locked}/{team}/api", b"a")
    with pytest.raises(SinkError) as error:
        bench.push(image, env={"SSL_CERT_FILE": f"{authority.folder}/ca.crt"})
    assert str(error.value) == (
        f"HEAD {locked}/v2/{team}/api/manifests/latest: 401 UNAUTHORIZED\n"
        f"    hint: no login was sent; docker login {locked}"
    )


def test_a_wrong_password_is_tried_once_and_not_shown(
    locked: str, authority: Authority, bench: Bench, tmp_path: Path, team: str
) -> None:
    env = _env(tmp_path, locked, "mistaken-1") | {"SSL_CERT_FILE": f"{authority.folder}/ca.crt"}
    with pytest.raises(SinkError, match="401 UNAUTHORIZED") as error:
        bench.push(bench.image(f"{locked}/{team}/api", b"a"), env=env)
    assert "mistaken-1" not in str(error.value)
    assert (
        error.value.hint
        == f"the login of {tmp_path}/docker/config.json was sent; docker login {locked}"
    )


def test_tokens_by_repository(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    host = token_proxy.host
    shared = b"certs" * 1000
    images = [bench.image(f"{host}/{team}/{name}", shared, name.encode()) for name in "ab"]
    bench.push(*images, env=_env(tmp_path, host))
    a, b = (f"repository:{team}/{name}" for name in "ab")
    # One token per repository, one more to mount across, and none twice.
    assert sorted(tokens.asked) == [
        ("GET", (f"{a}:pull,push",)),
        ("GET", (f"{b}:pull,push",)),
        ("GET", (f"{b}:pull,push", f"{a}:pull")),
    ]
    assert sum("mount=" in seen.path for seen in token_proxy.seen) == 1
    sizes = [seen.size for seen in token_proxy.seen if seen.method == "PUT"]
    assert sizes.count(len(shared)) == 1
    assert all("Authorization" in seen.headers for seen in token_proxy.seen[1:])


def test_who_may_not_mount_may_still_push(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    images = [bench.image(f"{token_proxy.host}/{team}/{name}", b"shared" * 99) for name in "ab"]
    tokens.grants_mounts = False
    try:
        bench.push(*images, env=_env(tmp_path, token_proxy.host))
    finally:
        tokens.grants_mounts = True
    assert sum("mount=" in seen.path for seen in token_proxy.seen) == 0
    sizes = [seen.size for seen in token_proxy.seen if seen.method == "PUT"]
    assert sizes.count(99 * 6) == 2


def test_an_identity_token_is_exchanged(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    auths = {"auths": {token_proxy.host: {"identitytoken": "identity-secret"}}}
    (tmp_path / "auth.json").write_text(json.dumps(auths))
    env = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    bench.push(bench.image(f"{token_proxy.host}/{team}/api", b"a"), env=env)
    assert tokens.asked == [("POST", (f"repository:{team}/api:pull,push",))]


def test_a_token_that_ends_on_the_way_is_renewed(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    head = {"Www-Authenticate": tokens_challenge(tokens)}
    expired = Fault(lambda seen: seen.method == "PATCH", times=1, status=401, headers=head)
    token_proxy.faults.append(expired)
    image = bench.image(f"{token_proxy.host}/{team}/api", bytes(3 << 20))
    bench.push(image, env=_env(tmp_path, token_proxy.host))
    assert not expired.times
    assert len(tokens.asked) == 2


def test_tokens_that_really_expire_in_an_upload_and_at_the_tag(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    def is_second_chunk(seen: Seen) -> bool:
        return seen.headers.get("Content-Range", "").startswith(f"{1 << 20}-")

    def is_tag(seen: Seen) -> bool:
        return seen.method == "PUT" and seen.path.endswith("/manifests/latest")

    # The registry itself says 401, before it reads what is sent; the client was told 5 minutes.
    token_proxy.faults += [
        Fault(when, unread=True, act=tokens.outlive) for when in (is_second_chunk, is_tag)
    ]
    image = bench.image(f"{token_proxy.host}/{team}/api", bytes(3 << 20))
    env = _env(tmp_path, token_proxy.host)
    tokens.lifetime = 2
    try:
        bench.push(image, env=env)
    finally:
        tokens.lifetime = 300
    assert token_proxy.unread == [401, 401]
    assert len(tokens.asked) >= 3
    starts = [s.headers["Content-Range"] for s in token_proxy.seen if s.method == "PATCH"]
    assert [int(start.partition("-")[0]) >> 20 for start in starts] == [0, 1, 1, 2]
    with Registry(env, limits=QUICK) as client:
        repository = parse_repository(image.repository)
        assert digest_at(client, repository, "latest") == image.top.digest


def test_a_password_that_the_token_server_refuses(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    host = token_proxy.host
    with pytest.raises(SinkError) as error:
        bench.push(bench.image(f"{host}/{team}/api", b"a"), env=_env(tmp_path, host, "mistaken"))
    assert str(error.value) == (
        f"GET 127.0.0.1:{tokens.server_port}/token: 401 ERROR: incorrect username or password\n"
        f"    hint: the login of {tmp_path}/docker/config.json was sent; docker login {host}"
    )


@pytest.fixture
def front(tokens: TokenServer) -> Iterator[Proxy]:
    """Stands before the token server."""
    server = Proxy(f"127.0.0.1:{tokens.server_port}")
    with serving(server):
        yield server


def _asks_at(front: Proxy, token_proxy: Proxy) -> None:
    head = {"Www-Authenticate": f'Bearer realm="http://{front.host}/old",service="test"'}
    strangers = Fault(lambda s: not s.headers.get("Authorization"), 99, status=401, headers=head)
    token_proxy.faults.append(strangers)


def test_a_token_server_that_moved_gets_the_login_on_the_same_host_only(
    token_proxy: Proxy, front: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    _asks_at(front, token_proxy)
    image = bench.image(f"{token_proxy.host}/{team}/api", b"a")
    place = f"/token?service=test&scope=repository:{team}/api:pull,push"
    moved = Fault(lambda s: s.path.startswith("/old?"), 99, 301, {"Location": place})
    front.faults.append(moved)
    bench.push(image, env=_env(tmp_path, token_proxy.host))
    assert [seen.path.partition("?")[0] for seen in front.seen] == ["/old", "/token"]
    assert all("Authorization" in seen.headers for seen in front.seen)

    other = f"127.0.0.1:{tokens.server_port}"
    moved.headers = {"Location": f"http://{other}{place}"}
    with pytest.raises(SinkError) as error:
        bench.push(image, env=_env(tmp_path, token_proxy.host))
    assert str(error.value).startswith(f"GET {other}/token: 401 ERROR: incorrect username")


def test_an_identity_token_is_sent_to_no_other_place(
    token_proxy: Proxy, front: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    _asks_at(front, token_proxy)
    other = f"127.0.0.1:{tokens.server_port}"
    place = {"Location": f"http://{other}/token"}
    front.faults.append(Fault(lambda s: True, 1, 307, place))
    auths = {"auths": {token_proxy.host: {"identitytoken": "identity-secret"}}}
    (tmp_path / "auth.json").write_text(json.dumps(auths))
    env = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    with pytest.raises(SinkError) as error:
        bench.push(bench.image(f"{token_proxy.host}/{team}/api", b"a"), env=env)
    assert str(error.value) == (
        f"POST {front.host}/old: answered 307, a redirect to {other}: "
        "not followed with what is being sent"
    )
    assert tokens.asked == []


def test_a_token_that_allows_pull_only(
    token_proxy: Proxy, tokens: TokenServer, bench: Bench, tmp_path: Path, team: str
) -> None:
    host = token_proxy.host
    image = bench.image(f"{host}/{team}/api", b"a")
    tokens.grants_push = False
    try:
        with Registry(_env(tmp_path, host), limits=QUICK) as client:
            plan = make_plan([image], client, bench.store)
            with pytest.raises(SinkError) as error:
                push(plan, client, bench.store)
    finally:
        tokens.grants_push = True
    lines = str(error.value).splitlines()
    assert lines[0] == (
        f"POST {host}/v2/{team}/api/blobs/uploads/: 401 UNAUTHORIZED: authentication required"
    )
    assert lines[1:] == [
        "    every tag is where it was",
        f"    remaining: 2 blobs ({plan.size} B); 1 manifest; tag {host}/{team}/api:latest",
        f"    hint: the login of {tmp_path}/docker/config.json was sent; docker login {host}",
    ]


def tokens_challenge(tokens: TokenServer) -> str:
    return f'Bearer realm="http://127.0.0.1:{tokens.server_port}/token",service="test"'
