"""A workspace that takes from other images: pinned on first use, then never moved by itself."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from scratchtasks.config.lockfile import parse_lockfile
from tests.scenarios.workspaces import DODO, LOADER, Site, site_of
from tests.sinks.registry.proxy import Proxy

from .debian_root import BUNDLE, Entry, Layout, compressed, layer_of, tar_of

LOCK = "scratch.lock"


def service(host: str, image: str = "debian:12") -> str:
    return f"""\
[image]
platforms = ["linux/amd64", "linux/arm64"]
essentials = ["certs", "zoneinfo", "accounts", "tmp"]
entrypoint = ["/usr/bin/run"]
files = [
    {{ src = "run.sh", dest = "/usr/bin/run", mode = "0755" }},
    {{ from = "image:{host}/{image}", src = "/etc/mime.types", dest = "/etc/mime.types" }},
]

[certs]
source = {{ image = "{host}/{image}" }}
require = ["ISRG Root X1"]

[zoneinfo]
zones = ["Europe/*"]
source = {{ image = "{host}/{image}" }}
"""


@pytest.fixture
def site(proxy: Proxy, tmp_path: Path) -> Site:
    """One service whose roots, zones and mime.types are Debian's."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "services/api/service.toml": service(proxy.host),
        "services/api/run.sh": "#!/bin/sh\n",
    }
    return site_of(tmp_path / "ws", files)


def contents(site: Site, kind: str) -> dict[str, bytes]:
    """The files of the layer *kind* of the image for the first platform."""
    with tarfile.open(site.layers("api")[kind]) as archive:
        files = {info.name: archive.extractfile(info) for info in archive if info.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def test_first_use_just_works_and_is_remembered(site: Site, proxy: Proxy, debian: Path) -> None:
    image = f"image:{proxy.host}/debian:12"
    first = site.doit()
    pins = parse_lockfile((site.root / LOCK).read_text())
    assert list(pins) == [image]
    assert f"scratch.lock: {image} is pinned to 12, sha256:{pins[image].sha256}\n" in first.err
    mime = contents(site, "files")["etc/mime.types"]
    assert mime == (debian / "etc/mime.types").read_bytes()
    assert contents(site, "certs")[BUNDLE].count(b"BEGIN") > 100
    paris = "usr/share/zoneinfo/Europe/Paris"
    assert contents(site, "zoneinfo")[paris] == (debian / paris).read_bytes()
    del proxy.seen[:]
    assert site.doit().summary == "1 image up to date"
    shutil.rmtree(site.root / "dist")
    site.doit("--offline")
    site.doit("--locked")
    assert proxy.seen == []


def test_a_tag_that_moves_changes_no_image(
    site: Site, proxy: Proxy, host: str, debian: Path, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    extra = layer_of(Entry("etc/mime.types", b"text/plain txt\n"))

    def push(*tars: bytes) -> None:
        layers = [compressed(tar, "gzip") for tar in tars]
        tops = [
            (layout.manifest(layers, each), {"os": "linux", "architecture": each})
            for each in ("amd64", "arm64")
        ]
        layout.push(layout.index(tops), f"{host}/moving:1")

    tar = tar_of(debian)
    push(tar)
    site.write({"services/api/service.toml": service(proxy.host, "moving:1")})
    site.doit()
    before, lock = site.images(), (site.root / LOCK).read_text()
    push(tar, extra)
    assert site.doit().summary == "1 image up to date"
    assert site.clean_build(tmp_path / "clean") == before
    assert (site.root / LOCK).read_text() == lock
    # What refresh will do: the pin moves, and only what depends on those bytes is made anew.
    (site.root / LOCK).write_text(f"# kept\n{lock.partition('[pins')[0]}")
    moved = site.doit()
    assert contents(site, "files")["etc/mime.types"] == b"text/plain txt\n"
    assert (site.root / LOCK).read_text().startswith("# kept\n")
    assert {action.rpartition(" ")[2] for action in moved.actions} == {"Fetch", "Image"}
    assert site.images() != before


def test_locked_refuses_all_that_is_not_pinned_at_once(site: Site, proxy: Proxy) -> None:
    toml = service(proxy.host).replace(f'source = {{ image = "{proxy.host}/debian:12" }}\n', "")
    site.write({"services/api/service.toml": toml})
    refused = site.run("--locked")
    assert refused.code == 3
    assert refused.err.endswith(
        "scratch.lock: has no pin for certifi, and --locked asks for one\n"
        f"scratch.lock: has no pin for image:{proxy.host}/debian:12, and --locked asks for one\n"
        "scratch.lock: has no pin for tzdata, and --locked asks for one\n"
        "    hint: `doit refresh` writes it; commit scratch.lock\n"
    )
    assert proxy.seen == []
    assert site.run("image:api", "--locked").err == refused.err
    assert site.run(env={"SCRATCH_LOCKED": "1"}).err == refused.err
    assert site.run(env={"CI": "true", "SCRATCH_LOCKED": "maybe"}).err.endswith(
        "SCRATCH_LOCKED: wanted 1 or 0, got 'maybe'\n"
    )
    assert not (site.root / LOCK).exists()


def test_a_digest_in_the_name_has_to_be_the_lock_s(site: Site, proxy: Proxy, host: str) -> None:
    site.doit()
    text = (site.root / LOCK).read_text()
    (pin,) = parse_lockfile(text).values()
    named = f"debian:12@sha256:{pin.sha256}"
    site.write({"services/api/service.toml": service(proxy.host, named)})
    assert "is pinned to 12" in site.doit().err
    site.doit("--locked")
    edited = (site.root / LOCK).read_text().replace(pin.sha256 + '"\nsize', "0" * 64 + '"\nsize')
    (site.root / LOCK).write_text(edited)
    assert (
        f"scratch.lock: pins image:{proxy.host}/{named} to sha256:{'0' * 64}, which is not the "
        "digest in the name"
    ) in site.run("--locked").err
    site.doit()
    assert edited != (site.root / LOCK).read_text()


def test_offline_tells_all_that_is_missing_at_once(
    site: Site, proxy: Proxy, tmp_path: Path
) -> None:
    toml = service(proxy.host)
    zones = f'[zoneinfo]\nzones = ["Europe/*"]\nsource = {{ image = "{proxy.host}/debian:12" }}\n'
    site.write({"services/api/service.toml": toml.replace(zones, "")})
    site.doit()
    pins = parse_lockfile((site.root / LOCK).read_text())
    tzdata, debian = pins["tzdata"], pins[f"image:{proxy.host}/debian:12"]
    other = Site(tmp_path / "other")
    shutil.copytree(site.root, other.root, ignore=shutil.ignore_patterns(".scratch", "dist"))
    del proxy.seen[:]
    refused = other.run("--offline")
    assert refused.code == 3
    assert refused.err.endswith(
        "--offline: the store lacks\n"
        f"  tzdata {tzdata.version}: sha256:{tzdata.sha256} ({tzdata.size:,} bytes)\n"
        f"  {proxy.host}/debian:12: sha256:{debian.sha256} ({debian.size:,} bytes)\n"
        "    hint: run once without --offline\n"
    )
    assert other.run(env={"SCRATCH_OFFLINE": "1"}).err == refused.err
    assert proxy.seen == []


def test_what_python_declares_is_the_same(site: Site, proxy: Proxy) -> None:
    site.doit()
    source = {"image": f"{proxy.host}/debian:12"}
    dodo = f"""\
from scratchtasks import Workspace, accounts, ca_certificates, files, scratch_image, tmp, zoneinfo

api = scratch_image(
    "api",
    "services/api",
    platforms=["linux/amd64", "linux/arm64"],
    essentials=[
        ca_certificates(source={source}, require=["ISRG Root X1"]),
        zoneinfo(zones=["Europe/*"], source={source}),
        accounts(),
        tmp(),
    ],
    entrypoint=["/usr/bin/run"],
    files=[
        files(src="run.sh", dest="/usr/bin/run", mode="0755"),
        files(from_="image:{proxy.host}/debian:12", src="/etc/mime.types", dest="/etc/mime.types"),
    ],
)
task_images = Workspace(images=[api])
"""
    before = site.images()
    site.write({"dodo.py": dodo})
    site.doit()
    assert site.images() == before


def test_the_workspace_chooses_for_all_services(site: Site, proxy: Proxy) -> None:
    site.doit()
    before = site.images()
    source = f'source = {{ image = "{proxy.host}/debian:12" }}\n'
    toml = service(proxy.host).replace(source, "").replace('require = ["ISRG Root X1"]\n', "")
    site.write(
        {
            "services/api/service.toml": toml,
            "scratch.toml": f'[certs]\n{source}require = ["ISRG Root X1"]\n[zoneinfo]\n{source}',
        }
    )
    assert site.doit().actions == []
    assert site.images() == before


def test_a_hand_edited_lock_is_told_with_both_digests(site: Site, proxy: Proxy) -> None:
    site.doit()
    text = (site.root / LOCK).read_text()
    (pin,) = parse_lockfile(text).values()
    (site.root / LOCK).write_text(text.replace(pin.sha256, "0" * 64))
    failed = site.run()
    assert failed.code == 1
    assert (
        f"image:{proxy.host}/debian:12: digest mismatch: scratch.lock says sha256:{'0' * 64}, "
        f"which the registry does not have; the tag now is sha256:{pin.sha256}"
    ) in failed.out + failed.err
    (site.root / LOCK).write_text(text)
    site.doit()


def test_a_registry_that_is_gone_stops_a_first_use_and_no_other(site: Site, proxy: Proxy) -> None:
    toml = service(proxy.host)
    site.write({"services/api/service.toml": toml.replace(proxy.host, "127.0.0.1:9")})
    failed = site.run()
    assert failed.code == 3
    assert failed.err.endswith(
        "GET 127.0.0.1:9/v2/debian/manifests/12: no connection: Connection refused\n"
    )
    assert not (site.root / LOCK).exists()
    assert os.listdir(site.root / ".scratch")
    site.write({"services/api/service.toml": toml})
    site.doit()
    assert json.loads((site.root / "dist/images.json").read_text())["images"][0]["name"] == "api"
