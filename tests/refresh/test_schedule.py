"""Nightly jobs, read by what will read them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scratchtasks.refresh.schedule import KINDS, Place

PLACE = Place(root="/srv/shop", doit="/srv/shop/.venv/bin/doit", name="shop")
ODD = Place(root="/srv/50% off, it's mine", doit="/opt/a b/bin/doit", name="50% off, it's mine")


def documents(kind: str, place: Place = PLACE) -> list[Any]:
    return list(yaml.safe_load_all(KINDS[kind](place)))


def scripts(value: object) -> list[str]:
    """Every shell script in a YAML document: the strings of more than one line, and `run`s."""
    if isinstance(value, dict):
        return [each for item in value.values() for each in scripts(item)]
    if isinstance(value, list):
        return [each for item in value for each in scripts(item)]
    return [value] if isinstance(value, str) and "\n" in value else []


@pytest.mark.parametrize("place", [PLACE, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("kind", ["github", "gitlab", "kubernetes"])
def test_shell_in_yaml_is_sound(kind: str, place: Place) -> None:
    found = [script for document in documents(kind, place) for script in scripts(document)]
    assert found
    for script in found:
        shell = re.sub(r"\$\{\{.*?\}\}", "x", script)
        subprocess.run(["bash", "-n"], input=shell.encode(), check=True)
        assert "doit refresh" in "".join(found)


def test_github_asks_for_the_least() -> None:
    (workflow,) = documents("github")
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert job["timeout-minutes"] == 30
    checkout = job["steps"][0]
    assert checkout["with"] == {"persist-credentials": False}
    with_token = [step for step in job["steps"] if "GH_TOKEN" in step.get("env", {})]
    assert [step["name"] for step in with_token] == ["Open a pull request"]
    # YAML 1.1 reads `on` as true.
    assert workflow[True]["schedule"] == [{"cron": f"{PLACE.minute} 3 * * *"}]


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        ("github", ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")),
        ("gitlab", ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci")),
        ("kubernetes", ("kubernetes-validate", "--strict", "--kubernetes-version", "1.33.0")),
    ],
)
def test_yaml_satisfies_the_schema_of_its_reader(
    kind: str, reader: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / f"{kind}.yml"
    file.write_text(KINDS[kind](PLACE))
    argv = [*reader, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_venv())
    assert done.returncode == 0, done.stdout + done.stderr


def _venv() -> dict[str, str]:
    import os
    import sys

    return {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}


def test_gitlab_runs_on_schedules_only() -> None:
    (pipeline,) = documents("gitlab")
    (job,) = pipeline.values()
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    assert "SCRATCH_REFRESH_TOKEN" not in job.get("variables", {})
    push = [line for line in "\n".join(job["script"]).splitlines() if "TOKEN" in line]
    assert len(push) == 1
    assert "password=$SCRATCH_REFRESH_TOKEN" in push[0]


def test_kubernetes_has_no_rights() -> None:
    account, job = documents("kubernetes")
    assert (account["kind"], job["kind"]) == ("ServiceAccount", "CronJob")
    assert account["automountServiceAccountToken"] is False
    spec = job["spec"]
    assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Etc/UTC")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert pod["volumes"][-1]["secret"]["defaultMode"] == 0o440
    limit = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
    assert all(limit.fullmatch(each["metadata"]["name"]) for each in (account, job))


@pytest.mark.parametrize("place", [PLACE, ODD], ids=["plain", "odd"])
def test_cron_runs_the_line(place: Place, tmp_path: Path) -> None:
    root = tmp_path / place.root.rpartition("/")[2]
    root.mkdir()
    (tmp_path / "a b").mkdir()
    doit = tmp_path / "a b" / "doit"
    here = Place(root=str(root), doit=str(doit), name=place.name, tools=("/opt/50% go/bin", "/bin"))
    lines = [line for line in KINDS["cron"](here).splitlines() if not line.startswith("#")]
    assert lines[:-1] == ["SHELL=/bin/sh", "PATH=/opt/50% go/bin:/bin:/usr/local/bin:/usr/bin"]
    minute, hour, *stars, command = lines[-1].split(" ", 5)
    assert (int(minute), hour, stars) == (here.minute, "3", ["*", "*", "*"])
    # cron(8): an unescaped % ends the command; \% is a %.
    assert not re.search(r"(?<!\\)%", command)
    shell = command.replace("\\%", "%")
    for code, mail in ((0, b""), (10, b"news\nexit code 10\n"), (20, b"news\nexit code 20\n")):
        doit.write_text(
            f'#!/bin/sh\n[ "$PWD" = {_quoted(root)} ] || exit 99\n'
            f'[ "$*" = "refresh --build --push" ] && echo news\nexit {code}\n'
        )
        doit.chmod(0o755)
        done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (mail, b"")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


@pytest.mark.parametrize("name", ["shop", "50% off, it's mine"])
def test_systemd_accepts_the_units(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    (root / "bin").mkdir(parents=True)
    doit = root / "bin" / "doit"
    shutil.copy("/bin/true", doit)
    tools = (str(root / "bin"),)
    text = KINDS["systemd"](Place(root=str(root), doit=str(doit), name=name, tools=tools))
    units = re.split(r"^# /etc/systemd/system/(\S+)$\n", text, flags=re.MULTILINE)
    names = units[1::2]
    for unit, content in zip(names, units[2::2], strict=True):
        # The user is to be made by the reader.
        (tmp_path / unit).write_text(content.replace("User=scratch", "User=daemon"))
    assert [unit.rpartition(".")[2] for unit in names] == ["service", "timer"]
    argv: list[str | Path] = [
        "systemd-analyze",
        "verify",
        "--man=no",
        *(tmp_path / unit for unit in names),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "scratch" in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_lets_compilers_and_pip_write_their_caches() -> None:
    text = KINDS["systemd"](Place(root="/srv/shop", doit="/d", name="shop"))
    (folder,) = re.findall(r"^CacheDirectory=(.*)$", text, flags=re.MULTILINE)
    env = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, flags=re.MULTILINE))
    # All else is read-only, the user's home too.
    env |= {"HOME": "/home/scratch", "PATH": os.environ["PATH"], "GOENV": "off"}
    places = [env["CARGO_HOME"]]
    pip = [sys.executable, "-m", "pip", "cache", "dir"]
    for argv in (["go", "env", "GOCACHE", "GOMODCACHE"], pip):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        places += done.stdout.split()
    assert len(places) == 4
    assert [place for place in places if not place.startswith(f"/var/cache/{folder}/")] == []


def test_jobs_do_not_all_start_in_the_same_minute() -> None:
    minutes = {Place(root="/", doit="/d", name=f"team-{number}").minute for number in range(200)}
    assert minutes <= set(range(1, 60))
    assert len(minutes) > 40


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Shop_2", "shop-2"), ("日本", "scratch"), ("-a-", "a"), ("x" * 50, "x" * 40)],
)
def test_slugs(name: str, slug: str) -> None:
    assert Place(root="/", doit="/d", name=name).slug == slug
