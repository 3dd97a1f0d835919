"""A workspace that takes from other images: pinned on first use, then never moved by itself."""

import re
import shutil
import signal
import tarfile
import threading
from pathlib import Path

import pytest

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile
from tests.registry.proxy import Fault, Proxy
from tests.scenarios.workspaces import DODO, LOADER, Site, site_of

from .debian_root import BUNDLE, Entry, Layout, compressed, layer_of

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


def workspace(root: Path, host: str) -> Site:
    """One service whose roots, zones and mime.types are Debian's; nothing is built."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "services/api/service.toml": service(host),
        "services/api/run.sh": "#!/bin/sh\n",
    }
    return site_of(root, files)


@pytest.fixture
def site(proxy: Proxy, tmp_path: Path) -> Site:
    """A workspace whose registry counts requests; nothing is built."""
    return workspace(tmp_path / "ws", proxy.host)


@pytest.fixture(scope="module")
def finished(host: str, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A workspace in which all is built, once for all tests."""
    site = workspace(tmp_path_factory.mktemp("finished") / "ws", host)
    site.doit()
    return site


@pytest.fixture
def built(finished: Site, tmp_path: Path) -> Site:
    """A copy of a workspace in which all is built."""
    shutil.copytree(finished.root, tmp_path / "ws", symlinks=True)
    return Site(tmp_path / "ws")


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


def test_a_lock_that_is_tried_out_is_the_one_that_grows(tmp_path: Path) -> None:
    service = """\
[image]
essentials = ["certs"]
entrypoint = ["/run"]
files = [{ src = "run.sh", dest = "/run", mode = "0755" }]
[certs]
source = "machine"
"""
    files = {"services/api/service.toml": service, "services/api/run.sh": "#!/bin/sh\n"}
    site = site_of(tmp_path / "ws", {"dodo.py": DODO, "pyproject.toml": LOADER, **files})
    site.write({"tried": format_lockfile({})})
    site.env["SCRATCHTASKS_LOCK"] = str(site.root / "tried")
    site.doit()
    assert not (site.root / LOCK).exists()
    assert list(parse_lockfile((site.root / "tried").read_text())) == ["machine:/etc/ssl/certs"]
    assert site.doit("--locked").summary == "1 image up to date"


def test_a_tag_that_moves_changes_no_image(built: Site, host: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")

    def push(text: str) -> None:
        layers = [compressed(layer_of(Entry("etc/mime.types", text.encode())), "gzip")]
        tops = [
            (layout.manifest(layers, each), {"os": "linux", "architecture": each})
            for each in ("amd64", "arm64")
        ]
        layout.push(layout.index(tops), f"{host}/moving:1")

    push("old")
    toml = service(host).replace(f"image:{host}/debian:12", f"image:{host}/moving:1")
    built.write({"services/api/service.toml": toml})
    built.doit()
    before, lock = built.images(), (built.root / LOCK).read_text()
    push("new")
    assert built.doit().summary == "1 image up to date"
    assert built.clean_build(tmp_path / "clean") == before
    assert (built.root / LOCK).read_text() == lock
    # What refresh will do: the pin moves, and only what depends on those bytes is made anew.
    (built.root / LOCK).write_text(f"# kept\n{lock.partition(chr(10) + '[pins')[0]}\n")
    moved = built.doit()
    assert contents(built, "files")["etc/mime.types"] == b"new"
    assert "# kept\n" in (built.root / LOCK).read_text()
    assert {action.rpartition(" ")[2] for action in moved.actions} == {"Fetch", "Rootfs", "Image"}
    assert built.images() != before


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
    assert site.run(env={"CI": "true", "SCRATCH_LOCKED": "maybe"}).err.endswith(
        "SCRATCH_LOCKED: wanted 1 or 0, got 'maybe'\n"
    )
    assert not (site.root / LOCK).exists()


def test_a_digest_in_the_name_has_to_be_the_lock_s(built: Site, host: str) -> None:
    text = (built.root / LOCK).read_text()
    (pin,) = parse_lockfile(text).values()
    named = f"{pin.name}@sha256:{pin.sha256}"
    toml = service(host).replace(f'"{host}/debian:12"', f'"{named.removeprefix("image:")}"')
    built.write({"services/api/service.toml": toml})
    wrong = text.replace(f'"{pin.name}"', f'"{named}"').replace(f'"{pin.sha256}"', f'"{"0" * 64}"')
    (built.root / LOCK).write_text(text + wrong.partition("version = 1\n")[2])
    assert (
        f"scratch.lock: pins {named} to sha256:{'0' * 64}, which is not the digest in the name"
    ) in built.run("--locked").err
    assert f"scratch.lock: {named} is pinned to 12, sha256:{pin.sha256}\n" in built.doit().err
    assert parse_lockfile((built.root / LOCK).read_text())[named].sha256 == pin.sha256


def test_offline_tells_all_that_is_missing_at_once(site: Site, proxy: Proxy) -> None:
    toml = service(proxy.host)
    zones = f'source = {{ image = "{proxy.host}/debian:12" }}\n'
    site.write({"services/api/service.toml": toml.rpartition(zones)[0]})
    sha256 = "0" * 64
    lock = f'version = 1\n[pins."image:{proxy.host}/debian:12"]\nversion = "12"\nkind = "image"\n'
    site.write({LOCK: f'{lock}sha256 = "{sha256}"\nsize = 8000\n'})
    tzdata = DEFAULT_PINS["tzdata"]
    refused = site.run("--offline")
    assert refused.code == 3
    assert refused.err.endswith(
        "--offline: the store lacks\n"
        f"  {proxy.host}/debian:12: sha256:{sha256} (8,000 bytes)\n"
        f"  tzdata {tzdata.version}: sha256:{tzdata.sha256} ({tzdata.size:,} bytes)\n"
        "    hint: run once without --offline\n"
    )
    assert site.run(env={"SCRATCH_OFFLINE": "1"}).err == refused.err
    assert proxy.seen == []


def test_what_python_declares_is_the_same(built: Site, host: str) -> None:
    source = {"image": f"{host}/debian:12"}
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
        files(from_="image:{host}/debian:12", src="/etc/mime.types", dest="/etc/mime.types"),
    ],
)
task_images = Workspace(images=[api])
"""
    before = built.images()
    built.write({"dodo.py": dodo})
    built.doit()
    assert built.images() == before


def test_the_workspace_chooses_for_all_services(built: Site, host: str) -> None:
    before = built.images()
    source = f'source = {{ image = "{host}/debian:12" }}\n'
    toml = service(host).replace(source, "").replace('require = ["ISRG Root X1"]\n', "")
    shared = f'[certs]\n{source}require = ["ISRG Root X1"]\n[zoneinfo]\n{source}'
    built.write({"services/api/service.toml": toml, "scratch.toml": shared})
    assert built.doit().actions == []
    assert built.images() == before


def test_a_hand_edited_lock_is_told_with_both_digests(built: Site, host: str) -> None:
    text = (built.root / LOCK).read_text()
    (pin,) = parse_lockfile(text).values()
    (built.root / LOCK).write_text(text.replace(pin.sha256, "0" * 64))
    failed = built.run()
    assert failed.code == 1
    assert (
        f"{pin.name}: digest mismatch: scratch.lock says sha256:{'0' * 64}, "
        f"which the registry does not have; the tag now is sha256:{pin.sha256}"
    ) in failed.out + failed.err


def test_a_registry_that_is_gone_stops_a_first_use_and_writes_nothing(site: Site) -> None:
    toml = service("127.0.0.1:9")
    site.write({"services/api/service.toml": toml})
    failed = site.run()
    assert failed.code == 3
    assert failed.err.endswith(
        "HEAD 127.0.0.1:9/v2/debian/manifests/12: no connection: Connection refused\n"
    )
    assert not (site.root / LOCK).exists()


def test_doit_s_own_loader_pins_too(site: Site, finished: Site, proxy: Proxy, host: str) -> None:
    (site.root / "pyproject.toml").unlink()
    site.doit("-n", "4")
    text = (site.root / LOCK).read_text()
    assert text.replace(proxy.host, host) == (finished.root / LOCK).read_text()


def test_locked_is_not_content_with_what_was_built_without_a_lock(site: Site) -> None:
    toml = service("").partition("[certs]")[0].replace('"certs", ', "")
    toml = "\n".join(line for line in toml.splitlines() if "from =" not in line)
    site.write({"services/api/service.toml": toml})
    site.doit()
    assert site.doit().summary == "1 image up to date"
    assert not (site.root / LOCK).exists()
    refused = site.run("--locked")
    assert (refused.code, refused.err) == (
        3,
        "ERROR: scratch.lock: has no pin for tzdata, and --locked asks for one\n"
        "    hint: `doit refresh` writes it; commit scratch.lock\n",
    )
    lock = format_lockfile({"tzdata": DEFAULT_PINS["tzdata"]})
    site.write({LOCK: lock})
    assert site.doit("--locked").summary == "1 image up to date"
    site.write({"scratch.toml": '[refresh]\ntzdata = "<2026"\n'})
    outdated = site.run("--locked")
    assert (outdated.code, outdated.err) == (
        3,
        f"ERROR: scratch.lock: pins tzdata {DEFAULT_PINS['tzdata'].version}, which [refresh] does "
        "not allow ('<2026')\n    hint: `doit refresh` writes it; commit scratch.lock\n",
    )


@pytest.mark.parametrize("words", [(), ("-n", "2"), ("-n", "2", "-P", "process")])
@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
def test_a_ctrl_c_does_not_wait_for_a_registry_that_says_nothing(
    site: Site, proxy: Proxy, words: tuple[str, ...], part: str
) -> None:
    (essentials,) = re.findall("essentials = .*", service(""))
    config = service(proxy.host).partition("[certs]")[0].replace(essentials, 'essentials = ["tmp"]')
    site.write({"services/api/service.toml": config})  # two platforms at once
    site.doit()
    for made in ("dist", ".scratch"):
        shutil.rmtree(site.root / made)
    is_asked, is_over = threading.Event(), threading.Event()

    def stall() -> None:
        is_asked.set()
        is_over.wait(60)

    proxy.faults.append(Fault(lambda seen: part in seen.path, times=99, act=stall))
    process = site.start(*words)
    try:
        assert is_asked.wait(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)  # it would be silent for 60 s
        assert process.returncode == 130, err.decode()
        assert "Traceback" not in err.decode()
    finally:
        is_over.set()
        process.kill()
        process.communicate()
    site.doit()
