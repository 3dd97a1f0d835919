"""`doit refresh` over images as sources: a tag that moves, and what it takes away."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.config.lockfile import parse_lockfile
from tests.refresh.nights import PREBUILT, SERVICES, build_all, make_workspace, night
from tests.refresh.wheels import bundle, zone_files
from tests.registry.proxy import Proxy
from tests.registry.servers import serving
from tests.scenarios.workspaces import DODO, LOADER, site_of

from .debian_root import BUNDLE, Entry, Layout, compressed, layer_of
from .mirror import Mirror, Served

TOML = """\
[image]
platforms = ["linux/amd64"]
essentials = ["certs", "zoneinfo", "tmp"]
entrypoint = ["/usr/bin/run"]
files = [
    {{ src = "run.sh", dest = "/usr/bin/run", mode = "0755" }},
    {{ from = "image:{image}", src = "/etc/mime.types", dest = "/etc/mime.types" }},
]
[certs]
source = {{ image = "{image}" }}
require = ["ISRG Root X1"]
[zoneinfo]
zones = ["UTC", "Asia/Almaty"]
source = {{ image = "{image}" }}
"""
PLAIN = '[image]\nessentials = ["tmp"]\nentrypoint = ["/usr/bin/run"]\n' + (
    'files = [{ src = "run.sh", dest = "/usr/bin/run", mode = "0755" }]\n'
)


class Base:
    """A base image under one tag, and the workspace that takes from it."""

    def __init__(self, host: str, tmp_path: Path) -> None:
        self.image = f"{host}/base-{tmp_path.name.lower()}:1"
        self._layout = Layout(tmp_path / "layout")
        self.entries = {
            "etc/mime.types": b"text/html html\n",
            BUNDLE: _pem("certifi-2024.7.4"),
            **{f"usr/share/zoneinfo/{z}": d for z, d in _zones("tzdata-2023.3").items()},
        }
        self.push()
        files = {
            "dodo.py": DODO,
            "pyproject.toml": LOADER,
            "services/api/service.toml": TOML.format(image=self.image),
            "services/plain/service.toml": PLAIN,
            **{f"services/{name}/run.sh": "#!/bin/sh\n" for name in ("api", "plain")},
        }
        self.site = site_of(tmp_path / "ws", files)

    def push(self) -> None:
        entries = [Entry(path, data) for path, data in self.entries.items()]
        layers = [compressed(layer_of(*entries), "gzip")]
        self._layout.push(self._layout.manifest(layers), self.image)

    def refresh(self, *words: str) -> tuple[int, dict[str, Any]]:
        ran = self.site.run("refresh", "--json", *words)
        assert ran.out, ran
        told: dict[str, Any] = json.loads(ran.out)
        return ran.code, told

    @property
    def lock(self) -> str:
        return (self.site.root / "scratch.lock").read_text()


def _pem(release: str) -> bytes:
    lines = bundle(release).splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"#"))


def _zones(release: str) -> dict[str, bytes]:
    names = ("UTC", "Asia/Almaty", "Europe/Paris")
    return {name: zone_files(release)[name] for name in names}


@pytest.fixture
def base(proxy: Proxy, tmp_path: Path) -> Base:
    return Base(proxy.host, tmp_path)


def test_a_tag_that_moved(base: Base) -> None:
    base.site.doit()
    before, lock = base.site.images(), base.lock
    assert base.refresh("--check")[0] == 0
    base.entries[BUNDLE] = _pem("certifi-2026.10.18")
    base.entries |= {f"usr/share/zoneinfo/{z}": d for z, d in _zones("tzdata-2026.6").items()}
    base.push()
    code, told = base.refresh("--check")
    assert (code, base.lock) == (10, lock)
    code, told = base.refresh("--build")
    assert (code, told["outcome"]) == (10, "refreshed")
    pin = f"image:{base.image}"
    assert [move["name"] for move in told["moves"]] == [pin]
    (roots,), (zones,) = told["roots"], told["zones"]
    assert (roots["source"], zones["source"]) == (pin, pin)
    assert len(roots["removed"]) > 20
    assert [change["zone"] for change in zones["changed"]] == ["Asia/Almaty"]
    after = base.site.images()
    fates = {image["name"]: (image["old"], image["new"]) for image in told["images"]}
    assert fates == {name: (before[name], after[name]) for name in before}
    assert (after["plain"] == before["plain"], after["api"] == before["api"]) == (True, False)
    assert parse_lockfile(base.lock)[pin].sha256 == told["moves"][0]["new"]["sha256"]
    assert base.refresh()[0] == 0


def test_a_base_that_moved_without_moving_what_is_taken(base: Base) -> None:
    base.site.doit()
    before = base.site.images()
    base.entries["etc/motd"] = b"hello\n"
    base.push()
    code, told = base.refresh("--build")
    assert (code, told["zones"]) == (10, [])
    assert [roots["added"] + roots["removed"] for roots in told["roots"]] == [[]]
    assert [image["is_affected"] for image in told["images"]] == [False, False]
    assert base.site.doit().code == 0
    assert base.site.images() == before


def test_what_a_new_base_takes_away(base: Base) -> None:
    base.site.doit()
    lock = base.lock
    del base.entries["etc/mime.types"]
    base.entries[BUNDLE] = _pem("certifi-2026.10.18").replace(_isrg(), b"")
    del base.entries["usr/share/zoneinfo/Asia/Almaty"]
    base.push()
    code, told = base.refresh()
    assert (code, told["outcome"], base.lock) == (20, "refused", lock)
    alarms = {(alarm["where"], alarm["what"].partition("\n")[0]) for alarm in told["alarms"]}
    home = "services/api/service.toml"
    assert (f"{home}: certs.require[0]", "root ISRG Root X1 is gone") in alarms
    assert (f"{home}: zoneinfo.zones[1]", "zone Asia/Almaty is gone") in alarms
    assert any("has no /etc/mime.types" in what for _, what in alarms)


def _isrg() -> bytes:
    """The PEM block of ISRG Root X1."""
    text = bundle("certifi-2026.10.18")
    start = text.index(b"-----BEGIN", text.index(b"ISRG Root X1"))
    end = b"-----END CERTIFICATE-----\n"
    return text[start : text.index(end, start) + len(end)]


def test_a_pinned_image_is_not_asked_for(base: Base, proxy: Proxy) -> None:
    base.site.doit()
    base.site.write({"scratch.toml": f'[refresh]\n"image:{base.image}" = "pinned"\n'})
    base.entries["etc/mime.types"] = b"other\n"
    base.push()
    proxy.seen.clear()
    assert base.refresh()[0] == 0
    assert proxy.seen == []


def test_a_pinned_image_without_a_pin_gets_its_first(base: Base) -> None:
    base.site.doit()
    locked = base.lock
    base.site.write({"scratch.toml": f'[refresh]\n"image:{base.image}" = "pinned"\n'})
    (base.site.root / "scratch.lock").unlink()
    code, told = base.refresh()
    assert (code, [move["why"] for move in told["moves"]]) == (10, ["was not in scratch.lock"])
    assert (told["alarms"], base.lock) == ([], locked)


def test_a_policy_that_names_nothing_is_told(base: Base) -> None:
    base.site.doit()
    base.site.write({"scratch.toml": '[refresh]\n"image:alpine:3" = "pinned"\n'})
    code, told = base.refresh("--check")
    note = "[refresh] has a policy for image:alpine:3, which nothing here is fetched from"
    assert (code, told["notes"]) == (0, [note])


def test_a_registry_that_is_gone(base: Base, proxy: Proxy) -> None:
    base.site.doit()
    lock = base.lock.replace(proxy.host, "127.0.0.1:9")
    path = base.site.root / "services/api/service.toml"
    path.write_text(path.read_text().replace(proxy.host, "127.0.0.1:9"))
    base.site.write({"scratch.lock": lock})
    ran = base.site.run("refresh")
    assert (ran.code, base.lock) == (3, lock)
    assert "no connection: Connection refused" in ran.err


def newer(package: Path, folder: Path, without: str) -> Path:
    """A later version of *package*, which lacks the certificate *without*."""
    root = folder / "package"
    subprocess.run(["dpkg-deb", "-R", package, root], check=True)
    (root / "usr/share/ca-certificates/mozilla" / without).unlink()
    control = root / "DEBIAN/control"
    text = control.read_text()
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 29990101", text))
    made = folder / "ca-certificates_29990101_all.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "-b", root, made], check=True, capture_output=True)
    return made


def test_a_debian_package_that_moved(tmp_path: Path, packages: dict[str, Path]) -> None:
    mirror = Mirror(tmp_path / "mirror", tmp_path / "gpg")
    mirror.publish(packages["ca-certificates"])
    server = Served(mirror.folder)
    with serving(server):
        sources = f'[sources]\ndebian = "{server.url}"\ndebian_keyring = "{mirror.keyring}"\n'
        text = 'essentials = ["certs"]\n[certs]\nsource = { debian = "ca-certificates" }\n'
        text += 'require = ["ISRG Root X1"]\n'
        root = make_workspace(tmp_path / "ws", None, {"tls": text, "plain": SERVICES["plain"]})
        (root / "scratch.toml").write_text(sources)
        env = dict(os.environ)
        assert night(root, env, time.time())[1] == "refreshed"
        before, lock = build_all(root), (root / "scratch.lock").read_text()
        assert list(parse_lockfile(lock)) == ["debian:ca-certificates"]
        assert night(root, env, time.time())[1] == "nothing"
        mirror.publish(newer(packages["ca-certificates"], tmp_path, "ISRG_Root_X1.crt"))
        proposal, outcome = night(root, env, time.time())
        assert (outcome, (root / "scratch.lock").read_text()) == ("refused", lock)
        assert str(proposal.alarms[0].where) == "s/tls/service.toml: certs.require[0]"
        assert proposal.alarms[0].what == "root ISRG Root X1 is gone"
        (removed,) = proposal.roots["debian:ca-certificates"].removed
        assert removed.subject.startswith("CN=ISRG Root X1,")
        (root / "s/tls/service.toml").write_text(PREBUILT + text.replace("X1", "X2"))
        proposal, outcome = night(root, env, time.time())
        assert (outcome, proposal.affected) == ("refreshed", ("tls",))
        after = build_all(root)
        assert after["plain"] == before["plain"]
        assert {image.name: image.new for image in proposal.images} == after
        # An old index is signed as well as the new one is.
        mirror.publish(packages["ca-certificates"])
        old = parse_lockfile(lock)["debian:ca-certificates"]
        new = parse_lockfile((root / "scratch.lock").read_text())["debian:ca-certificates"]
        proposal, outcome = night(root, env, time.time())
        note = (
            f"debian:ca-certificates: the mirror has {old.version} of {old.date}, older than "
            f"29990101 of {new.date}: left as it is (without its pin it goes back)"
        )
        assert (outcome, proposal.notes) == ("nothing", (note,))
