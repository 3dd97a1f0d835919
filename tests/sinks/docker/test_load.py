"""Loading into both engines: only what is lacking moves, and what is there then runs."""

import os
from collections.abc import Iterator

import pytest
from docker.errors import APIError

from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import parse_platform
from scratchtasks.core.span import Span
from scratchtasks.oci import media
from scratchtasks.sinks import docker
from scratchtasks.sinks.docker import Loadable
from scratchtasks.sinks.docker.archive import PlainImage, write_archive

from .conftest import Engine

_LITTLE = 30_000
"""Bytes of requests, JSON and tar headers, with no program among them."""


def test_an_image_that_is_new_to_the_engine_runs(engine: Engine, name: str) -> None:
    assert engine.load(engine.made.named(name, "hello")) == ["loaded"]
    assert engine.run(name) == "hello"
    assert engine.relay.sent > len(engine.made.program)
    assert engine.relay.loads() == 1


def test_what_is_sent_is_told_with_its_size(engine: Engine, name: str) -> None:
    heard: list[Span] = []
    engine.load(engine.made.named(name, "told"), tell=heard.append)
    (sent,) = heard
    heard.clear()
    engine.load(engine.made.named(name, "told"), tell=heard.append)
    assert heard == []
    assert (sent.kind, sent.name) == ("load", "docker load")
    assert len(engine.made.program) < int(str(sent.facts["bytes"]))
    assert sent.began < sent.ended


def test_nothing_is_sent_for_what_is_there(engine: Engine, name: str) -> None:
    image = engine.made.named(name, "hello")
    engine.load(image)
    assert engine.load(image) == ["present"]
    wanted = engine.id(name)
    query = "?manifests=1" if engine.kind == "containerd" else ""
    assert engine.relay.requests == ["GET version", "GET info", f"GET images/{wanted}/json{query}"]
    assert engine.relay.sent < 1000


def test_only_the_changed_layer_is_sent_and_never_compressed(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    changed = "two " * 5000  # gzip would make some 100 bytes of it
    assert engine.load(engine.made.named(name, changed)) == ["loaded"]
    assert engine.run(name) == changed
    assert len(changed) < engine.relay.sent < len(changed) + _LITTLE
    assert engine.relay.loads() == 1


def test_an_archive_is_sent_while_it_is_made(engine: Engine, name: str) -> None:
    image = PlainImage(engine.made.say("hello", base=os.urandom(8 << 20)))
    sizes, sent = [], []

    def pieces() -> Iterator[bytes]:
        for piece in write_archive([image], (), engine.made.store):
            yield piece
            sizes.append(len(piece))
            sent.append(engine.relay.sent)

    client = docker.connect({"DOCKER_HOST": engine.host})
    assert docker.Engine(client).load(pieces()) == ""
    client.close()
    assert max(sizes) <= 1 << 20
    assert sent[-1] > 6 << 20


def test_a_layer_changed_below_others_is_sent(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    assert engine.load(engine.made.named(name, "one", base=b"other")) == ["loaded"]
    assert engine.read(name) == "one"
    # The classic store knows a layer only together with those below it.
    is_program_sent = engine.relay.sent > len(engine.made.program)
    assert is_program_sent == (engine.kind == "classic")


def test_a_new_name_is_spared_the_layers_of_other_images(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    assert engine.load(engine.made.named(f"{name}-other", "two")) == ["loaded"]
    assert engine.read(f"{name}-other") == "two"
    assert engine.relay.sent < _LITTLE


def test_changing_back_only_moves_the_tag(engine: Engine, name: str) -> None:
    one, two = (engine.made.named(name, text) for text in ("one", "two"))
    engine.load(one)
    engine.load(two)
    assert engine.load(one) == ["tagged"]
    assert engine.read(name) == "one"
    assert engine.relay.loads() == 0


def test_a_lost_tag_is_set_without_sending_bytes(engine: Engine, name: str) -> None:
    image = engine.made.named(name, "hello")
    engine.load(image)
    engine.client.images.get(name).tag(name, "kept")
    engine.client.images.remove(f"{name}:latest")
    assert engine.load(image) == ["tagged"]
    assert engine.read(name) == "hello"
    assert engine.relay.sent < 1500


def test_a_tag_that_means_something_else_is_moved(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "ours"))
    engine.load(engine.made.named(f"{name}-other", "theirs"))
    engine.client.images.get(f"{name}-other").tag(name, "latest")
    assert engine.load(engine.made.named(name, "ours")) == ["tagged"]
    assert engine.read(name) == "ours"
    assert engine.read(f"{name}-other") == "theirs"


def test_an_id_is_that_of_the_image_whatever_its_tag_means(engine: Engine, name: str) -> None:
    ours = engine.made.named(name, "ours")
    engine.load(ours)
    wanted = engine.id(name)
    engine.load(engine.made.named(name, "theirs"))
    assert docker.image_id(ours, docker.Engine(engine.client)) == wanted != engine.id(name)


def test_all_references_are_set_and_seen(engine: Engine, name: str) -> None:
    image = Loadable(
        engine.made.say("hello"),
        (f"{name}:latest", f"registry.example.com:5000/team/{name}:1.2", f"docker.io/me/{name}:3"),
    )
    assert engine.load(image) == ["loaded"]
    assert engine.load(image) == ["present"]
    tags = set(engine.client.images.get(name).tags)
    assert tags == {f"{name}:latest", f"registry.example.com:5000/team/{name}:1.2", f"me/{name}:3"}


def test_several_images_go_in_one_archive(engine: Engine, name: str) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    images = [engine.made.named(each, f"I am {each}") for each in names]
    assert engine.load(*images) == ["loaded"] * 3
    assert engine.relay.loads() == 1
    assert engine.relay.sent < 2 * len(engine.made.program)
    assert [engine.read(each) for each in names] == [f"I am {each}" for each in names]


def test_of_several_images_only_the_changed_go(engine: Engine, name: str) -> None:
    first, second = f"{name}-1", f"{name}-2"
    engine.load(engine.made.named(first, "one"), engine.made.named(second, "two"))
    again = engine.load(engine.made.named(first, "one"), engine.made.named(second, "three"))
    assert again == ["present", "loaded"]
    assert engine.relay.sent < _LITTLE
    assert (engine.read(first), engine.read(second)) == ("one", "three")


def test_what_is_there_is_asked_for_by_its_id_alone(engine: Engine, name: str) -> None:
    # Each question costs the containerd store 40 ms: of 200 images 600 names were asked for.
    kept = [
        Loadable(engine.made.say(f"I am {each}"), (f"{name}-{each}:latest", f"{name}-{each}:1"))
        for each in "ab"
    ]
    engine.load(*kept, engine.made.named(name, "one"))
    assert engine.load(*kept, engine.made.named(name, "two")) == ["present", "present", "loaded"]
    assert not [request for request in engine.relay.requests if f"{name}-" in request]
    assert engine.relay.sent < _LITTLE
    assert engine.read(name) == "two"


def test_two_names_of_one_image(engine: Engine, name: str) -> None:
    first, second = (engine.made.named(f"{name}-{number}", "same") for number in (1, 2))
    assert engine.load(first, second) == ["loaded", "loaded"]
    assert engine.id(f"{name}-1") == engine.id(f"{name}-2")
    assert engine.read(f"{name}-2") == "same"


@pytest.mark.parametrize("source", [media.LAYER_TAR, media.LAYER_GZIP])
def test_layers_that_are_kept_whole(source: str, engine: Engine, name: str) -> None:
    made = engine.made
    files = {"say": made.program, "etc/message": b"plain"}
    image = made.image(made.layer(files, source=source))
    assert engine.load(Loadable(image, (f"{name}:latest",))) == ["loaded"]
    assert engine.run(name) == "plain"


def test_the_id_does_not_depend_on_what_was_left_out(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    engine.load(engine.made.named(name, "two"))
    in_parts = engine.id(name)
    for image in engine.client.images.list(all=True, name=name):
        engine.client.images.remove(str(image.id), force=True)
    engine.client.images.prune(filters={"dangling": True, "label": f"scratchtasks.test={name}"})
    engine.load(engine.made.named(name, "two"))
    assert engine.id(name) == in_parts


def test_what_was_loaded_in_parts_outlives_the_image_it_shared_with(
    engine: Engine, name: str
) -> None:
    engine.load(engine.made.named(name, "one"))
    old = engine.id(name)
    engine.load(engine.made.named(name, "two"))
    engine.client.images.remove(old, force=True)
    assert engine.run(name) == "two"
    archive = b"".join(engine.client.images.get(name).save())
    assert len(archive) > len(engine.made.program)


def test_a_reference_that_docker_refuses(engine: Engine, name: str) -> None:
    image = Loadable(engine.made.say("hello"), (f"{name.upper()}:latest",))
    with pytest.raises(SinkError) as caught:
        engine.load(image)
    refused = str(caught.value).partition(" 400 ")
    assert refused[0] == f"docker: GET /images/{name.upper()}:latest/json:"
    assert "must be lowercase" in refused[2]


def test_the_platform_of_the_engine_is_chosen(engine: Engine) -> None:
    arm, i386, amd = (parse_platform(f"linux/{each}") for each in ("arm64", "386", "amd64"))
    runs = docker.architectures_of(docker.Engine(engine.client))
    assert runs[:2] == ("amd64", "386")
    assert docker.for_engine([arm, i386, amd], runs, "//a:image") == amd
    assert docker.for_engine([arm, i386], runs, "//a:image") == i386
    with pytest.raises(SinkError) as caught:
        docker.for_engine([arm], ("amd64", "386"), "//a:image")
    assert str(caught.value) == (
        "//a:image: the engine runs linux/amd64, the image is for linux/arm64\n"
        "    hint: add the platform to image.platforms"
    )


def test_an_image_for_another_architecture_can_be_loaded(engine: Engine, name: str) -> None:
    # What qemu is registered for runs; here it is seen that the engine takes it, and tries.
    image = engine.made.image(
        engine.made.layer({"say": b"\x7fELF, or nearly"}), platform=parse_platform("linux/arm64")
    )
    assert engine.load(Loadable(image, (f"{name}:latest",))) == ["loaded"]
    assert engine.load(Loadable(image, (f"{name}:latest",))) == ["present"]
    container = engine.client.containers.create(engine.id(name), network_mode="none")
    try:
        container.start()
        container.wait(timeout=60)
        said = container.logs().decode()  # so with the older runc
    except APIError as error:
        said = str(error.explanation)
    finally:
        container.remove(force=True)
    assert "exec format error" in said
