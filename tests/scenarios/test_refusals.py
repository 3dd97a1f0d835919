"""What is refused, word for word, and what happens to everything else."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .workspaces import DODO, SERVICE, TWO_SERVICES, lone_go, shop, site_of

BAD_GO = 'package main\n\nfunc main() { undefined("ä%s\\x1b") }\n'


def test_a_compilers_message_appears_once_and_untouched(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"services/api/main.go": BAD_GO})
    ran = site.run()
    assert ran.code == 1
    message = "services/api/main.go:3:15: undefined: undefined"
    assert ran.err.count(message) == 1
    assert ran.err == (
        f"# example.com/shop/services/api\n{message}\n"
        "error: //services/api:binary: go build failed (linux/amd64)\n"
        "    hint: see the compiler's message\n"
    )
    assert "Traceback" not in ran.out
    # Which of the two doit comes to first is not told.
    others = {"2 images, 1 failed, 1 not looked at", "2 images, 1 rebuilt, 1 failed"}
    assert ran.summary in others


@pytest.mark.parametrize("options", [(), ("--continue",), ("-n", "2", "-P", "process")])
def test_all_that_has_failed_is_told_once(options: tuple[str, ...], tmp_path: Path) -> None:
    site = shop(tmp_path)
    for name in ("api", "web"):
        site.write({f"services/{name}/main.go": BAD_GO % name})
    ran = site.run(*options)
    assert ran.code in (1, 2)
    told = re.findall(r"^error: //services/(.*):binary: go build failed .*", ran.err, re.MULTILINE)
    assert sorted(told) == ["api", "web"]
    assert ran.summary == "2 images, 2 failed"


@pytest.mark.parametrize(
    "options", [(), ("-n", "2"), ("-n", "2", "-P", "process"), ("--continue",)]
)
def test_what_go_list_refuses_is_told_of_all_services_at_once(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """It is known before anything is built."""
    site = shop(tmp_path)
    for name in ("api", "web"):
        program = f'package main\n\nimport _ "example.com/shop/{name}/gone"\n\nfunc main() {{}}\n'
        site.write({f"services/{name}/main.go": program})
    ran = site.run(*options)
    told = re.findall(r"^error: //services/(.*):binary: .* package example.com/", ran.err, re.M)
    assert told == ["api", "web"]
    assert ran.summary == "2 images, 2 failed"


def test_so_it_is_by_a_reporter_of_doits_own(tmp_path: Path) -> None:
    site = shop(tmp_path)
    programs = {
        f"services/s{number:02}/main.go": f'package main\n\nimport _ "gone{number}"\n'
        for number in range(22)
    }
    site.write(programs)
    site.write({path.replace("main.go", "service.toml"): SERVICE for path in programs})
    ran = site.run("-r", "console")
    told = re.findall(r"^//services/s(..):binary: .* package gone", ran.out + ran.err, re.M)
    assert (ran.code, told) == (1, [f"{number:02}" for number in range(20)])
    assert "\nand 2 more errors: --continue tells them all\n" in ran.out + ran.err


@pytest.mark.parametrize("options", [("--continue",), ("--continue", "-n", "4")])
def test_with_continue_all_others_are_built(options: tuple[str, ...], tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"services/api/main.go": BAD_GO})
    ran = site.run(*options)
    assert ran.code == 2  # doit's: to depend on what failed is an error
    assert ran.summary == "2 images, 1 rebuilt, 1 failed"
    assert list(site.images()) == ["web"]
    site.write({"services/api/main.go": TWO_SERVICES["services/api/main.go"]})
    assert site.doit().actions == [
        "//services/api:binary GoCompile",
        "//services/api:image Image",
        "//services/api:rootfs Rootfs",
    ]
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_a_failure_leaves_the_last_good_image_and_a_revert_is_a_hit(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    site.write({"services/api/main.go": BAD_GO})
    assert site.run().code == 1
    assert site.run().code == 1  # it is still wrong, and still says so
    assert site.images() == images
    site.write({"services/api/main.go": TWO_SERVICES["services/api/main.go"]})
    ran = site.doit()
    assert ran.actions == []
    assert site.images() == images


def test_all_faults_of_all_files_at_once(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write(
        {
            "scratch.toml": '[image]\nuser = "a b"\n[cashe]\n',
            "services/api/service.toml": SERVICE + '[image]\nports = [8080]\nplatfroms = ["x"]\n',
            "services/web/service.toml": '[binary]\nrule = "go_binry"\n',
            "services/third/service.toml": "[binary\n",
            "services/fourth/service.toml": SERVICE,
        }
    )
    for command in ((), ("list",), ("image:fourth",)):
        ran = site.run(*command)
        assert ran.code == 3
        assert ran.out == ""
        assert "Traceback" not in ran.err
        assert [line for line in ran.err.splitlines() if not line.startswith("    hint: ")] == [
            'ERROR: scratch.toml: image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid"'
            ' or "root", got the string "a b"',
            "scratch.toml: unknown key 'cashe'",
            'services/api/service.toml: image.ports[0]: wanted "PORT/tcp", got the integer 8080',
            "services/api/service.toml: unknown key 'image.platfroms'",
            "services/third/service.toml: line 1, column 8: not TOML: expected ']' at the end of a"
            " table declaration",
            'services/web/service.toml: binary.rule: unknown rule "go_binry"',
        ]
    assert not (site.root / "dist").exists()


@pytest.mark.parametrize(
    ("ldflag", "message"),
    [
        ("{git.short}", "{git.short}: fatal: "),
        (
            "{git.shart}",
            'binary.ldflags[0]: unknown template "{git.shart}"\n'
            "    hint: did you mean '{git.short}'?",
        ),
        ("{env.MISSING_HERE}", "{env.MISSING_HERE}: MISSING_HERE is not set\n    hint: set it, or"),
    ],
)
def test_templates_that_cannot_be_filled(ldflag: str, message: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"services/api/service.toml": SERVICE + f'ldflags = ["-X main.version={ldflag}"]\n'})
    ran = site.run(env={"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert ran.code == 3
    assert ran.err.startswith(f"ERROR: services/api/service.toml: {message}")
    assert not (site.root / "dist").exists()


def test_a_template_of_git_before_the_first_commit(tmp_path: Path) -> None:
    site = shop(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=site.root, check=True)
    site.write({"services/api/service.toml": SERVICE + 'ldflags = ["-X main.v={git.short}"]\n'})
    ran = site.run()
    assert (ran.code, ran.err) == (
        3,
        "ERROR: services/api/service.toml: {git.short}: fatal: Needed a single revision\n"
        "    hint: commit first: there is nothing to name yet\n",
    )


def test_two_services_of_one_name(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"services/web/service.toml": 'name = "api"\n' + SERVICE})
    ran = site.run()
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "ERROR: services/web/service.toml: api is already declared in services/api/service.toml\n"
        "    hint: names and labels are unique in a workspace\n"
    )


def test_two_workspaces(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"dodo.py": DODO + 'task_more = Workspace(services=["more/*"])\n'})
    ran = site.run()
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "ERROR: dodo.py: wanted one Workspace, got 2: task_images, task_more\n"


def test_a_task_that_takes_our_name(tmp_path: Path) -> None:
    site = shop(tmp_path)
    for _ in range(2):  # while nothing is built, and while nothing is to do
        site.write({"dodo.py": DODO + 'def task_binary():\n    return {"actions": ["true"]}\n'})
        ran = site.run()
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == "ERROR: dodo.py: task 'binary' has the name of a task of scratchtasks\n"
        site.write({"dodo.py": DODO})
        site.doit()


def test_a_dynamic_binary_never_reaches_an_image(tmp_path: Path) -> None:
    program = os.path.realpath(shutil.which("ls") or "")
    site = site_of(
        tmp_path / "ws",
        {
            **TWO_SERVICES,
            "services/tool/service.toml": '[binary]\nrule = "prebuilt"\npath = "tool"\n',
        },
    )
    shutil.copy(program, site.root / "services/tool/tool")
    ran = site.run("--continue")
    assert ran.code == 2
    assert ran.err == (
        "error: //services/tool:binary: not static: needs the loader /lib64/ld-linux-x86-64.so.2"
        ", libselinux.so.1 and libc.so.6\n"
        "    hint: CGO_ENABLED=0, or link with -static\n"
    )
    assert sorted(site.images()) == ["api", "web"]
    assert not (site.root / "dist/tool").exists()
    site.write({"services/tool/main.go": lone_go("tool"), "services/tool/service.toml": SERVICE})
    site.doit()
    assert sorted(site.images()) == ["api", "tool", "web"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            '[{ src = "missing", dest = "/srv" }]',
            "//services/web:rootfs: cannot stage services/web/missing: No such file or directory",
        ),
        (
            '[{ src = "static", dest = "/a" }, { src = "main.go", dest = "/a/index.html" }]',
            "//services/web:rootfs: ",
        ),
    ],
)
def test_files_that_cannot_be_staged(files: str, message: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"services/web/service.toml": SERVICE + f"\n[image]\nfiles = {files}\n"})
    ran = site.run("--continue")
    assert ran.code == 2
    assert ran.err.startswith(f"error: {message}"), ran.err
    assert list(site.images()) == ["api"]


def test_a_broken_dodo_file_is_the_users_own_traceback(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"dodo.py": DODO + "1 / 0\n"})
    ran = site.run()
    assert ran.code == 3
    assert "ZeroDivisionError" in ran.err
    assert not (site.root / "dist").exists()
