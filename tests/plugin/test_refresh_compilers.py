"""`doit refresh` and compilers from PyPI: the lock says what is installed, for every host."""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.config.lockfile import parse_lockfile, toolchain_bytes
from tests.refresh.index_server import serving
from tests.refresh.wheels import UPLOADED, wheel
from tests.scenarios.workspaces import DODO, LOADER, Site, site_of

ZIG = version("ziglang")
WHEELS = {
    f"ziglang-{ZIG}-py3-none-manylinux_2_12_x86_64.whl": b"x86-64",
    f"ziglang-{ZIG}-py3-none-macosx_12_0_arm64.whl": b"arm64",
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A service in C; no zig is on PATH."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": '[image]\nessentials = ["tmp"]\n',
        "services/c/service.toml": '[binary]\nrule = "c_binary"\nsrcs = ["main.c"]\n',
        "services/c/main.c": "int main(void) { return 0; }\n",
    }
    return site_of(tmp_path / "ws", files)


def told(text: str) -> dict[str, Any]:
    return {move["name"]: move for move in json.loads(text)["moves"]}


def test_the_installed_zig_is_pinned_by_all_its_wheels(site: Site) -> None:
    with serving() as index:
        for release in ("certifi-2026.7.22", "tzdata-2026.6"):
            path = wheel(release)
            index.add(path.name, path.read_bytes(), uploaded=UPLOADED[release])
        for name, data in WHEELS.items():
            index.add(name, data, uploaded="2026-10-01T00:00:00Z")
        site.env |= {
            "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.url, "PIP_RETRIES": "0",
            "PIP_FIND_LINKS": "", "PIP_CERT": "", "HOME": str(site.root.parent),
        }  # fmt: skip
        policy = '[refresh]\ncertifi = "pinned"\ntzdata = "pinned"\n'
        site.write({"scratch.toml": f'[image]\nessentials = ["tmp"]\n{policy}'})
        assert site.run("--locked").err.startswith(
            "ERROR: scratch.lock: has no pin for ziglang, and --locked asks for one\n"
        )
        assert site.run("refresh").code == 10
        text = (site.root / "scratch.lock").read_text()
        pin = parse_lockfile(text)["ziglang"]
        data = toolchain_bytes(
            {name: hashlib.sha256(data).hexdigest() for name, data in WHEELS.items()}
        )
        assert (pin.version, pin.kind, pin.date) == (ZIG, "toolchain", "2026-10-01")
        assert (pin.sha256, pin.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert site.run("refresh").code == 0

        other = text.replace(f'version = "{ZIG}"', 'version = "0.0.1"')
        site.write({"scratch.lock": other.replace(pin.sha256, "0" * 64)})
        (move,) = told(site.run("refresh", "--check", "--json").out).values()
        assert (move["old"]["version"], move["new"]["version"]) == ("0.0.1", ZIG)
        site.write({"scratch.toml": f'[image]\nessentials = ["tmp"]\n{policy}zig = "0.1.*"\n'})
        assert (
            f"refresh.zig: '0.1.*' does not allow ziglang {ZIG}, which is installed"
        ) in site.run("refresh").err
