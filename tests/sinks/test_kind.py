"""Loading into the nodes of a kind cluster: containers like kind's, with a real containerd in them.

kind itself, and a kubelet, are too much for each run; its nodes' containerd and CRI plugin are not.
"""

import os
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.span import Span
from scratchtasks.sinks.docker import Loadable
from scratchtasks.sinks.docker.archive import PlainImage
from scratchtasks.sinks.engines import open_engine
from scratchtasks.sinks.kind import Kind, canonical
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .docker.conftest import host_of
from .docker.made import Made, compile_program
from .docker.relay import relay

ROOT = Path(__file__).parent.parent.parent


def run(*argv: str, stdin: bytes = b"", env: Mapping[str, str] = os.environ) -> str:
    done = subprocess.run(argv, input=stdin, stdout=-1, stderr=-1, check=False, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def node_image() -> Iterator[str]:
    """The name of an image without any file."""
    name = f"scratchtasks-test-node:{uuid.uuid4().hex[:12]}"
    run("docker", "import", "-", name, stdin=bytes(1024))
    yield name
    run("docker", "image", "rm", name)


@contextmanager
def a_node(
    name: str,
    image: str,
    cluster: str,
    role: str = "worker",
    *,
    config: str = "version = 2",
    cli: str = "docker",
    env: Mapping[str, str] = os.environ,
) -> Iterator[str]:
    """A container with this machine's programs, in which containerd runs with that *config*."""
    programs = run("bash", str(ROOT / ".ci/containerd-engine"), "where")
    binds = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64", "/bin", "/sbin")]
    binds += [f"{programs}:/opt/bin:ro", "/sys/fs/cgroup:/sys/fs/cgroup"]
    options = {
        "--name": [name],
        "--network": ["none"],
        "--label": [f"io.x-k8s.kind.cluster={cluster}", f"io.x-k8s.kind.role={role}"],
        "--cap-add": ["ALL"],
        "--cap-drop": ["SYS_RESOURCE"],  # not everybody has that to give
        "--security-opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "--tmpfs": ["/run", "/tmp", "/var/lib/containerd:exec"],
        "--volume": binds,
        "--env": ["PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    }
    argv = [
        word for option, values in options.items() for each in values for word in (option, each)
    ]
    start = 'mkdir -p /etc/containerd; echo "$1" >/etc/containerd/config.toml; exec containerd'
    run(cli, "run", "-d", *argv, image, "sh", "-c", start, "-", config, env=env)
    try:
        waiting = "until ctr version; do sleep 0.05; done"
        run(cli, "exec", name, "sh", "-c", waiting, env=env)
        yield name
    finally:
        run(cli, "rm", "-f", "-v", name, env=env)


@pytest.fixture(scope="module")
def nodes(node_image: str) -> Iterator[tuple[str, ...]]:
    """The two nodes of a cluster, whose load balancer is none."""
    cluster = f"scratchtasks-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        names = tuple(
            stack.enter_context(a_node(f"{cluster}-{number}", node_image, cluster))
            for number in range(2)
        )
        balancer = "external-load-balancer"
        stack.enter_context(a_node(f"{cluster}-lb", node_image, cluster, balancer))
        yield names


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program that prints /etc/message."""
    return compile_program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def made(tmp_path: Path, program: bytes) -> Made:
    """An empty store, and the program for images in it."""
    files = FileStates(str(tmp_path), str(tmp_path / "files.db"))
    return Made(ContentStore(str(tmp_path / "blobs"), files), files, program, "kind")


@pytest.fixture
def name() -> str:
    """The name of an image that no node has."""
    return f"test-{uuid.uuid4().hex}"


def cluster_of(nodes: Sequence[str]) -> str:
    return nodes[0].rpartition("-")[0]


def load(nodes: Sequence[str], made: Made, *images: Loadable) -> list[str]:
    with open_engine(f"kind:{cluster_of(nodes)}", os.environ) as engine:
        return list(engine.load(images, made.store))


def ctr(node: str, *command: str) -> str:
    return run("docker", "exec", node, "ctr", "-n", "k8s.io", *command)


def names_in(node: str, part: str) -> set[str]:
    return {line for line in ctr(node, "images", "ls", "-q").split() if part in line}


def said_by(node: str, name: str) -> str:
    command = ("run", "--rm", "--net-host", f"docker.io/library/{name}:latest", name)
    return ctr(node, *command)


def test_each_node_gets_what_it_lacks_and_can_run_it(
    nodes: tuple[str, ...], made: Made, name: str
) -> None:
    one, two = made.named(name, "one"), made.named(f"{name}-2", "two")
    assert load(nodes, made, one, two) == ["loaded", "loaded"]
    digest = digest_of(PlainImage(one.root).manifest)
    for node in nodes:
        assert said_by(node, name) == "one"
        assert names_in(node, f"{name}:") | names_in(node, f"{name}@") == {
            f"docker.io/library/{name}:latest",
            f"docker.io/library/{name}@{digest}",
        }
        assert names_in(node, "scratchtasks.invalid") == set()
        managed = ctr(node, "images", "ls", f"name==docker.io/library/{name}:latest")
        assert "io.cri-containerd.image=managed" in managed  # the CRI plugin has seen it
    assert load(nodes, made, one, two) == ["present", "present"]


def test_only_a_node_that_lacks_the_image_gets_it(
    nodes: tuple[str, ...], made: Made, name: str
) -> None:
    image = made.named(name, "hello")
    load(nodes, made, image)
    ctr(nodes[1], "images", "rm", *names_in(nodes[1], name))
    sent: list[int] = []
    heard: list[Span] = []
    engine_host = host_of("classic")
    with TemporaryDirectory(prefix="r") as folder, relay(Path(folder), engine_host) as (host, it):
        env = {**os.environ, "DOCKER_HOST": host}
        for _ in range(2):
            it.sent = 0
            with open_engine(f"kind:{cluster_of(nodes)}", env, heard.append) as engine:
                assert engine.load([image], made.store) == ["present" if sent else "loaded"]
            sent.append(it.sent)
    assert len(made.program) < sent[0] < 1.5 * len(made.program)
    assert sent[1] < 10_000
    (told,) = heard
    assert (told.kind, told.name) == ("load", f"import into {nodes[1]}")
    assert len(made.program) < int(str(told.facts["bytes"])) < sent[0]
    assert said_by(nodes[1], name) == "hello"


def test_a_tag_that_moved_is_set_without_sending(
    nodes: tuple[str, ...], made: Made, name: str
) -> None:
    one, two = made.named(name, "one"), made.named(name, "two")
    load(nodes, made, one)
    assert load(nodes, made, two) == ["loaded"]
    assert load(nodes, made, one) == ["tagged"]
    assert [said_by(node, name) for node in nodes] == ["one", "one"]
    with open_engine(f"kind:{cluster_of(nodes)}", os.environ) as engine:
        assert engine.architectures == ("amd64", "386")
        digest = digest_of(PlainImage(one.root).manifest)
        assert engine.id_of(one) == f"docker.io/library/{name}@{digest}"


def test_a_damaged_blob_never_reaches_a_node(nodes: tuple[str, ...], made: Made, name: str) -> None:
    image = made.named(name, "hello")
    path = Path(made.store.path(digest_of(b"hello")))
    path.chmod(0o644)
    path.write_bytes(b"hullo")
    with pytest.raises(StoreError, match="is damaged: wanted"):
        load(nodes, made, image)
    for node in nodes:
        assert names_in(node, name) | names_in(node, "scratchtasks.invalid") == set()


def test_no_node_gets_anything_while_one_does_not_run(
    nodes: tuple[str, ...], node_image: str, made: Made, name: str
) -> None:
    image = made.named(name, "hello")
    run("docker", "pause", nodes[1])
    try:
        with pytest.raises(SinkError) as caught:
            load(nodes, made, image)
    finally:
        run("docker", "unpause", nodes[1])
    assert re.sub("Up .* [(]", "Up … (", str(caught.value)) == (
        f"kind: the node {nodes[1]} does not run: Up … (Paused)\n"
        f"    hint: docker unpause {nodes[1]}"
    )
    another = f"{cluster_of(nodes)}-another"
    label = f"io.x-k8s.kind.cluster={cluster_of(nodes)}"
    run("docker", "create", "--name", another, "--label", label, node_image, "containerd")
    try:
        with pytest.raises(SinkError) as caught:
            load(nodes, made, image)
    finally:
        run("docker", "rm", another)
    assert str(caught.value) == (
        f"kind: the node {another} does not run: Created\n    hint: docker start {another}"
    )
    assert [names_in(node, name) for node in nodes] == [set(), set()]
    assert load(nodes, made, image) == ["loaded"]


def test_a_node_with_another_snapshotter(node_image: str, made: Made, name: str) -> None:
    config = """
        version = 2
        [plugins."io.containerd.grpc.v1.cri".containerd]
        snapshotter = "native"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
    """  # as kind has it: without a runtime, containerd overlooks the snapshotter
    cluster = f"scratchtasks-{uuid.uuid4().hex[:12]}"
    image = made.named(name, "hello")
    with a_node(f"{cluster}-0", node_image, cluster, config=config) as node:
        assert load([node], made, image) == ["loaded"]
        assert load([node], made, image) == ["present"]
        reference = f"docker.io/library/{name}:latest"
        command = ("run", "--rm", "--net-host", "--snapshotter=native", reference, name)
        assert ctr(node, *command) == "hello"


_PODMAN = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
_STORAGE = """
[storage]
driver = "vfs"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


@pytest.fixture
def podman() -> Iterator[dict[str, str]]:
    """The environment for a podman that keeps all it has in a folder, and for kind to use it."""
    with TemporaryDirectory(prefix="podman", ignore_cleanup_errors=True) as folder:
        files = {"CONTAINERS_CONF": _PODMAN, "CONTAINERS_STORAGE_CONF": _STORAGE}
        for variable, text in files.items():
            (Path(folder) / variable).write_text(text.replace("{folder}", folder))
        yield {
            **os.environ,
            **{variable: f"{folder}/{variable}" for variable in files},
            "KIND_EXPERIMENTAL_PROVIDER": "podman",
        }


def test_nodes_of_podman(podman: dict[str, str], made: Made, name: str) -> None:
    cluster = f"scratchtasks-{uuid.uuid4().hex[:12]}"
    run("podman", "import", "-", "node", stdin=bytes(1024), env=podman)
    with ExitStack() as stack:
        for role in ("control-plane", "external-load-balancer"):
            each = a_node(f"{cluster}-{role}", "node", cluster, role, cli="podman", env=podman)
            stack.enter_context(each)
        kind = Kind(cluster, podman)
        assert kind.load([made.named(name, "hello")], made.store) == ["loaded"]
        assert kind.load([made.named(name, "hello")], made.store) == ["present"]
        node = f"{cluster}-control-plane"
        listed = ("ctr", "-n", "k8s.io", "images", "ls", "-q")
        has = [
            run("podman", "exec", f"{cluster}-{role}", *listed, env=podman).split()
            for role in ("control-plane", "external-load-balancer")
        ]
        assert f"docker.io/library/{name}:latest" in has[0]
        assert has[1] == []
        run("podman", "pause", node, env=podman)
        try:
            with pytest.raises(SinkError, match=f"{node} does not run: Paused"):
                kind.load([made.named(name, "hello")], made.store)
        finally:
            run("podman", "unpause", node, env=podman)


def test_the_node_is_named_whose_containerd_does_not_answer(
    nodes: tuple[str, ...], made: Made, name: str
) -> None:
    socket, away = "/run/containerd/containerd.sock", "/run/containerd/away"
    run("docker", "exec", nodes[1], "mv", socket, away)
    try:
        with pytest.raises(SinkError, match=f"^kind: {nodes[1]}: ctr: .*{socket}"):
            load(nodes, made, made.named(name, "hello"))
    finally:
        run("docker", "exec", nodes[1], "mv", away, socket)


def test_podman_is_asked_where_kind_would_ask_it(made: Made, tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    for program in ("podman", "docker"):
        script = tmp_path / program
        script.write_text(f"#!/bin/sh\necho this is {program} >&2; exit 1\n")
        script.chmod(0o755)
        with pytest.raises(SinkError, match=f"^kind: {program} ps: this is {program}"):
            Kind("kind", env).load([], made.store)
    for told in ("podman", "docker"):
        with pytest.raises(SinkError, match=f"this is {told}"):
            Kind("kind", env | {"KIND_EXPERIMENTAL_PROVIDER": told}).load([], made.store)


def test_clusters_and_programs_that_are_not_there(made: Made) -> None:
    env = dict(os.environ)
    with pytest.raises(SinkError) as caught:
        Kind("no-such", env).load([], made.store)
    assert str(caught.value) == (
        "kind: no node of a cluster 'no-such' runs\n    hint: see `kind get clusters`"
    )
    env["DOCKER_HOST"] = "unix:///no/engine.sock"
    with pytest.raises(SinkError, match=r"^kind: docker ps: .*/no/engine.sock"):
        Kind("kind", env).load([], made.store)
    with pytest.raises(SinkError, match=r"^kind: cannot run podman: No such file or directory"):
        Kind("kind", {"PATH": "/nowhere", "KIND_EXPERIMENTAL_PROVIDER": "podman"}).load(
            [], made.store
        )


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("api:1", "docker.io/library/api:1"),
        ("team/api:1", "docker.io/team/api:1"),
        ("localhost/api:1", "localhost/api:1"),
        ("localhost:5000/api:1", "localhost:5000/api:1"),
        ("registry.example.com/team/api:1", "registry.example.com/team/api:1"),
    ],
)
def test_names_are_spelt_out(reference: str, wanted: str) -> None:
    assert canonical(reference) == wanted
