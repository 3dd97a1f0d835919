"""One Go service for all seven platforms: an index, seven binaries, and each of them runs."""

import io
import itertools
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from scratchtasks.core.errors import NotStatic
from scratchtasks.core.platform import KNOWN, parse_platform
from scratchtasks.execute.elf import check_static

from .workspaces import DODO, LOADER, Site, site_of

MACHINES = {
    "linux/amd64": "EM_X86_64",
    "linux/arm64": "EM_AARCH64",
    "linux/arm/v7": "EM_ARM",
    "linux/386": "EM_386",
    "linux/riscv64": "EM_RISCV",
    "linux/s390x": "EM_S390",
    "linux/ppc64le": "EM_PPC64",
}

HELLO = {
    "dodo.py": DODO,
    "pyproject.toml": LOADER,
    "scratch.toml": '[image]\nessentials = ["accounts", "tmp"]\n',
    "services/hello/go.mod": "module example.com/hello\n\ngo 1.21\n",
    # Without an import little of Go's library has to be compiled seven times.
    "services/hello/main.go": 'package main\n\nfunc main() { println("hello") }\n',
    "services/hello/service.toml": (
        '[binary]\nrule = "go_binary"\n\n'
        f"[image]\nplatforms = {json.dumps(KNOWN)}\n\n"
        '[smoke]\nstderr = "^hello$"\n'
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The service, built."""
    site = site_of(tmp_path_factory.mktemp("platforms") / "ws", HELLO)
    site.env["DOCKER_HOST"] = f"unix://{site.root}/no-engine.sock"
    ran = site.doit()
    compiled = [action for action in ran.actions if action.endswith("GoCompile")]
    assert compiled == ["//services/hello:binary GoCompile"] * len(KNOWN)
    return site


def _blob(site: Site, descriptor: dict[str, Any]) -> bytes:
    path = site.root / "dist/hello/blobs" / descriptor["digest"].replace(":", "/")
    data: bytes = path.read_bytes()
    assert len(data) == descriptor["size"]
    return data


def _index(site: Site) -> dict[str, Any]:
    layout = json.loads((site.root / "dist/hello/index.json").read_text())
    (entry,) = layout["manifests"]
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
    index: dict[str, Any] = json.loads(_blob(site, entry))
    return index


def _binary(site: Site, manifest: dict[str, Any]) -> bytes:
    *_, layer = manifest["layers"]
    with tarfile.open(fileobj=io.BytesIO(_blob(site, layer)), mode="r:gz") as tar:
        file = tar.extractfile("usr/bin/hello")
        assert file is not None
        return bytes(file.read())


def test_the_index_has_every_platform_and_each_its_own_binary(site: Site, tmp_path: Path) -> None:
    index = _index(site)
    parts = [text.split("/") for text in KNOWN]
    wanted = [dict(zip(("os", "architecture", "variant"), part, strict=False)) for part in parts]
    assert [entry["platform"] for entry in index["manifests"]] == wanted
    assert {"os": "linux", "architecture": "arm", "variant": "v7"} in wanted
    files = {}
    for text, entry in zip(KNOWN, index["manifests"], strict=True):
        manifest = json.loads(_blob(site, entry))
        config = json.loads(_blob(site, manifest["config"]))
        assert {name: config.get(name) for name in entry["platform"]} == entry["platform"]
        assert ("variant" in config) == ("variant" in entry["platform"])
        data = _binary(site, manifest)
        assert ELFFile(io.BytesIO(data))["e_machine"] == MACHINES[text]
        files[text] = tmp_path / text.replace("/", "-")
        files[text].write_bytes(data)
        check_static(str(files[text]), parse_platform(text), "//services/hello:binary")
    # The gate knows each from every other.
    for ours, theirs in itertools.permutations(KNOWN, 2):
        with pytest.raises(NotStatic, match=f"wanted {theirs} "):
            check_static(str(files[ours]), parse_platform(theirs), "//services/hello:binary")
    (told,) = json.loads((site.root / "dist/images.json").read_text())["images"]
    assert told["platforms"] == list(KNOWN)


@pytest.mark.parametrize("text", KNOWN)
def test_skopeo_finds_each_platform(site: Site, text: str) -> None:
    _, architecture, *variant = text.split("/")
    override = ["--override-os=linux", f"--override-arch={architecture}"]
    override += [f"--override-variant={variant[0]}"] if variant else []
    layout = f"oci:{site.root}/dist/hello"
    done = subprocess.run(
        ["skopeo", *override, "inspect", "--config", layout],
        check=True,
        stdout=subprocess.PIPE,
        timeout=30,
    )
    assert json.loads(done.stdout)["architecture"] == architecture


def test_every_platform_is_tried_out_by_qemu_where_need_be(site: Site) -> None:
    ran = site.doit("smoke")
    assert [action.partition(" ")[2] for action in ran.actions] == ["Smoke"] * len(KNOWN)
    assert site.doit().summary == "1 image up to date"
