"""One image, one definition, each way to try it: the verdicts must be the same."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.core.target import User
from scratchtasks.core.tree import FileEntry
from scratchtasks.sinks.docker import connect
from scratchtasks.sinks.smoke.leftovers import own_labels
from scratchtasks.sinks.smoke.verdict import Way
from tests.sinks.docker.conftest import HOSTS

from .images import Bench

WHERE = "//services/api:image: smoke"
LABELS = own_labels().items()


def processes_with(word: str) -> list[str]:
    """The command lines on this machine that hold *word*."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if word in line and int(pid) != os.getpid():
            found.append(line)
    return found


def test_a_verdict_is_remembered_for_the_same_bytes_and_definition_only(
    bench: Bench, way: Way
) -> None:
    image = bench.image()
    first = bench.smoke(image, way, "say", "api 1.2", stdout=r"^api 1\.")
    assert (first.passed, first.how, first.cached) == (True, way, False)
    again = bench.smoke(image, way, "say", "api 1.2", stdout=r"^api 1\.")
    assert (again.passed, again.how, again.cached) == (True, way, True)
    assert again.seconds == first.seconds > 0
    with pytest.raises(SinkError, match="stdout: wanted a match of"):
        bench.smoke(image, way, "say", "api 1.2", stdout=r"^api 2\.")


def test_the_users_proxy_is_not_the_program_s(
    bench: Bench, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(
        '{"proxies": {"default": {"httpProxy": "http://me:s3cret@proxy.internal:3128"}}}'
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))  # the SDK's own reading
    bench.smoke(bench.image(), way, "env", "http_proxy", "env", "HTTP_PROXY",
                stdout=r"^http_proxy=\nHTTP_PROXY=\n$")  # fmt: skip


def test_a_program_without_end_does_not_take_the_machine_with_it(bench: Bench, way: Way) -> None:
    """A bound to its processes, in a container by its control group; where memory is short, it goes
    before all else."""
    places = ["/proc/self/limits", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]
    bound = r'pids.max: "8192\\n" fine' if way == "docker" else r"Max processes +8192 +8192 "
    args = [word for place in places for word in ("cat", place)]
    args += ["cat", "/proc/self/oom_score_adj"]
    wanted = rf'(?s){bound}.*oom_score_adj: "1000\\n" fine'
    bench.smoke(bench.image(), way, *args, stdout=wanted)


def test_the_program_finds_what_it_finds_in_production(bench: Bench, way: Way) -> None:
    """User, home, folders, rights and hosts, in one trial; Docker is the measure."""
    own: dict[str, Any] = {"uid": 1001, "gid": 1001}
    image = bench.image(
        [FileEntry(path="var/lib/api", kind="dir", mode=0o700, **own)],
        env={"TZ": "Europe/Paris", "LEVEL": "1"},
        workdir="/var/lib/api",
        volumes=("/var/cache/api",),
        cmd=("exit", "9"),
    )
    args = ["who", "", "env", "HOME", "env", "TZ", "env", "LEVEL", "env", "PATH"]
    for name in ("db.internal", "localhost-x.internal", "ip6-gw.corp", "localhost"):
        args += ["names", name]
    args += ["mode", "/tmp", "mode", "/home/app"]
    for path in (
        "/tmp/new",
        "new",
        "/home/app/new",
        "/etc/new",
        "/etc/hosts",
        "/var/cache/api/new",
    ):
        args += ["write", path]
    args += ["cat", "/etc/secret", "cat", "/etc/app.toml", "write", "/dev/null", "exit", "5"]
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, way, *args, env={"LEVEL": "2"}, exit_code=6)
    assert str(caught.value) == f"{WHERE}: exit code: wanted 6, got 5"
    # Loopback has one address or two: Docker gives a container without network no IPv6.
    said = bench.said.replace("[::1 127.0.0.1]", "[127.0.0.1]").replace(
        "127.0.0.1 ::1", "127.0.0.1"
    )
    assert said == (
        f"{WHERE}: stdout:\n"
        "pid 1 uid 1001 gid 1001 in /var/lib/api\n"
        "HOME=/home/app\n"
        "TZ=Europe/Paris\n"
        "LEVEL=2\n"
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        "db.internal is [10.0.0.7] <nil>\n"
        "localhost-x.internal is [10.0.0.8] <nil>\n"
        "ip6-gw.corp is [fd00::9] <nil>\n"
        "localhost is [127.0.0.1] <nil>\n"
        "mode /tmp: 1777\n"
        "mode /home/app: 700\n"
        "write /tmp/new: fine\n"
        "write new: fine\n"
        "write /home/app/new: fine\n"
        "write /etc/new: permission denied\n"
        "write /etc/hosts: permission denied\n"
        "write /var/cache/api/new: permission denied\n"
        '/etc/secret: "" permission denied\n'
        '/etc/app.toml: "mine" fine\n'
        "write /dev/null: fine\n"
    )


def test_root_may_do_all_and_a_read_only_root_nothing_but_volumes(bench: Bench, way: Way) -> None:
    image = bench.image(user=User("root", 0, 0), volumes=("/data",))
    bench.smoke(
        image, way, "who", "", "write", "/etc/secret", "write", "/new", "env", "HOME",
        stdout=r"^pid 1 uid 0 gid 0 in /\nwrite /etc/secret: fine\nwrite /new: fine\nHOME=/root\n$",
    )  # fmt: skip
    refused = "read-only file system"
    bench.smoke(
        image, way, "write", "/etc/new", "write", "/tmp/new", "write", "/data/new",
        read_only=True,
        stdout=rf"^write /etc/new: {refused}\nwrite /tmp/new: {refused}\nwrite /data/new: fine\n$",
    )  # fmt: skip


def test_every_fault_is_named_and_the_output_shown_once_and_bounded(bench: Bench, way: Way) -> None:
    image = bench.image()
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, way, "flood", "3000000", "warn", "why", "exit", "2",
                    stdout="^start", stderr="how")  # fmt: skip
    assert str(caught.value) == (
        f"{WHERE}: exit code: wanted 0, got 2; "
        "stdout: wanted a match of '^start', got 1048576 bytes without one; "
        "stderr: wanted a match of 'how', got 'why\\n'"
    )
    assert bench.said == (
        f"{WHERE}: stdout, the last 4096 bytes:\n" + "x" * 4092 + "end\n"
        f"{WHERE}: stderr:\nwhy\n"
    )  # fmt: skip


@pytest.mark.parametrize("way", HOSTS, indirect=True)
def test_an_engine_keeps_no_more_of_the_output_than_is_looked_at(bench: Bench, way: Way) -> None:
    client = connect(bench.env)
    with ThreadPoolExecutor() as pool:
        trial = pool.submit(bench.smoke, bench.image(), way, "say", "here", "sleep", "2s")
        found: list[Mapping[str, Any]] = []
        while not found and not trial.done():
            found = client.api.containers(filters={"label": [f"{k}={v}" for k, v in LABELS]})
        options = client.api.inspect_container(found[0]["Id"])["HostConfig"]["LogConfig"]
        assert trial.result().passed
    client.close()
    wanted = {"max-size": "64m", "max-file": "2"}
    assert options == {"Type": "json-file", "Config": wanted}


@pytest.mark.parametrize(
    ("meant", "hint"),
    [
        ("/usr/bin/apj", "did you mean '/usr/bin/api'?"),
        ("/nothing/of/the/kind.exe", "known: /usr/bin/api, /usr/bin/other"),
    ],
)
def test_a_program_that_is_not_there(bench: Bench, way: Way, meant: str, hint: str) -> None:
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), way, command=(meant,))
    reason = f"{meant} cannot be started: no such file or directory\n    hint: {hint}"
    assert (str(caught.value), bench.said) == (f"{WHERE}: {reason}", "")


def test_a_program_that_is_there_and_no_program(bench: Bench, way: Way) -> None:
    image = bench.image([bench.file("etc/notes", b"text")])
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, way, command=("/etc/notes",))
    reason = "/etc/notes cannot be started: permission denied"
    assert str(caught.value) == f"{WHERE}: {reason}"


def test_a_program_without_its_folder(bench: Bench) -> None:
    image = bench.image([bench.file("opt/tool", b"#!", mode=0o755)])
    with pytest.raises(SinkError) as caught:
        bench.smoke(image, "unshare", command=("tool",))
    assert str(caught.value).endswith("\n    hint: did you mean '/opt/tool'?")


def test_a_probe_waits_until_the_service_is_ready(bench: Bench, way: Way) -> None:
    """Also on a port below 1024, which Docker lets everybody have."""
    image = bench.image(cmd=("sleep", "100ms", "serve", ":80,503,503,204"))
    probe = {"http_path": "/health?full=1", "http_port": 80, "http_status": 204}
    verdict = bench.smoke(image, way, stdout=r"answered 204 to GET /health\?full=1 ", **probe)
    assert verdict.how == way


def test_a_probe_says_what_was_answered_instead(bench: Bench, way: Way) -> None:
    image = bench.image(ports=("8080/tcp",))
    probe = {"http_path": "/", "http_port": 8080, "timeout_seconds": 1}
    faults = []
    for args in (["serve", ":8080,503"], ["exit", "3"]):
        with pytest.raises(SinkError) as caught:
            bench.smoke(image, way, *args, **probe)
        faults.append(caught.value.what)
    wanted = "GET :8080/: wanted status 200"
    assert faults == [
        f"{wanted} within 1 s, got 503",
        f"{wanted}, the program ended with exit code 3",
    ]


def test_a_server_on_loopback_only_is_not_reached(bench: Bench, way: Way) -> None:
    probe = {"http_path": "/", "http_port": 8080, "timeout_seconds": 2}
    with pytest.raises(SinkError, match="GET :8080/: wanted status 200 within 2 s, got "):
        bench.smoke(bench.image(), way, "serve", "127.0.0.1:8080,200", **probe)


def test_a_probe_says_that_nothing_is_answered_however_short_the_time_is(
    bench: Bench, way: Way
) -> None:
    # So long that it listens by then on a busy machine too: before, Docker's proxy drops who asks.
    probe = {"http_path": "/", "http_port": 8080, "timeout_seconds": 5}
    words = ("sleep", "200ms", "listen", ":8080", "sleep", "60s")
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), way, *words, **probe)
    assert caught.value.what == "GET :8080/: wanted status 200 within 5 s, got timed out"


def test_a_timeout_ends_the_program_and_all_that_it_started(bench: Bench, way: Way) -> None:
    token = f"{os.getpid()}000s"
    with pytest.raises(SinkError) as caught:
        bench.smoke(bench.image(), way, "fork", token, "sleep", token, timeout_seconds=1)
    assert str(caught.value) == f"{WHERE}: still running after 1 s"
    assert "child here" in bench.said
    assert processes_with(token) == []


def test_a_child_left_behind_ends_with_the_program(bench: Bench, way: Way) -> None:
    token = f"{os.getpid()}001s"
    assert bench.smoke(bench.image(), way, "fork", token, "sleep", "100ms").passed
    assert processes_with(token) == []
