"""When the engine loses layers, the connection or us: no tag ever means a broken image."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.sinks.docker import Loadable
from scratchtasks.sinks.docker.archive import PlainImage, write_archive

from .conftest import Engine
from .made import OWNER, Made


def _forget(engine: Engine, name: str) -> None:
    """Remove the image *name* and its layers from the engine."""
    engine.client.images.remove(name, force=True)


def test_a_layer_pruned_since_is_noticed_and_everything_sent(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))

    def prune(loads: int) -> None:
        if loads == 1:
            _forget(engine, name)

    engine.relay.on_load = prune
    assert engine.load(engine.made.named(name, "two")) == ["loaded"]
    assert engine.relay.loads() == 2
    assert engine.run(name) == "two"


def test_of_several_images_one_lost_its_layers(engine: Engine, name: str) -> None:
    first, second = f"{name}-1", f"{name}-2"
    engine.load(engine.made.named(first, "one"), engine.made.named(second, "two", base=b"other"))

    def prune(loads: int) -> None:
        if loads == 1:
            _forget(engine, second)

    engine.relay.on_load = prune
    again = [engine.made.named(first, "1"), engine.made.named(second, "2", base=b"other")]
    assert engine.load(*again) == ["loaded", "loaded"]
    assert (engine.read(first), engine.read(second)) == ("1", "2")


@pytest.mark.parametrize("number", [0, 1])
def test_an_image_that_is_pruned_before_its_tag_is_sent_again(
    engine: Engine, name: str, number: int
) -> None:
    images = [engine.made.named(f"{name}-{text}", text) for text in ("one", "two")]

    def prune(tags: int) -> None:
        if tags == number:
            label = f"{OWNER}={engine.made.owner}"
            engine.client.images.prune(filters={"dangling": True, "label": label})

    engine.relay.on_tag = prune
    assert engine.load(*images) == ["loaded", "loaded"]
    assert (engine.read(f"{name}-one"), engine.read(f"{name}-two")) == ("one", "two")


def test_no_tag_moves_when_the_second_try_fails_too(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    engine.client.images.get(name).tag(f"{name}-kept")
    engine.load(engine.made.named(f"{name}-other", "base of two", base=b"other"))

    def prune_then_cut(loads: int) -> None:
        if loads == 2:
            _forget(engine, f"{name}-other")
        else:
            engine.relay.close()

    engine.relay.on_load = prune_then_cut
    old = engine.id(name)
    with pytest.raises(SinkError, match=r"^docker: POST /images/load: "):
        engine.load(engine.made.named(name, "two", base=b"other"))
    assert engine.id(name) == old
    assert engine.read(name) == "one"

    engine.relay.on_load = None
    assert engine.load(engine.made.named(name, "two", base=b"other")) == ["loaded"]
    assert engine.read(name) == "two"


@pytest.mark.parametrize("engine", ["containerd"], indirect=True)  # others take it whole or not
def test_an_image_that_lacks_layers_though_it_has_the_tag_is_repaired(
    engine: Engine, name: str
) -> None:
    image = engine.made.named(name, "hello")
    engine.load(image)
    wanted = engine.id(name)
    _forget(engine, name)
    # What a load by others leaves: manifest and config, under the tag, without any layer.
    _load_without_layers(engine, image, wanted)
    engine.client.images.get(wanted).tag(name)
    assert engine.load(image) == ["loaded"]
    assert engine.id(name) == wanted
    assert engine.run(name) == "hello"


def _load_without_layers(engine: Engine, image: Loadable, wanted: str) -> None:
    plain = PlainImage(image.root)
    layers = {tar.digest for tar in plain.tars}
    engine.client.api.post(
        f"{engine.client.api.base_url}/v{engine.client.api.api_version}/images/load",
        data=iter(list(write_archive([plain], layers, engine.made.store))),
    )
    assert engine.client.images.get(wanted).tags == []


_LOAD = """
import json
import sys
from scratchtasks.core.rootfs import rootfs_from_json
from scratchtasks.sinks import docker
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
folder, host, name, image = sys.argv[1:]
files = FileStates(folder, folder + "/files.db")
store = ContentStore(folder + "/blobs", files)
wanted = docker.Loadable(rootfs_from_json(json.loads(image)), (name + ":latest",))
docker.load([wanted], docker.Engine(docker.connect({"DOCKER_HOST": host})), store)
"""


def test_killed_in_the_middle_of_a_load(engine: Engine, name: str, tmp_path: Path) -> None:
    engine.load(engine.made.named(name, "one"))
    old = engine.id(name)
    big = os.urandom(3 << 20)
    image = engine.made.say("two", base=big)
    engine.relay.stop_after = engine.relay.sent + (1 << 20)
    argv = [str(tmp_path), engine.host, name, json.dumps(image.to_json())]
    child = subprocess.Popen([sys.executable, "-c", _LOAD, *argv])
    assert engine.relay.is_held.wait(20)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert engine.id(name) == old
    assert engine.read(name) == "one"

    engine.relay.stop_after = -1
    assert engine.load(Loadable(image, (f"{name}:latest",))) == ["loaded"]
    assert engine.read(name) == "two"


@pytest.mark.parametrize("kept", ["recipe", "content", "gone"])
def test_a_damaged_blob_never_reaches_an_image(kept: str, engine: Engine, name: str) -> None:
    made = engine.made
    image = made.named(name, "hello")
    engine.load(image)
    _forget(engine, name)
    layer = image.root.layers[2]
    if kept == "recipe":
        _damage(made, layer.source.digest)
        message = "recipe of a layer: is damaged: "
    elif kept == "content":
        _damage(made, digest_of(b"hello"), b"hullo")
        message = f"layer {layer.diff_id}: is damaged: wanted {layer.size} bytes with "
    else:
        path = Path(made.store.path(digest_of(b"hello")))
        path.unlink()
        message = f"{path}: blob {digest_of(b'hello')} is missing"
    with pytest.raises(StoreError) as caught:
        engine.load(image)
    assert str(caught.value).startswith(message)
    tags = [tag for each in engine.client.api.images() for tag in each["RepoTags"] or ()]
    assert f"{name}:latest" not in tags


def test_a_layer_that_is_not_what_its_diff_id_says(engine: Engine, name: str) -> None:
    made = engine.made
    one, other = made.layer({"say": made.program}), made.layer({"say": made.program[::-1]})
    lying = replace(other, diff_id=one.diff_id)
    with pytest.raises(StoreError) as caught:
        engine.load(Loadable(made.image(lying), (f"{name}:latest",)))
    assert str(caught.value) == (
        f"layer {one.diff_id}: is damaged: wanted {one.size} bytes with {one.diff_id}, "
        f"got {one.size} with {other.diff_id}\n"
        "    hint: run doit again: what is damaged is made anew"
    )
    tags = [tag for each in engine.client.api.images() for tag in each["RepoTags"] or ()]
    assert f"{name}:latest" not in tags


def _damage(made: Made, digest: Digest, data: bytes = b"something else") -> None:
    path = Path(made.store.path(digest))
    path.chmod(0o644)
    path.write_bytes(data)
