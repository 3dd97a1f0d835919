"""Pushed with ours, pulled with the others: the same digests, and the program runs."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import DockerClient

from scratchtasks.core.digest import digest_of
from tests.scenarios.workspaces import GO_MOD, lone_go
from tests.sinks.docker.conftest import HOSTS, host_of

from .shipyard import Yard

# What a machine that is itself a container lets podman do.
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
RUN = ("--rm", "--network=none", *LIMITS)
PLATFORMS = 'platforms = ["linux/amd64", "linux/arm64"]\n'


@pytest.fixture
def pushed(yard: Yard, registry_host: str) -> dict[str, str]:
    """`repository@digest` in the registry itself: of an image, and of an index."""
    yard.host = registry_host
    yard.service("api")
    yard.site.write(
        {
            "go.mod": GO_MOD,
            "services/web/main.go": lone_go("api 1.2"),
            "services/web/service.toml": '[binary]\nrule = "go_binary"\n'
            f'[image]\n{PLATFORMS}[push]\nrepository = "{yard.repository("web")}"\n',
        }
    )
    lines = yard.doit("push").out.splitlines()
    assert lines == yard.pushed("api", "web").splitlines()
    return dict(zip(("api", "web"), lines, strict=True))


@contextmanager
def _pulled(client: DockerClient, reference: str) -> Iterator[str]:
    """The id of *reference*, pulled into the engine of *client*; gone again afterwards."""
    image = client.images.pull(reference)
    try:
        yield str(image.id)
    finally:
        client.images.remove(str(image.id), force=True)


@pytest.mark.parametrize("kind", list(HOSTS))
def test_docker(pushed: dict[str, str], kind: str) -> None:
    client = DockerClient(base_url=host_of(kind))
    try:
        for whole in pushed.values():
            repository = whole.partition("@")[0]
            for reference in (f"{repository}:latest", whole):
                with _pulled(client, reference) as image:
                    assert client.images.get(image).attrs["RepoDigests"] == [whole]
                    assert _run(client, image) == "api 1.2\n"
    finally:
        client.close()


def _run(client: DockerClient, image: str) -> str:
    container = client.containers.create(image, network_mode="none")
    try:
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == 0
        return str(container.logs().decode())
    finally:
        container.remove(force=True)


def test_podman(pushed: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="podman", ignore_cleanup_errors=True) as folder:
        storage = [f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]
        env = os.environ | {"TMPDIR": folder}

        def podman(*words: str) -> str:
            argv = ["podman", *storage, "--cgroup-manager=cgroupfs", "--runtime=runc", *words]
            done = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout.decode()

        for whole in pushed.values():
            podman("pull", "--tls-verify=false", f"{whole.partition('@')[0]}:latest")
            asked = ("--format", "{{json .RepoDigests}}")
            assert whole in podman("image", "inspect", *asked, whole)
            assert podman("run", *RUN, whole) == ("api 1.2\n")


def test_skopeo(pushed: dict[str, str], tmp_path: Path) -> None:
    for name, whole in pushed.items():
        copy = tmp_path / name
        source = f"docker://{whole}"
        argv = ["skopeo", "copy", "--all", "--src-tls-verify=false", source, f"dir:{copy}"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=60)
        data = (copy / "manifest.json").read_bytes()
        assert whole.endswith(f"@{digest_of(data)}")
