"""`doit push`: all that a run pushes goes together or not at all."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.registry.proxy import Fault, Proxy, Seen
from tests.scenarios.workspaces import DODO

from .shipyard import BROKEN, Yard

SENDING = ("POST", "PATCH", "PUT", "DELETE")


@pytest.fixture
def two(yard: Yard) -> Yard:
    """Two services with a place in the registry; nothing is built yet."""
    yard.service("api")
    yard.service("web")
    return yard


def test_a_group_is_pushed_the_first_time_and_sends_nothing_the_second(
    two: Yard, proxy: Proxy
) -> None:
    ran = two.doit("push")
    assert ran.out == two.pushed("api", "web")
    assert ran.err.splitlines()[-1].startswith("2 images, 2 rebuilt, 2 pushed, ")
    images = two.site.images()
    assert (two.in_registry("api"), two.in_registry("web")) == (images["api"], images["web"])
    assert proxy.count(*SENDING) > 0

    proxy.seen.clear()
    ran = two.doit("push")
    assert ran.out == two.pushed("api", "web")
    assert ran.err.startswith("2 images up to date, ")
    assert proxy.count(*SENDING) == 0


def test_a_load_into_no_engine_is_no_success(two: Yard) -> None:
    two.doit()
    ran = two.run("load")
    assert (ran.code, ran.summary) == (1, "2 images up to date, 1 load failed")


def test_one_image_prints_one_line_and_leaves_the_others(two: Yard) -> None:
    ran = two.doit("push:web")
    assert ran.out == two.pushed("web")
    assert ran.err.splitlines()[-1].startswith("1 image, 1 rebuilt, 1 pushed, ")
    assert two.in_registry("api") == ""
    assert "api" not in two.site.images()


def test_one_image_takes_what_others_have_in_the_registry_and_no_tag_of_theirs(
    two: Yard, proxy: Proxy
) -> None:
    two.doit("push:api")
    two.doit("image")
    proxy.seen.clear()
    two.doit("push:web")
    mounts = [seen for seen in proxy.seen if "mount=" in seen.path]
    assert [f"from={two.team}/api" in seen.path for seen in mounts] == [True]

    path = two.site.root / "services/web/service.toml"
    own = path.read_text().replace(f"{two.team}/web", f"{two.team}/api")
    refusal = (
        f"error: {two.repository('api')}:latest: both //services/api:image and"
        " //services/web:image are to be pushed there\n"
        "    hint: give one of them another push.repository, or other push.tags\n"
    )
    before = two.in_registry("api")
    path.write_text(own)
    for _ in range(2):
        ran = two.run("push:web")
        assert (ran.code, ran.out) == (1, "")
        assert refusal in ran.err
    two.change("api", "new")  # and not built
    assert refusal in two.run("push:web").err
    assert two.in_registry("api") == before

    path.write_text(own + 'tags = ["web", "{env.RELEASE}"]\n')
    two.doit("push:web", env={"RELEASE": "1"})
    two.doit("push:api")  # another's tag that says nothing here is none of its business


@pytest.mark.parametrize(
    "words",
    [
        ("push",),
        ("push:api", "push:web"),
        ("push:*",),
        ("-n", "2", "push"),
        ("-n", "2", "-P", "process", "--continue", "push:api", "push:web"),
    ],
)
def test_with_one_that_cannot_be_built_nothing_is_pushed(
    words: tuple[str, ...], two: Yard, proxy: Proxy
) -> None:
    two.break_("web")
    ran = two.run(*words)
    assert ran.code in (1, 2)  # with --continue doit's code is 2
    assert ran.out == ""
    assert ran.err.count(f"error: //services/web:binary: {BROKEN}\n") == 1
    assert ran.err.count("error: ") == 1
    assert proxy.seen == []


def test_a_tag_that_is_refused_leaves_every_tag_where_it_was(two: Yard, proxy: Proxy) -> None:
    two.doit("push")
    before = two.site.images()
    two.change("api", "new")
    two.change("web", "new")
    body = b'{"errors": [{"code": "DENIED", "message": "tag is immutable"}]}'
    path = f"/v2/{two.team}/web/manifests/latest"
    proxy.faults.append(
        Fault(lambda s: s.method == "PUT" and s.path == path, times=9, status=403, body=body)
    )
    ran = two.run("-n", "2", "--continue", "push:api", "push:web")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err[ran.err.index("error: ") :].rpartition("2 images, ")[0] == (
        f"error: PUT {two.host}{path}: 403 DENIED: tag is immutable\n"
        "    every tag is where it was\n"
        f"    remaining: tags {two.repository('api')}:latest, {two.repository('web')}:latest\n"
        f"    hint: may this account push to {two.team}/web? docker login {two.host}\n"
    )
    assert {name: two.in_registry(name) for name in before} == before
    assert two.site.images() != before
    assert two.references("api") == []

    assert ran.err.splitlines()[-1].startswith("2 images, 2 rebuilt, 2 pushes failed, ")
    ran = two.run("push")
    assert ran.err.splitlines()[-1].startswith("2 images up to date, 1 push failed, ")
    proxy.faults.clear()
    two.doit("push")
    assert {name: two.in_registry(name) for name in before} == two.site.images()


@pytest.mark.parametrize("words", [("-n", "2", "push"), ("-n", "2", "-P", "process", "push")])
def test_in_parallel_it_is_one_push_still(words: tuple[str, ...], two: Yard, proxy: Proxy) -> None:
    two.service("worker")
    ran = two.doit(*words)
    assert ran.out == two.pushed("api", "web", "worker")
    last = [str(seen).rpartition("/")[2] for seen in proxy.seen if seen.method in SENDING][-3:]
    assert last == ["latest"] * 3  # no tag before all images are there
    assert two.references("worker") == [f"{two.repository('worker')}:latest"]


def test_the_options_anything_but_dependencies(two: Yard) -> None:
    two.doit()
    assert two.doit("-s", "push:web", "push:api").out == two.pushed("web", "api")


def test_a_dry_run_prints_the_plan_and_sends_nothing(two: Yard, proxy: Proxy) -> None:
    ran = two.doit("push", "--dry-run")
    images = two.site.images()
    lines = ran.out.splitlines()
    assert lines[0] == f"api: {two.repository('api')}@{images['api']}"
    assert lines[2:5] == ["    put 1 manifest", "    tag latest, new",
                          f"web: {two.repository('web')}@{images['web']}"]  # fmt: skip
    assert lines[-1].endswith(" MiB to send")
    assert ran.err.splitlines()[-1].startswith("2 images, 2 rebuilt, ")

    plan = json.loads(two.doit("push:web", "--json", "--dry-run").out)
    assert [image["digest"] for image in plan["images"]] == [images["web"]]
    assert plan["size"] == sum(blob["size"] for blob in plan["images"][0]["blobs"])
    assert {seen.method for seen in proxy.seen} == {"HEAD"}
    assert (two.in_registry("api"), two.references("api")) == ("", [])

    two.doit("push")
    assert two.doit("push", "--dry-run").out == (
        f"api: {two.repository('api')}@{images['api']}\n    is there\n"
        f"web: {two.repository('web')}@{images['web']}\n    is there\n"
        "nothing to do\n"
    )


def test_json(two: Yard) -> None:
    told = json.loads(two.doit("push", "--json").out)
    images = two.site.images()
    assert told == [
        {
            "name": name,
            "repository": two.repository(name),
            "digest": images[name],
            "references": [f"{two.repository(name)}:latest"],
        }
        for name in ("api", "web")
    ]


def test_json_of_nothing(yard: Yard) -> None:
    """A script that reads it need not know whether any service is pushed."""
    yard.service("api")
    path = yard.site.root / "services/api/service.toml"
    path.write_text(path.read_text().partition("[push]")[0])
    assert json.loads(yard.doit("push", "--json").out) == []
    ran = yard.doit("push", "image", "--json", "--dry-run")
    assert json.loads(ran.out) == {"size": 0, "images": []}
    assert ran.err.splitlines()[0] == "scratchtasks: push: no service has a [push] table"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("push >/dev/full", 1, "no space left on device"),
        ("-n 2 push --dry-run | true", 1, "broken pipe"),
        ("push --json >&-", 1, "bad file descriptor"),
        ("resolve -f k8s.yaml >/dev/full <&-", 3, "no space left on device"),
    ],
)
def test_what_was_pushed_cannot_be_told(words: str, code: int, why: str, two: Yard) -> None:
    two.site.write({"k8s.yaml": "image: scratch://api\n"})
    two.doit("push")
    # The reader is gone before the first word.
    script = f"set -o pipefail; {{ sleep 0.1; exec {sys.executable} -m doit {words}"
    script = script.replace(" |", "; } |") if "|" in words else f"{script}; }}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=two.site.root,
        env=two.site.environment(),
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    said = done.stderr.decode()
    assert f": standard output: cannot be written: {why}\n" in said
    assert "Traceback" not in said
    assert done.returncode == code
    assert two.in_registry("api") == two.site.images()["api"]


@pytest.mark.parametrize("word", ["--dry-run", "--json"])
def test_options_of_a_push_belong_to_pushes(word: str, two: Yard) -> None:
    ran = two.run("image", word)
    assert (ran.code, ran.out) == (3, "")
    assert "Traceback" not in ran.err
    assert not (two.site.root / "dist").exists()


def test_references_stay_with_a_digest_and_go_with_it(yard: Yard) -> None:
    yard.service("api", tags=["latest", "{env.RELEASE}"])
    yard.doit("image")
    assert yard.references("api") == []
    base = yard.repository("api")
    yard.doit("push", env={"RELEASE": "1"})
    assert yard.references("api") == [f"{base}:1", f"{base}:latest"]
    yard.doit("push", env={"RELEASE": "2"})
    all_three = [f"{base}:1", f"{base}:2", f"{base}:latest"]
    assert yard.references("api") == all_three
    (yard.site.root / "dist/api/index.json").unlink()
    yard.doit("image")
    assert yard.references("api") == all_three
    yard.change("api", "new")
    yard.doit("image")
    assert yard.references("api") == []


def test_templates_in_tags(yard: Yard) -> None:
    yard.service("api", tags=["{git.short}", "v{env.RELEASE}-{name}"])
    yard.service("web")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*git, *words], cwd=yard.site.root, check=True)
    asked = ("rev-parse", "--short=12", "HEAD")
    done = subprocess.run([*git, *asked], cwd=yard.site.root, check=True, stdout=subprocess.PIPE)
    short = done.stdout.decode().strip()
    yard.doit("push", env={"RELEASE": "1.2"})
    digest = yard.site.images()["api"]
    assert yard.in_registry("api", short) == digest
    assert yard.in_registry("api", "v1.2-api") == digest
    assert yard.in_registry("api") == ""

    ran = yard.run("push:api")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(
        "error: services/api/service.toml: {env.RELEASE}: RELEASE is not set\n"
        "    hint: set it, or leave the template out\n"
    )
    yard.doit("push:web")  # the tags of others are none of its business


def test_a_registry_without_tls_has_to_be_named(yard: Yard) -> None:
    # This address reaches loopback and does not say so.
    yard.host = yard.host.replace("127.0.0.1", "0.0.0.0")
    yard.service("api")
    ran = yard.run("push")
    assert ran.code == 1
    assert "/manifests/latest: does not speak TLS\n" in ran.err
    yard.site.write(
        {"scratch.toml": f'[image]\nessentials = []\n[push]\nplain_http = ["{yard.host}"]\n'}
    )
    assert yard.doit("push").out == yard.pushed("api")


USERS = """
def task_deploy():
    return {"actions": ["touch deployed"], "task_dep": ["push:web", "push:api"]}
"""


def test_a_task_of_the_users_own_may_need_pushes(two: Yard, proxy: Proxy) -> None:
    two.site.write({"dodo.py": DODO + USERS})
    two.break_("api")
    ran = two.run("deploy")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count(BROKEN) == 1
    assert proxy.seen == []

    two.service("api")
    ran = two.doit("deploy")
    assert ran.out == two.pushed("web", "api")
    assert ".  deploy\n" in ran.err
    assert (two.site.root / "deployed").exists()


GENERATES = """
def task_generate():
    return {"actions": ["cp new services/api/tool"]}
"""


def test_what_a_users_task_writes_between_pushes_is_pushed(two: Yard) -> None:
    two.site.write({"dodo.py": DODO + GENERATES})
    two.doit("push")
    before = two.in_registry("api")
    (two.site.root / "new").write_bytes(two.program + b"new")
    two.doit("push:web", "generate", "push:api")
    two.doit()
    assert two.in_registry("api") == two.site.images()["api"] != before


def test_a_label_is_the_image_and_not_its_push(two: Yard, proxy: Proxy) -> None:
    ran = two.doit("//services/api:image")
    assert ran.summary == "1 image, 1 rebuilt"
    assert proxy.seen == []


def test_a_service_without_a_place_is_not_pushed(yard: Yard) -> None:
    yard.service("api")
    yard.service("tool", push=None)
    assert yard.doit("push").out == yard.pushed("api")
    assert "tool" not in yard.site.images()
    ran = yard.run("push:tool")
    assert (ran.code, ran.out) == (3, "")
    assert "push:tool" in ran.err


def test_without_our_loader_a_push_works_alone(two: Yard) -> None:
    (two.site.root / "pyproject.toml").unlink()
    ran = two.doit("push:api")
    assert two.pushed("api") in ran.out
    assert two.in_registry("api") == two.site.images()["api"]
    assert two.references("api") == [f"{two.repository('api')}:latest"]
    assert two.in_registry("web") == ""


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.parametrize("words", [(), ("-n", "2")])
def test_a_ctrl_c_does_not_wait_for_a_registry_that_says_nothing(
    two: Yard, proxy: Proxy, method: str, words: tuple[str, ...]
) -> None:
    two.doit("image")
    is_asked, is_over = threading.Event(), threading.Event()

    def stall() -> None:
        is_asked.set()
        is_over.wait(60)

    proxy.faults.append(Fault(lambda seen: seen.method == method, times=99, act=stall))
    process = two.site.start(*words, "push")
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
    two.doit("push")


def test_a_large_blob_goes_on_where_the_last_push_left_it(yard: Yard, proxy: Proxy) -> None:
    yard.program += os.urandom(20 << 20)
    yard.service("api")

    def is_second_chunk(seen: Seen) -> bool:
        return seen.headers.get("Content-Range", "").startswith(f"{16 << 20}-")

    proxy.faults.append(Fault(is_second_chunk, status=403))
    assert yard.run("push").code == 1
    (left,) = (yard.site.root / ".scratch/uploads").iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    old, young = left.with_name("old"), left.with_name("young")
    for path, days in ((old, 8), (young, 6)):
        path.write_text("a secret")
        os.utime(path, times=(time.time() - days * 86400,) * 2)
    proxy.seen.clear()
    yard.doit("push")
    (chunk,) = (seen for seen in proxy.seen if seen.method == "PATCH")
    assert is_second_chunk(chunk)
    assert yard.in_registry("api") == yard.site.images()["api"]
    assert list(left.parent.iterdir()) == [young]


@pytest.mark.parametrize("words", [(), ("-n", "2"), ("-n", "2", "-P", "process")])
def test_a_ctrl_c_while_a_tag_is_refused_still_puts_the_others_back(
    two: Yard, proxy: Proxy, words: tuple[str, ...]
) -> None:
    two.doit("push")
    before = [two.in_registry(name) for name in ("api", "web")]
    for name in ("api", "web"):
        two.change(name, "new")
    is_asked = threading.Event()

    def linger() -> None:
        is_asked.set()
        time.sleep(1)

    path = f"/v2/{two.team}/web/manifests/latest"
    proxy.faults.append(
        Fault(lambda s: s.method == "PUT" and s.path == path, 99, status=403, act=linger)
    )
    process = two.site.start(*words, "push", start_new_session=True)
    try:
        assert is_asked.wait(30)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()
    assert [two.in_registry(name) for name in ("api", "web")] == before
