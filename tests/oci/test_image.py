"""The JSON of images, field by field."""

import json

import pytest

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, canonical_json, digest_of
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Healthcheck, Image, User
from scratchtasks.oci import media
from scratchtasks.oci.image import (
    DEFAULT_PATH,
    config_bytes,
    index_bytes,
    manifest_bytes,
    timestamp,
)
from scratchtasks.oci.layout import LAYOUT_FILE, index_json

from .memory_blobs import AMD64, IMAGE, MemoryBlobs

_BLOB = Descriptor(media.LAYER_GZIP, digest_of(b"blob"), 4)
_LAYERS = [Layer(_BLOB, DiffID(digest_of(b"one")), "etc"), Layer(_BLOB, DiffID(digest_of(b"two")))]


def test_config_with_everything() -> None:
    image = Image(
        platforms=(AMD64,),
        user=User("app", 1001, 1002),
        entrypoint=("/usr/bin/api", "--serve"),
        cmd=("all",),
        env={"TZ": "Europe/Paris", "A": "1=2"},
        ports=("8080/tcp", "53/udp"),
        workdir="/srv",
        volumes=("/var/lib/api",),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(
            command=("/usr/bin/api", "health"),
            interval=30_000_000_000,
            timeout=5_000_000_000,
            start_period=1_000_000_000,
            retries=3,
        ),
        labels={"org.opencontainers.image.source": "https://example.com/api"},
    )
    data = config_bytes(image, Platform("linux", "arm", "v7"), _LAYERS, 86_400)
    assert data == canonical_json(json.loads(data))
    when = "1970-01-02T00:00:00Z"
    assert json.loads(data) == {
        "architecture": "arm",
        "os": "linux",
        "variant": "v7",
        "created": when,
        "config": {
            "User": "1001:1002",
            "Env": ["A=1=2", f"PATH={DEFAULT_PATH}", "TZ=Europe/Paris"],
            "Entrypoint": ["/usr/bin/api", "--serve"],
            "Cmd": ["all"],
            "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
            "WorkingDir": "/srv",
            "Volumes": {"/var/lib/api": {}},
            "StopSignal": "SIGINT",
            "Labels": {"org.opencontainers.image.source": "https://example.com/api"},
            "Healthcheck": {
                "Test": ["CMD", "/usr/bin/api", "health"],
                "Interval": 30_000_000_000,
                "Timeout": 5_000_000_000,
                "StartPeriod": 1_000_000_000,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(b"one"), digest_of(b"two")]},
        "history": [
            {"created": when, "created_by": "scratchtasks: etc"},
            {"created": when, "created_by": "scratchtasks: layer"},
        ],
    }


def test_config_leaves_out_what_is_empty() -> None:
    value = json.loads(config_bytes(IMAGE, AMD64, ()))
    assert value["config"] == {
        "User": "1001:1001",
        "Env": [f"PATH={DEFAULT_PATH}"],
        "Entrypoint": ["/usr/bin/api"],
        "WorkingDir": "/",
    }
    assert value["created"] == "1970-01-01T00:00:00Z"
    assert "variant" not in value


def test_a_path_of_the_users_own_stays() -> None:
    image = Image(
        platforms=(AMD64,), user=User("root", 0, 0), entrypoint=("/a",), env={"PATH": "/opt"}
    )
    config = json.loads(config_bytes(image, AMD64, ()))["config"]
    assert (config["Env"], config["User"]) == (["PATH=/opt"], "0:0")


def test_manifest_and_index() -> None:
    config = Descriptor(media.CONFIG, digest_of(b"config"), 6)
    manifest = json.loads(manifest_bytes(config, [_BLOB], {"a": "b"}))
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(b"config"),
            "size": 6,
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest_of(b"blob"),
                "size": 4,
            }
        ],
        "annotations": {"a": "b"},
    }
    assert "annotations" not in json.loads(manifest_bytes(config, [_BLOB]))
    index = json.loads(index_bytes([(_BLOB, AMD64), (_BLOB, Platform("linux", "arm", "v7"))]))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [item["platform"] for item in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]


def test_layout_files() -> None:
    top = MemoryBlobs().image()
    assert LAYOUT_FILE == b'{"imageLayoutVersion":"1.0.0"}'
    assert json.loads(index_json("api", top)) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                **top.to_json(),
                "annotations": {
                    "io.containerd.image.name": "docker.io/library/api:latest",
                    "org.opencontainers.image.ref.name": "latest",
                },
            }
        ],
    }


def test_timestamps_are_utc() -> None:
    assert timestamp(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert timestamp(253_402_300_799) == "9999-12-31T23:59:59Z"
    with pytest.raises(ValueError, match="out of range"):
        timestamp(253_402_300_800)
