"""`doit resolve`: build, push, then write manifests, or nothing at all."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from docker import DockerClient

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.docker import connect
from tests.registry.proxy import Proxy
from tests.sinks.docker.conftest import HOSTS, host_of

from .shipyard import BROKEN, FAILS, SMOKE_FAULT, Yard

POD = """\
# one pod
spec:
  containers:
  - {name: api, image: "scratch://api"}   # kept
  - image: scratch://web
"""


@pytest.fixture
def two(yard: Yard) -> Yard:
    """Two services, and manifests that name them, in k8s/."""
    yard.service("api")
    yard.service("web")
    yard.site.write(
        {
            "k8s/pod.yaml": POD,
            "k8s/jobs/job.yml": "image: scratch://api\n",
            "k8s/notes.md": "scratch://nobody\n",
        }
    )
    return yard


def resolved(yard: Yard, text: str) -> str:
    for name, digest in yard.site.images().items():
        text = text.replace(f"scratch://{name}", f"{yard.repository(name)}@{digest}")
    return text


def test_a_file_goes_to_stdout_all_else_to_stderr(two: Yard) -> None:
    ran = two.doit("resolve", "-f", "k8s/pod.yaml")
    assert ran.out == resolved(two, POD)
    assert "scratch://" not in ran.out
    assert ran.err.splitlines()[-1].startswith("2 images, 2 rebuilt, 2 pushed, ")
    assert two.in_registry("web") == two.site.images()["web"]
    assert two.references("api") == [f"{two.repository('api')}:latest"]
    assert (two.site.root / "k8s/pod.yaml").read_text() == POD


def test_standard_input_and_only_what_it_names(two: Yard) -> None:
    ran = two.doit("resolve", "-f", "-", stdin=b"image: scratch://web\n")
    assert ran.out == resolved(two, "image: scratch://web\n")
    assert list(two.site.images()) == ["web"]
    assert two.in_registry("api") == ""


def test_a_block_is_filled_in_and_what_is_only_part_of_a_value_is_told(two: Yard) -> None:
    text = 'image: >-\n  scratch://api\nargs: ["--image=scratch://web", "--image=scratch://none"]\n'
    ran = two.doit("resolve", "-f", "-", stdin=text.encode())
    assert ran.out == resolved(two, "image: >-\n  scratch://api\n") + text[26:]
    what = "is left as it is (wanted the whole value, got part of one)"
    hint = "    hint: give it a value of its own, or leave it if it is only text\n"
    assert ran.err.startswith(
        f"<stdin>:3:17: scratch://web {what}\n{hint}<stdin>:3:42: scratch://none {what}\n{hint}"
    )
    assert list(two.site.images()) == ["api"]

    ran = two.doit("resolve", "-f", "-", stdin=b"repository: scratch://api\n")
    assert ran.out == resolved(two, "repository: scratch://api\n")
    assert ran.err.startswith(
        "<stdin>:1:13: scratch://api gets the digest with the repository "
        "(wanted a tag beside it, got none)\n"
        '    hint: write tag: "" beside it, if the chart joins the two\n'
    )


@pytest.mark.parametrize("options", [(), ("-n", "2", "-P", "process")])
def test_a_folder_goes_to_a_folder(options: tuple[str, ...], two: Yard) -> None:
    ran = two.doit("resolve", *options, "-f", "k8s", "--output", "out")
    assert ran.out == ""
    out = two.site.root / "out"
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {"pod.yaml", "jobs/job.yml"}
    assert (out / "pod.yaml").read_text() == resolved(two, POD)
    assert (out / "jobs/job.yml").read_text() == resolved(two, "image: scratch://api\n")


def test_paths_are_from_where_it_was_typed(two: Yard) -> None:
    start = [sys.executable, "-c", "from scratchtasks.plugin.main import main; main()", "resolve"]
    for words in (
        ["-f", "pod.yaml", "--output", "out"],
        ["../k8s/pod.yaml", "--output=../k8s/out"],
    ):
        subprocess.run(
            [*start, *words],
            cwd=two.site.root / "k8s",
            env=two.site.environment(),
            check=True,
            capture_output=True,
        )
        out = two.site.root / "k8s/out/pod.yaml"
        assert out.read_text() == resolved(two, POD)
        out.unlink()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("-f", "pod.yaml"),
            "pod.yaml:2:8: unknown image 'apj'\n    hint: did you mean 'api'?\n"
            "pod.yaml:3:8: unknown image 'nobody'\n    hint: known: api, tool, web\n",
        ),
        (
            ("-f", "tool.yaml"),
            "tool.yaml:1:8: image 'tool' has no [push]\n    hint: set its push.repository\n",
        ),
        (
            ("-f", "odd.yaml", "-f", "pod.yaml"),
            "odd.yaml:3:1: not YAML: did not find expected key\n",
        ),
        (("-f", "k8s", "-f", "none.yaml"), "none.yaml: no such file or folder\n"),
        ((), "resolve: wanted -f PATH\n"),
    ],
)
def test_what_is_refused_before_anything_is_built(
    args: tuple[str, ...], message: str, two: Yard, proxy: Proxy
) -> None:
    two.service("tool", push=None)
    two.site.write(
        {
            "pod.yaml": "image: scratch://api\nimage: scratch://apj\nimage: scratch://nobody\n",
            "tool.yaml": "image: scratch://tool\n",
            "odd.yaml": "a:\n  image: scratch://api\n- b\n",
        }
    )
    ran = two.run("resolve", *args)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"ERROR: {message}")
    assert not (two.site.root / "dist").exists()
    assert proxy.seen == []


def test_nothing_is_written_when_one_cannot_be_built(two: Yard, proxy: Proxy) -> None:
    two.break_("web")
    for args in (("--output", "out"), ()):
        ran = two.run("resolve", "-f", "k8s", *args)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.count(f"error: //services/web:binary: {BROKEN}\n") == 1
        assert ran.err.count("error: ") == 1
        assert not (two.site.root / "out").exists()
    assert proxy.seen == []


def test_nothing_is_written_when_a_gate_is_not_passed(two: Yard, proxy: Proxy) -> None:
    two.service("web", smoke=FAILS, push="smoke = true\n")
    ran = two.run("resolve", "-f", "k8s")
    assert (ran.code, ran.out) == (1, "")
    assert f"error: //services/web:image: smoke: {SMOKE_FAULT}\n" in ran.err
    assert proxy.seen == []


def test_a_manifest_without_references_builds_nothing(two: Yard, proxy: Proxy) -> None:
    two.site.write({"plain.yaml": "image: nginx\n"})
    assert two.doit("resolve", "-f", "plain.yaml").out == "image: nginx\n"
    assert not (two.site.root / "dist").exists()
    assert proxy.seen == []


USERS = 'def task_never():\n    return {"actions": ["touch ran"]}\n'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pyproject.toml": ""}, 'resolve: wanted [tool.doit] loader = "scratch"\n'),
        ({"dodo.py": USERS}, "resolve: wanted a Workspace in dodo.py, got none\n"),
    ],
)
def test_where_nothing_can_be_resolved_no_task_runs(
    files: dict[str, str], message: str, two: Yard
) -> None:
    two.site.write(files)
    ran = two.run("resolve", "-f", "k8s")
    assert (ran.code, ran.out) == (3, "")
    assert f"ERROR: {message}" in ran.err
    assert not (two.site.root / "dist").exists()
    assert not (two.site.root / "ran").exists()


@pytest.fixture(params=list(HOSTS))
def engine(request: pytest.FixtureRequest, yard: Yard) -> Iterator[DockerClient]:
    """Each of the two engines, which the workspace uses then; the test fails without."""
    host = host_of(request.param)
    try:
        client = connect({"DOCKER_HOST": host})
    except SinkError as error:
        pytest.fail(str(error), pytrace=False)
    yard.site.env["DOCKER_HOST"] = host
    try:
        yield client
    finally:
        client.close()


@pytest.mark.docker
def test_local_images_are_loaded_and_named_by_id(
    engine: DockerClient, yard: Yard, proxy: Proxy
) -> None:
    name = f"scratchtasks-test-{uuid.uuid4().hex}"
    yard.service(name, push=None)
    text = f"image: scratch://{name}\n"
    try:
        ran = yard.doit("resolve", "--local", "-f", "-", stdin=text.encode())
        image = engine.images.get(f"{name}:latest")
        assert ran.out == f"image: {image.id}\n"
        assert f"{name}:latest loaded\n" in ran.err
    finally:
        engine.images.remove(f"{name}:latest", force=True)
    assert proxy.seen == []


def test_local_without_an_engine_writes_nothing(two: Yard) -> None:
    ran = two.run("resolve", "--local", "-f", "k8s")
    assert (ran.code, ran.out) == (1, "")
    where = two.site.env["DOCKER_HOST"]
    assert ran.err.count(f"error: docker: no engine answers at {where} (from DOCKER_HOST)") == 1
