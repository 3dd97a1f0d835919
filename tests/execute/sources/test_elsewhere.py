"""What refresh asks of sources that are no wheels: a tag, a mirror and a machine that move."""

import json
from pathlib import Path

import pytest

from scratchtasks.config.lockfile import parse_lockfile
from scratchtasks.core.action import Action
from scratchtasks.core.errors import ScratchError
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.plugin.refreshing.elsewhere import (
    certificates_from,
    fetches,
    moved_sources,
    zones_from,
)
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Move
from tests.plugin.shop import session
from tests.scenarios.workspaces import DODO, LOADER, Site, site_of

from .debian_root import BUNDLE, Entry, Layout, compressed, layer_of

SERVICE = """\
[image]
essentials = ["certs", "zoneinfo"]
entrypoint = ["/a"]
files = [{ src = "a", dest = "/a", mode = "0755" }]

[certs]
source = { image = "HOST/moving:1", path = "/roots.pem" }

[zoneinfo]
source = { image = "HOST/debian:12" }
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def push(layout: Layout, host: str, roots: bytes) -> str:
    layers = [compressed(layer_of(Entry("roots.pem", roots)), "gzip")]
    return layout.push(layout.manifest(layers), f"{host}/moving:1")


def site(root: Path, host: str) -> Site:
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "services/api/service.toml": SERVICE.replace("HOST", host),
        "services/api/a": "#!/bin/sh\n",
    }
    return site_of(root, files)


def blocks(pem: bytes) -> list[bytes]:
    mark = b"-----BEGIN CERTIFICATE-----\n"
    return [mark + each for each in pem.split(mark)[1:]]


def fetch_of(made: Session, name: str) -> Action:
    return next(action for action in fetches(made) if pins_of(action) == (name,))


def ask(made: Session) -> list[Move]:
    moved, notes = moved_sources(made, lambda _: True)
    assert notes == []
    return moved


def test_a_tag_that_moved_is_told_and_both_contents_can_be_compared(
    host: str, debian: Path, layout: Layout, tmp_path: Path
) -> None:
    certificates = blocks((debian / BUNDLE).read_bytes())
    push(layout, host, b"".join(certificates[:3]))
    workspace = site(tmp_path / "ws", host)
    name = f"image:{host}/moving:1"
    first = ask(session(workspace.root))
    assert [(each.old, each.new.name, each.why) for each in first] == [
        (None, f"image:{host}/debian:12", "was not in scratch.lock"),
        (None, name, "was not in scratch.lock"),
    ]
    workspace.doit()
    lock = parse_lockfile((workspace.root / "scratch.lock").read_text())
    assert lock == {each.new.name: each.new for each in first}
    assert ask(session(workspace.root)) == []

    digest = push(layout, host, b"".join(certificates[1:4]))
    made = session(workspace.root)
    assert moved_sources(made, lambda each: each != name) == ([], [])
    (moved,) = ask(made)
    assert (moved.old, f"sha256:{moved.new.sha256}") == (lock[name], digest)
    assert moved.why == "the tag 1 means another image, made on 2026-10-20"
    action = fetch_of(made, name)
    before = certificates_from(action, lock, made.world)
    after = certificates_from(action, {**lock, name: moved.new}, made.world)
    assert (len(before), before[1:]) == (3, after[:2])
    zones = zones_from(fetch_of(made, f"image:{host}/debian:12"), lock, made.world)
    paris = debian / "usr/share/zoneinfo/Europe/Paris"
    assert zones["Europe/Paris"] == paris.read_bytes()


def test_what_is_gone_from_the_new_image_is_said_before_anything_moves(
    host: str, layout: Layout, tmp_path: Path
) -> None:
    workspace = site(tmp_path / "ws", host)
    layers = [compressed(layer_of(Entry("other.pem", b"")), "gzip")]
    layout.push(layout.manifest(layers), f"{host}/moving:1")
    made = session(workspace.root)
    pins = {each.new.name: each.new for each in ask(made)}
    with pytest.raises(ScratchError) as caught:
        certificates_from(fetch_of(made, f"image:{host}/moving:1"), pins, made.world)
    assert str(caught.value) == (
        f"image {host}/moving:1: has no /roots.pem\n    hint: did you mean 'other.pem'?"
    )


def test_doit_refresh_tells_what_a_moved_tag_means_and_rebuilds_what_it_touches(
    host: str, debian: Path, layout: Layout, tmp_path: Path
) -> None:
    certificates = blocks((debian / BUNDLE).read_bytes())
    push(layout, host, b"".join(certificates[:3]))
    workspace = site(tmp_path / "ws", host)
    name = f"image:{host}/moving:1"
    held = '[refresh]\ncertifi = "pinned"\ntzdata = "pinned"\n'
    workspace.write({"scratch.toml": held})
    workspace.doit()
    before = workspace.images()
    digest = push(layout, host, b"".join(certificates[1:4]))
    checked = workspace.run("refresh", "--check", "--json")
    told = json.loads(checked.out)
    assert checked.code == 10, str(checked)
    moves = {move["name"]: move for move in told["moves"]}
    assert f"sha256:{moves[name]['new']['sha256']}" == digest
    (roots,) = told["roots"]
    assert (roots["source"], len(roots["added"]), len(roots["removed"])) == (name, 1, 1)
    assert [image["name"] for image in told["images"] if image["is_affected"]] == ["api"]
    assert workspace.images() == before
    built = workspace.run("refresh", "--build")
    assert built.code == 10, str(built)
    lock = parse_lockfile((workspace.root / "scratch.lock").read_text())
    assert f"sha256:{lock[name].sha256}" == digest
    assert workspace.images() != before
    assert workspace.doit("--locked").summary == "1 image up to date"
    assert workspace.run("refresh").code == 0

    workspace.write({"scratch.toml": f'{held}"{name}" = "pinned"\n'})
    push(layout, host, b"".join(certificates[2:5]))
    assert workspace.run("refresh").code == 0

    # A file that the new image lacks would be missing from ours: refused, nothing is written.
    workspace.write({"scratch.toml": held})
    locked = (workspace.root / "scratch.lock").read_text()
    layers = [compressed(layer_of(Entry("other.pem", b"")), "gzip")]
    layout.push(layout.manifest(layers), f"{host}/moving:1")
    refused = workspace.run("refresh")
    assert refused.code == 20, str(refused)
    assert f"cannot be built: image {host}/moving:1: has no /roots.pem\n" in refused.out
    assert (workspace.root / "scratch.lock").read_text() == locked
