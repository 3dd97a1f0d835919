"""`doit up` and `doit watch` on a real engine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from scratchtasks.core.errors import SinkError
from scratchtasks.core.platform import host_platform
from scratchtasks.sinks.docker import connect
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, PREBUILT, QUICK, SERVICE, Site
from tests.sinks.docker.conftest import host_of
from tests.sinks.docker.serving import SOURCE, compile_server, free_port, said_at

from .watching import Watching

CONFIG = """
[image]
ports = ["8080/tcp"]
env = { WORD = "first" }
[hosts]
entries = { "db.internal" = "10.0.0.7" }
"""


ON_BOTH = pytest.mark.parametrize("host", ["classic", "containerd"], indirect=True)


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """The DOCKER_HOST of the engine with the classic store, or what a test asks for."""
    return host_of(getattr(request, "param", "classic"))


@pytest.fixture
def engine(host: str) -> Iterator[DockerClient]:
    """A client of the engine; the test fails without one."""
    try:
        client = connect({"DOCKER_HOST": host})
    except SinkError as error:
        pytest.fail(str(error), pytrace=False)
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """A service that nobody else has."""
    return f"scratchtasks-test-{uuid.uuid4().hex}"


@pytest.fixture
def site(engine: DockerClient, host: str, name: str, tmp_path: Path) -> Iterator[Site]:
    """A workspace with the service *name*, whose containers and image go in the end."""
    site = Site(tmp_path / "ws")
    site.env["DOCKER_HOST"] = host
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK, "go.mod": GO_MOD})
    site.write({f"services/{name}/service.toml": SERVICE + CONFIG})
    site.write({f"services/{name}/main.go": SOURCE.read_text()})
    yield site
    for container in engine.containers.list(all=True, filters={"name": name}):
        container.remove(force=True)
    if any(f"{name}:latest" in (image["RepoTags"] or ()) for image in engine.api.images()):
        engine.images.remove(f"{name}:latest", force=True)


_STANDBY = """
import sys
from scratchtasks.plugin import standby
standby.import_all()
before = set(sys.modules)
from scratchtasks.plugin.main import run
code = run(["up", sys.argv[1], "-p", "0:8080"])
print(code, *(name for name in {*sys.modules} - before if name.startswith("scratchtasks")))
"""


def test_of_several_platforms_the_one_of_the_engine_is_compiled(
    site: Site, engine: DockerClient, name: str
) -> None:
    folder, both = f"services/{name}", '[image]\nplatforms = ["linux/arm64", "linux/amd64"]'
    site.write({f"{folder}/service.toml": SERVICE + CONFIG.replace("[image]", both)})
    own = host_platform().architecture
    ran = site.doit("up", name, "-p", "0:8080")
    assert ran.actions.count(f"//{folder}:binary GoCompile") == 1
    image = engine.containers.get(f"scratch-{name}").image
    assert image is not None
    assert image.attrs["Architecture"] == own
    # The other one is compiled for the image, and for who asks for it.
    other = next(each for each in ("amd64", "arm64") if each != own)
    stamp = site.root / ".scratch/stamps" / folder / f"binary@linux-{other}.json"
    assert not stamp.exists()
    assert (
        site.doit(f"binary:{name}@linux/{other}").actions.count(f"//{folder}:binary GoCompile") == 1
    )
    assert stamp.exists()
    assert "GoCompile" not in str(site.doit().actions)
    (told,) = json.loads((site.root / "dist/images.json").read_text())["images"]
    assert told["platforms"] == ["linux/arm64", "linux/amd64"]


@pytest.mark.docker
def test_what_waits_for_an_edit_has_imported_all(site: Site, name: str) -> None:
    argv = [sys.executable, "-c", _STANDBY, name]
    done = subprocess.run(argv, cwd=site.root, env=site.environment(), capture_output=True)
    assert done.stdout.splitlines()[-1] == b"0", done.stderr


@pytest.mark.docker
@ON_BOTH
def test_up_and_down(site: Site, engine: DockerClient, name: str, tmp_path: Path) -> None:
    tool = site.root / f"services/{name}/tool"
    tool.write_bytes(compile_server(tmp_path / "tool"))
    tool.chmod(0o755)
    site.write({f"services/{name}/service.toml": PREBUILT + CONFIG})
    port = free_port()
    logs = f"    logs: docker logs -f scratch-{name}; end: doit up --down {name}\n"
    url = f"http://127.0.0.1:{port} (8080/tcp)\n"

    ran = site.doit("up", name, "--port", f"{port}:8080")
    assert ran.out.endswith(f"scratch-{name} started: {url}{logs}")
    assert said_at(port) == "first [10.0.0.7]"
    again = site.doit("up", f"//services/{name}:image", "-p", f"{name}:{port}:8080")
    assert again.out.endswith(f"scratch-{name} is up to date: {url}{logs}")
    untold = site.run("up", name, "-p", f"{port}:8080", "--inputs", "/dev/null/x")
    assert (untold.code, untold.err) == (
        1,
        f"{name}:latest is already loaded\n"
        "error: /dev/null/x: cannot be written: not a directory\n"
        "    hint: /dev/null is no folder\n",
    )
    other = site.doit("up", name, "WORD=from here", "-p", f"{port}:8080")
    assert other.out.endswith(f"scratch-{name} replaced: {url}{logs}")
    assert said_at(port) == "from here [10.0.0.7]"

    with socket.create_server(("127.0.0.1", 0)) as other_server:
        taken = other_server.getsockname()[1]
        refused = site.run("up", name, "-p", f"{taken}:8080")
    assert (refused.code, refused.err.splitlines()[-2:]) == (
        1,
        [
            f"error: scratch-{name}: cannot start: port {taken} of 127.0.0.1 is taken",
            f"    hint: choose another one: --port {taken + 1}:8080 (0 for any)",
        ],
    )
    assert said_at(port) == "from here [10.0.0.7]"

    failed = site.run("up", name, "CODE=7", "-p", f"{port}:8080")
    assert (failed.code, failed.err.splitlines()[-2:]) == (
        1,
        [f"error: scratch-{name}: ended at once with exit code 7", "    no such table: users"],
    )
    assert said_at(port) == "from here [10.0.0.7]"
    tool.write_bytes(b"#!/bin/sh\n")
    assert site.run("up", name, "-p", f"{port}:8080").code == 1
    assert said_at(port) == "from here [10.0.0.7]"

    assert site.doit("up", "--down", name).out.endswith(f"scratch-{name} removed\n")
    assert site.doit("up", "--down").out.endswith("nothing is up\n")
    assert engine.containers.list(all=True, filters={"name": name}) == []


@pytest.mark.docker
@ON_BOTH
def test_each_image_that_lost_its_name_goes(
    site: Site, engine: DockerClient, name: str, tmp_path: Path
) -> None:
    server = compile_server(tmp_path / "tool")
    site.write({f"services/{name}/service.toml": PREBUILT})
    tool = site.root / f"services/{name}/tool"
    named = f"{name}:latest"
    engine.api.import_image_from_data(bytes(1024), repository=name, tag="latest")
    theirs = engine.images.get(named).id  # somebody else's: not ours to remove
    seen = []

    def up(data: bytes, *words: str, code: int = 0) -> None:
        tool.write_bytes(data)
        tool.chmod(0o755)
        assert site.run("up", name, *words).code == code
        seen.append(str(engine.images.get(named).id))

    def there() -> list[bool]:
        every = set(engine.api.images(quiet=True, all=True))
        return [image in every for image in seen]

    try:
        up(server)
        up(server + b"bad", "CODE=3", code=1)
        assert there() == [True, True]  # the first one runs again
        up(server + b"worse", "CODE=3", code=1)
        assert there() == [True, False, True]
        up(server + b"good")
        assert there() == [False, False, False, True]
        assert engine.images.get(str(theirs)).tags == []
        up(server + b"worst", "CODE=3", code=1)
        site.doit("up", "--down")
        assert there() == [False, False, False, False, True]
    finally:
        engine.images.remove(str(theirs))


@pytest.mark.docker
def test_one_that_lost_its_name_to_an_interrupted_run_goes(
    site: Site, engine: DockerClient, name: str, tmp_path: Path
) -> None:
    server = compile_server(tmp_path / "tool")
    site.write({f"services/{name}/service.toml": PREBUILT})
    tool = site.root / f"services/{name}/tool"
    tool.write_bytes(server)
    tool.chmod(0o755)
    assert site.run("up", name, "CODE=3").code == 1
    before = str(engine.images.get(f"{name}:latest").id)
    tool.write_bytes(server + b"new")
    process = site.start("up", name)
    try:
        deadline = time.monotonic() + 60
        while not engine.api.containers(all=True, filters={"name": name}):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
    finally:
        process.kill()
        process.communicate()
    assert engine.api.containers(all=True, filters={"name": name}) == []
    there = engine.api.images(quiet=True, all=True)
    assert (before in there, engine.images.get(f"{name}:latest").id in there) == (False, True)


@pytest.mark.docker
def test_doit_s_processes_bring_it_up_too(site: Site, engine: DockerClient, name: str) -> None:
    # They would keep to themselves what they have loaded, so threads take their place.
    port = free_port()
    ran = site.doit("up", "-n", "2", "-P", "process", name, "-p", f"{port}:8080")
    url = f"http://127.0.0.1:{port} (8080/tcp)\n"
    assert f"scratch-{name} started: {url}" in ran.out
    (container,) = engine.containers.list(filters={"name": f"scratch-{name}"})
    assert container.status == "running"
    assert said_at(port) == "first [10.0.0.7]"
    site.doit("up", "--down", name)


@pytest.mark.docker
def test_one_that_cannot_be_built_keeps_no_other_back(
    site: Site, engine: DockerClient, name: str, tmp_path: Path
) -> None:
    good, bad = site.root / f"services/{name}/tool", site.root / f"services/{name}-bad/tool"
    for tool, data in ((good, compile_server(tmp_path / "tool")), (bad, b"#!/bin/sh\n")):
        tool.parent.mkdir(exist_ok=True)
        tool.write_bytes(data)
        tool.chmod(0o755)
        (tool.parent / "service.toml").write_text(PREBUILT + '[image]\nports = ["8080/tcp"]\n')
    ran = site.run("up", f"{name}-bad", name, "-p", "0:8080")
    assert ran.code == 1
    assert f"error: //services/{name}-bad:binary: not an ELF program" in ran.err
    assert f"scratch-{name} started: http://127.0.0.1:" in ran.out
    assert ran.out.endswith(f"logs: docker logs -f scratch-{name}; end: doit up --down {name}\n")
    site.doit("up", "--down")


@pytest.mark.docker
def test_watch(site: Site, engine: DockerClient, name: str) -> None:
    port = free_port()
    source = site.root / f"services/{name}/main.go"
    config = site.root / f"services/{name}/service.toml"
    text, settings = source.read_text(), config.read_text()
    watching = Watching(site, name, "-p", f"{port}:8080")
    try:
        watching.until(lambda: watching.rounds() == 1)
        assert said_at(port) == "first [10.0.0.7]"

        source.write_text(text.replace('os.Getenv("WORD")', '"edited"'))
        watching.until(lambda: watching.rounds() == 2)
        assert f"watch: services/{name}/main.go changed\n" in watching.said
        assert said_at(port) == "edited [10.0.0.7]"

        (source.parent / "README.md").write_text("no input\n")
        (site.root / "services/other").mkdir()
        source.write_text(text.replace('os.Getenv("WORD")', '"edited'))
        watching.until(lambda: watching.rounds() == 3)
        assert "newline in string" in watching.said
        assert "README" not in watching.said
        assert watching.said.count("watch: not all is up; what failed is as it was\n") == 1
        assert said_at(port) == "edited [10.0.0.7]"

        # An edit while it builds: it goes on until what runs is what is there.
        source.write_text(text.replace('os.Getenv("WORD")', '"again"'))
        watching.until(lambda: watching.said.count("main.go changed\n") == 3)
        source.write_text(text)
        watching.until(lambda: said_at(port) == "first [10.0.0.7]" and watching.rounds() >= 4)

        config.write_text(settings.replace("8080/tcp", "8080"))
        watching.until(lambda: "the configuration is at fault" in watching.said)
        assert 'service.toml: image.ports[0]: wanted "PORT/tcp", got' in watching.said
        assert said_at(port) == "first [10.0.0.7]"
        waiting = watching.rounds()
        config.write_text(settings.replace("10.0.0.7", "10.0.0.8"))
        watching.until(lambda: watching.rounds() > waiting)
        watching.settle()
        assert said_at(port) == "first [10.0.0.8]"

        # A service that is gone is told of once, and watched for.
        fault = "watch: the configuration is at fault; containers are as they were\n"
        faults = watching.said.count(fault)
        source.parent.rename(site.root / "aside")
        watching.until(lambda: f"ERROR: {name}: there is no such service" in watching.said)
        watching.settle()
        assert watching.said.count(fault) == faults + 1, watching.said
        settled = watching.rounds()
        (site.root / "aside").rename(source.parent)
        watching.until(lambda: watching.rounds() > settled)
        assert said_at(port) == "first [10.0.0.8]"
        os.killpg(watching.process.pid, signal.SIGINT)
        assert watching.process.wait(timeout=30) == 130
        assert watching.said.endswith(
            f"watch: ended; containers keep running (to end them: doit up --down {name})\n"
        )
        assert "Traceback" not in watching.said
        assert said_at(port) == "first [10.0.0.8]"
        with pytest.raises(ProcessLookupError):
            os.killpg(watching.process.pid, 0)
    finally:
        if watching.process.poll() is None:
            watching.process.terminate()
            watching.process.wait()
    site.doit("up", "--down", name)


@pytest.mark.docker
def test_watch_sees_that_a_folder_above_is_renamed(
    site: Site, engine: DockerClient, name: str, tmp_path: Path
) -> None:
    site.write({"dodo.py": DODO.replace("services/*", "teams/*/services/*")})
    site.write({f"teams/a/services/{name}/service.toml": PREBUILT})
    tool = site.root / f"teams/a/services/{name}/tool"
    tool.write_bytes(compile_server(tmp_path / "tool"))
    tool.chmod(0o755)
    site.env["TMPDIR"] = str(tmp_path / "private")
    (tmp_path / "private").mkdir()
    watching = Watching(site, name)
    try:
        watching.until(lambda: watching.rounds() == 1)
        watching.settle()
        pid = watching.process.pid
        (waiting,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(waiting), signal.SIGKILL)  # another takes its place
        (site.root / "teams/a").rename(site.root / "teams/b")
        watching.until(lambda: watching.rounds() == 2)
        assert "watch: teams/a changed\n" in watching.said
        assert f"//teams/b/services/{name}:binary  Prebuilt" in watching.said
    finally:
        watching.process.kill()
        watching.process.wait()
    assert list((tmp_path / "private").iterdir()) == []
    site.doit("up", "--down", name)


@pytest.mark.docker
def test_a_terminal_that_closes_ends_watching(
    site: Site, engine: DockerClient, name: str, tmp_path: Path
) -> None:
    site.write({f"services/{name}/service.toml": PREBUILT})
    tool = site.root / f"services/{name}/tool"
    tool.write_bytes(compile_server(tmp_path / "tool"))
    tool.chmod(0o755)
    watching = Watching(site, name)
    try:
        watching.until(lambda: watching.rounds() == 1)
        watching.process.send_signal(signal.SIGHUP)
        assert watching.process.wait(timeout=30) == 128 + signal.SIGHUP
    finally:
        watching.process.kill()
        watching.process.wait()
    assert "watch: ended; containers keep running" in watching.said
    site.doit("up", "--down", name)


@pytest.mark.docker
def test_a_ctrl_c_while_a_container_is_replaced(
    site: Site, engine: DockerClient, name: str
) -> None:
    port = free_port()
    source = site.root / f"services/{name}/main.go"
    watching = Watching(site, name, "STUBBORN=1", "-p", f"{port}:8080")
    try:
        watching.until(lambda: watching.rounds() == 1)
        (before,) = engine.containers.list(filters={"name": name})
        source.write_text(source.read_text().replace('os.Getenv("WORD")', '"edited"'))
        watching.until(lambda: len(engine.api.containers(all=True, filters={"name": name})) == 2)
        time.sleep(0.5)  # the old one is told to stop, which takes three seconds
        os.killpg(watching.process.pid, signal.SIGINT)
        assert watching.process.wait(timeout=30) == 130
    finally:
        watching.process.kill()
        watching.process.wait()
    assert "Traceback" not in watching.said
    (after,) = engine.containers.list(all=True, filters={"name": name})
    assert (after.id, after.status) == (before.id, "running")
    assert after.attrs["State"]["StartedAt"] != before.attrs["State"]["StartedAt"]
    assert said_at(port) == "first [10.0.0.7]"
    site.doit("up", "--down", name)


@pytest.mark.docker
def test_a_second_ctrl_c_does_not_keep_the_old_one_from_its_return(
    site: Site, engine: DockerClient, name: str
) -> None:
    port = free_port()
    words = ("up", name, "STUBBORN=1", "-p", f"{port}:8080")
    site.doit(*words)
    (before,) = engine.containers.list(filters={"name": name})
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", *words, "WORD=second"],
        cwd=site.root,
        env=site.environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(engine.api.containers(all=True, filters={"name": name})) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(2):
        time.sleep(0.5)  # the old one is told to stop, which takes three seconds
        run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 130
    assert said == f"{name}:latest is already loaded\ninterrupted; finished work is kept\n"
    (after,) = engine.containers.list(all=True, filters={"name": name})
    assert (after.id, after.status) == (before.id, "running")
    assert after.attrs["State"]["StartedAt"] != before.attrs["State"]["StartedAt"]
    assert said_at(port) == "first [10.0.0.7]"
    site.doit("up", "--down", name)
