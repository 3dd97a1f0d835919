"""The layouts in dist/: other tools read them, our validator agrees, layers are shared."""

import hashlib
import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from scratchtasks.core.descriptor import descriptor_from_json
from scratchtasks.oci.validate import validate

from .built import IMAGES, Built
from .tools import output_of

pytestmark = pytest.mark.docker

PROGRAMS = {name: f"usr/bin/{name.removesuffix('-spare')}" for name in IMAGES}


@pytest.mark.parametrize("name", IMAGES)
def test_every_byte_of_the_layout_is_valid(built: Built, name: str) -> None:
    index = json.loads((built.layout(name) / "index.json").read_bytes())
    (top,) = index["manifests"]
    assert top["digest"] == built.images[name]["digest"]
    faults = validate(descriptor_from_json(top), lambda digest: built.blob(name, digest).open("rb"))
    assert faults == []


@pytest.mark.parametrize("name", IMAGES)
def test_skopeo_reads_the_layout(built: Built, name: str) -> None:
    said = json.loads(output_of("skopeo", "inspect", f"oci:{built.layout(name)}"))
    assert said["Digest"] == built.images[name]["digest"]
    assert said["Layers"] == [layer["digest"] for layer in built.images[name]["layers"]]
    assert said["Os"] == "linux"
    raw = output_of("skopeo", "inspect", "--raw", f"oci:{built.layout(name)}:latest")
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == said["Digest"]


@pytest.mark.parametrize("name", IMAGES)
def test_skopeo_copies_the_layout(built: Built, name: str, tmp_path: Path) -> None:
    """A copy recomputes every digest on the way."""
    output_of("skopeo", "copy", f"oci:{built.layout(name)}", f"oci:{tmp_path}/copy:there")
    index = json.loads((tmp_path / "copy/index.json").read_bytes())
    assert index["manifests"][0]["digest"] == built.images[name]["digest"]


@pytest.mark.parametrize("name", IMAGES)
def test_the_program_is_static(unpacked: dict[str, Path], name: str) -> None:
    program = unpacked[name] / PROGRAMS[name]
    assert stat.filemode(program.stat().st_mode) == "-rwxr-xr-x"
    assert "INTERP" not in output_of("readelf", "--program-headers", "--wide", program)
    assert "(NEEDED)" not in output_of("readelf", "--dynamic", "--wide", program)


def test_readelf_would_see_a_dynamic_program() -> None:
    sh = shutil.which("sh")
    assert sh
    assert "INTERP" in output_of("readelf", "--program-headers", "--wide", sh)
    assert "(NEEDED)" in output_of("readelf", "--dynamic", "--wide", sh)


def test_umoci_unpacks_modes_and_links(unpacked: dict[str, Path]) -> None:
    root = unpacked["api"]
    for folder in ("tmp", "var/tmp"):
        assert stat.filemode((root / folder).stat().st_mode) == "drwxrwxrwt"
    zones = root / "usr/share/zoneinfo"
    assert (zones / "Asia/Calcutta").samefile(zones / "Asia/Kolkata"), "an alias is a hard link"
    for bundle in ("etc/ssl/cert.pem", "etc/pki/tls/cert.pem"):
        link = root / bundle
        assert link.is_symlink()
        assert (link.parent / link.readlink()).samefile(root / "etc/ssl/certs/ca-certificates.crt")


def test_the_bundle_holds_public_roots_and_the_extra_one(
    unpacked: dict[str, Path], authority: Path
) -> None:
    bundles = {
        name: set(
            re.findall(
                r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----",
                (unpacked[name] / "etc/ssl/certs/ca-certificates.crt").read_text(),
            )
        )
        for name in ("api", "worker", "dashboard")
    }
    assert len(bundles["dashboard"]) > 100
    assert bundles["api"] == bundles["worker"]
    (extra,) = bundles["api"] - bundles["dashboard"]
    assert extra in (authority / "ca.pem").read_text()


SAME = {
    "certs": [{"api", "worker"}, {"dashboard", "api-spare", "worker-spare"}],
    "zoneinfo": [{"api", "worker"}, {"dashboard"}],
    "etc": [{"api"}, {"dashboard"}, {"worker"}, {"portcheck"}, {"api-spare"}],
    "binary": [{"api", "api-spare"}, {"dashboard"}, {"worker", "worker-spare"}, {"portcheck"}],
}
"""By kind of layer, the images for which service.toml asks for the same."""


@pytest.mark.parametrize("kind", SAME)
def test_equal_wishes_share_one_layer_byte_for_byte(built: Built, kind: str) -> None:
    found: dict[str, set[str]] = {}
    for name in IMAGES:
        if kind in (layers := built.layers(name)):
            found.setdefault(layers[kind], set()).add(name)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, SAME[kind]))


def test_a_shared_layer_is_one_file_on_disk(built: Built) -> None:
    digest = built.layers("api")["zoneinfo"]
    assert built.blob("api", digest).samefile(built.blob("worker", digest))


@pytest.mark.parametrize("name", IMAGES)
def test_the_program_is_the_last_layer(built: Built, name: str) -> None:
    assert list(built.layers(name))[-1] == "binary"
