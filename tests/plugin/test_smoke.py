"""`doit smoke`, and pushes that wait for it; bubblewrap does the work, for there is no engine."""

import json
import os

import pytest

from tests.registry.proxy import Proxy

from .shipyard import FAILS, PASSES, SMOKE_FAULT, Yard

FAILURE = (
    "//services/web:image: smoke: stderr:\nno such table: users\n"
    f"error: //services/web:image: smoke: {SMOKE_FAULT}\n"
)
GATED = "smoke = true\n"


def test_only_services_that_say_how_are_tried_and_only_once(yard: Yard) -> None:
    yard.service("api", smoke=PASSES)
    yard.service("tool")
    ran = yard.doit("smoke")
    (line,) = [line for line in ran.out.splitlines() if "  Smoke (linux/" in line]
    assert line.startswith("//services/api:image  Smoke (linux/")
    assert ran.summary == "1 image, 1 rebuilt, 1 tried out"
    assert "tool" not in yard.site.images()

    ran = yard.doit("smoke")
    assert "Smoke" not in ran.out
    assert ran.summary == "1 image up to date"

    yard.change("api", "new")
    assert "  Smoke (linux/" in yard.doit("smoke:api").out
    assert yard.run("smoke:tool").code == 3


@pytest.mark.parametrize("words", [("smoke",), ("-n", "2", "smoke:*")])
def test_a_failure_is_told_once_with_what_it_printed(words: tuple[str, ...], yard: Yard) -> None:
    yard.service("api", smoke=PASSES)
    yard.service("web", smoke=FAILS)
    ran = yard.run(*words)
    assert ran.code == 1
    assert ran.err == FAILURE
    again = yard.run("smoke:web")
    assert (again.err, again.summary) == (  # never remembered
        FAILURE,
        "1 image up to date, 1 smoke test failed",
    )
    assert "web" in yard.site.images()  # it was built nevertheless


def test_without_any_smoke_test_there_is_nothing_to_do(yard: Yard) -> None:
    yard.service("api")
    assert yard.doit("smoke").out == ""
    assert not (yard.site.root / "dist").exists()


@pytest.mark.parametrize("words", [("push",), ("-n", "2", "--continue", "push")])
def test_a_failing_gate_keeps_all_back(words: tuple[str, ...], yard: Yard, proxy: Proxy) -> None:
    yard.service("api")
    yard.service("web", smoke=FAILS, push=GATED)
    ran = yard.run(*words)
    assert ran.code in (1, 2)
    assert ran.out == ""
    assert ran.err.count(FAILURE) == ran.err.count("error: ") == 1
    assert proxy.seen == []


def test_a_gate_that_is_passed_is_passed_once(yard: Yard) -> None:
    yard.service("api", smoke=PASSES, push=GATED)
    ran = yard.doit("push")
    assert ran.out == yard.pushed("api")
    assert ran.err.count("//services/api:image  Smoke (linux/") == 1
    assert "Smoke" not in yard.doit("push").err
    assert "Smoke" not in yard.doit("smoke").out


def test_without_a_gate_a_push_tries_nothing(yard: Yard) -> None:
    yard.service("web", smoke=FAILS)
    assert yard.doit("push").out == yard.pushed("web")


def test_a_dry_run_plans_and_tries_nothing_out(yard: Yard, proxy: Proxy) -> None:
    yard.service("web", smoke=FAILS, push=GATED)
    ran = yard.doit("push", "--dry-run")
    lines = ran.out.splitlines()
    assert lines[0] == f"web: {yard.repository('web')}@{yard.site.images()['web']}"
    assert lines[-1].endswith(" to send")
    assert "smoke" not in ran.err
    plan = json.loads(yard.doit("push:web", "--dry-run", "--json").out)
    assert [image["name"] for image in plan["images"]] == ["web"]
    assert {seen.method for seen in proxy.seen} == {"HEAD"}


def test_a_gate_without_a_smoke_test_is_refused(yard: Yard) -> None:
    yard.service("web", push=GATED)
    ran = yard.run("push")
    assert (ran.code, ran.out) == (3, "")
    assert "ERROR: services/web/service.toml: push.smoke: there is no [smoke] to pass\n" in ran.err
    assert not (yard.site.root / "dist").exists()


CST = """\
schemaVersion: "2.0.0"
commandTests:
- {name: version, command: /usr/bin/web, args: [--version], expectedOutput: ['^api 1[.]2$']}
fileExistenceTests:
- {name: no shell, path: /bin/sh, shouldExist: false}
metadataTest: {user: "65532:65532", entrypoint: [/usr/bin/web]}
"""
MULTILINE = CST.replace("^api", "(?m)^api")


def test_a_structure_test_is_an_input_of_the_verdict(yard: Yard) -> None:
    yard.service("web", smoke='[smoke]\nstructure_test = "cst.yaml"\n')
    path = "services/web/cst.yaml"
    yard.site.write({path: CST})
    ran = yard.run("smoke:web")
    what = f"{path}: version: stdout: wanted a match of '^api 1[.]2$', got 'api 1.2\\n'"  # Go's `$`
    assert (ran.code, ran.err) == (
        1,
        "//services/web:image: smoke: stdout:\napi 1.2\n"
        f"error: //services/web:image: smoke: {what}\n",
    )
    yard.site.write({path: MULTILINE})
    assert "  Smoke (linux/" in yard.doit("smoke:web").out
    yard.site.write({path: MULTILINE + "# a comment\n"})
    assert "Smoke" not in yard.doit("smoke:web").out
    yard.site.write({path: MULTILINE.replace("/bin/sh", "/etc/passwd")})
    ran = yard.run("smoke:web")
    assert f"{path}: no shell: /etc/passwd: wanted none, got -rw-r--r--\n" in ran.err


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        (
            "cst.yaml",
            CST.replace("args", "arg"),
            "services/web/cst.yaml: unknown key 'commandTests[0].arg'\n"
            "    hint: did you mean 'args'?\n",
        ),
        (
            "//:no.yaml",
            CST,
            "services/web/service.toml: smoke.structure_test: there is no file no.yaml\n",
        ),
        (
            "pipe.yaml",
            CST,
            "services/web/pipe.yaml: wanted a file, got a FIFO, socket or device\n",
        ),
    ],
)
def test_a_structure_test_that_cannot_be_read(
    source: str, text: str, message: str, yard: Yard
) -> None:
    yard.service("web", smoke=f'[smoke]\nstructure_test = ["{source}"]\n')
    yard.site.write({"services/web/cst.yaml": text})
    os.mkfifo(yard.site.root / "services/web/pipe.yaml")
    ran = yard.run("smoke:web")
    assert (ran.code, ran.err) == (1, f"error: {message}")
