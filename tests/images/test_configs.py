"""What engines and Kubernetes read from the images' configs, and who they run as."""

import pytest

from .built import IMAGES, SERVICES, Built, doit
from .engine import Engine

pytestmark = pytest.mark.docker

USERS = {
    "api": (1001, 1001),
    "dashboard": (1001, 1001),
    "portcheck": (65532, 65532),
    "worker": (65532, 65532),
}


@pytest.mark.parametrize("name", SERVICES)
def test_kubernetes_sees_that_no_image_runs_as_root(built: Built, name: str) -> None:
    """runAsNonRoot refuses users that are names, and 0.

    Source: kubelet, verifyRunAsNonRoot, and GetUserFromImageUser, which cuts at the colon.
    """
    user = built.config(name)["config"]["User"]
    uid, _, gid = user.partition(":")
    assert uid.isdigit()
    assert int(uid) != 0
    assert (int(uid), int(gid)) == USERS[name]


@pytest.mark.parametrize("name", IMAGES)
def test_the_engine_has_the_image_that_was_built(built: Built, engine: Engine, name: str) -> None:
    image = built.images[name]
    assert engine.ids[name] in (image["image_id"], image["digest"])
    said = engine.inspect(name)
    config = built.config(name)
    assert said["RootFS"]["Layers"] == config["rootfs"]["diff_ids"]
    for key in ("User", "Env", "Entrypoint", "WorkingDir"):
        assert said["Config"][key] == config["config"][key], key


def test_the_engine_knows_the_healthchecks(engine: Engine) -> None:
    second = 1_000_000_000
    for name in ("api", "dashboard"):
        assert engine.inspect(name)["Config"]["Healthcheck"] == {
            "Test": ["CMD", f"/usr/bin/{name}", "health"],
            "Interval": 30 * second,
            "Timeout": 5 * second,
            "Retries": 3,
        }
    assert engine.inspect("worker")["Config"].get("Healthcheck") is None


def test_the_engine_knows_ports_volumes_and_labels(engine: Engine) -> None:
    config = engine.inspect("dashboard")["Config"]
    assert config["ExposedPorts"] == {"8081/tcp": {}}
    assert config["Volumes"] == {"/var/lib/dashboard": {}}
    assert config["Labels"]["org.opencontainers.image.title"] == "dashboard"
    assert engine.inspect("worker")["Config"]["StopSignal"] == "SIGTERM"


def test_loading_again_brings_nothing(built: Built, engine: Engine) -> None:
    before = engine.client.images.get("api:latest").id
    assert "api:latest is already loaded" in doit(built.root, "load:api")
    assert engine.client.images.get("api:latest").id == before
