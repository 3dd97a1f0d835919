"""Where credentials come from: docker's and podman's files, and helper programs."""

import base64
import json
import os
import pwd
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.registry.challenge import Challenge, parse_challenge
from scratchtasks.registry.credentials import NOBODY, Credentials, find_credentials
from scratchtasks.registry.keychain import ask_helper
from scratchtasks.registry.reference import parse_repository
from scratchtasks.registry.surroundings import tls_of

API = parse_repository("registry.example.com/team/api")


def _find(env: dict[str, str], name: str = "registry.example.com/team/api") -> Credentials:
    return find_credentials(
        parse_repository(name),
        env,
        lambda helper, server, origin: ask_helper(helper, server, origin, env, 1),
    )


def _auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def _config(folder: Path, value: object, name: str = "config.json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def _helper(folder: Path, name: str, script: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    "key",
    ["registry.example.com", "https://registry.example.com", "https://registry.example.com/v1/",
     "registry.example.com/v2/", "registry.example.com/team", "registry.example.com/team/api",
     "Registry.Example.com"],
)  # fmt: skip
def test_spellings_of_a_host(tmp_path: Path, key: str) -> None:
    _config(tmp_path, {"auths": {"example.com": _auth("a:b"), key: _auth("team:se:cret")}})
    found = _find({"DOCKER_CONFIG": str(tmp_path)})
    assert (found.username, found.password) == ("team", "se:cret")
    assert "cret" not in repr(found)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_base64_in_lines(tmp_path: Path, end: str) -> None:
    password = "secret" * 40  # as long as those of clouds are
    auth = base64.encodebytes(f"team:{password}".encode()).decode().replace("\n", end)
    _config(tmp_path, {"auths": {"registry.example.com": {"auth": auth}}})
    assert _find({"DOCKER_CONFIG": str(tmp_path)}).password == password


def test_the_longest_path_wins(tmp_path: Path) -> None:
    keys = ("registry.example.com", "registry.example.com/team", "registry.example.com/tea")
    _config(tmp_path, {"auths": {key: _auth(f"{key}:x") for key in keys}})
    env = {"DOCKER_CONFIG": str(tmp_path)}
    assert _find(env).username == "registry.example.com/team"
    assert _find(env, "registry.example.com/other/api").username == "registry.example.com"
    assert _find(env, "other.example.com/api") == NOBODY


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub(tmp_path: Path, key: str) -> None:
    _config(tmp_path, {"auths": {key: _auth("a:b")}})
    assert _find({"DOCKER_CONFIG": str(tmp_path)}, "team/api").username == "a"


def test_which_file_is_read(tmp_path: Path) -> None:
    def entry(user: str) -> dict[str, object]:
        return {"auths": {"registry.example.com": _auth(f"{user}:x")}}

    home, run, explicit = tmp_path / "home", tmp_path / "run", tmp_path / "a.json"
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(run)}
    assert _find(env) == NOBODY
    _config(home / ".config" / "containers", entry("config"), "auth.json")
    assert _find(env).username == "config"
    _config(run / "containers", entry("podman"), "auth.json")
    assert _find(env).username == "podman"
    _config(home / ".docker", entry("docker"))
    assert _find(env).username == "docker"
    _config(tmp_path / "own", entry("own"))
    env["DOCKER_CONFIG"] = str(tmp_path / "own")
    assert _find(env).username == "own"
    explicit.write_text(json.dumps(entry("explicit")))
    env["REGISTRY_AUTH_FILE"] = str(explicit)
    assert _find(env).username == "explicit"
    explicit.write_text("")
    assert _find(env).username == "own"


def test_what_a_variable_holds_comes_before_docker_s_file(tmp_path: Path) -> None:
    _config(tmp_path, {"auths": {"registry.example.com": _auth("file:x"), "b.com": _auth("b:x")}})
    held = json.dumps({"auths": {"registry.example.com": _auth("held:se:cret")}})
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": held}
    found = _find(env)
    assert (found.username, found.password) == ("held", "se:cret")
    assert found.origin == "DOCKER_AUTH_CONFIG"
    assert _find(env, "b.com/api").username == "b"
    for nothing in ("", "/builds/auth.json", "[]", '{"auths": {}}'):
        assert _find({**env, "DOCKER_AUTH_CONFIG": nothing}).username == "file"
    broken = '{"auths": {"registry.example.com": {"auth": "secret"}}}'
    with pytest.raises(SinkError) as error:
        _find({**env, "DOCKER_AUTH_CONFIG": broken})
    assert str(error.value) == (
        "DOCKER_AUTH_CONFIG: auths['registry.example.com'].auth: wanted base64 of user:password\n"
        "    hint: log in again, or repair it"
    )


@pytest.mark.parametrize("env", [{}, {"HOME": ""}])
def test_without_a_home_it_is_the_user_s_own_as_for_docker(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = SimpleNamespace(pw_dir=str(tmp_path))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)  # systemd's services have no HOME
    _config(tmp_path / ".docker", {"auths": {"registry.example.com": _auth("docker:x")}})
    assert _find(env).username == "docker"
    folder = tmp_path / ".config" / "containers" / "certs.d" / "registry.example.com"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_text("not one")
    with pytest.raises(SinkError, match=f"^{folder}/ca.crt: cannot be used as a certificate: "):
        tls_of("registry.example.com", env)


def test_without_a_runtime_folder_podman_has_one_by_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scratchtasks.registry.credentials._RUN", str(tmp_path / "run"))
    env = {"HOME": str(tmp_path)}  # as root's is in CI and in cron
    _config(tmp_path / "run" / str(os.getuid() + 1), "not ours", "auth.json")
    assert _find(env) == NOBODY
    own = tmp_path / "run" / str(os.getuid())
    _config(own, {"auths": {"registry.example.com": _auth("podman:x")}}, "auth.json")
    assert _find(env).username == "podman"
    assert _find(env | {"XDG_RUNTIME_DIR": str(tmp_path / "other")}) == NOBODY


def test_tokens(tmp_path: Path) -> None:
    entry = {"auth": "", "identitytoken": "refresh", "registrytoken": "access"}
    _config(tmp_path, {"auths": {"registry.example.com": entry}})
    found = _find({"DOCKER_CONFIG": str(tmp_path)})
    assert (found.identity_token, found.registry_token) == ("refresh", "access")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{\n secret", "{}: is not JSON (line 2)\n    hint: log in again, or repair it"),
        ("[" * 100_000, "{}: is not JSON\n    hint: log in again, or repair it"),
        ("[]", "{}: wanted a JSON object\n    hint: log in again, or repair it"),
        ({"auths": 1}, "{}: auths: wanted a JSON object"),
        ({"auths": {"registry.example.com": 1}},
         "{}: auths['registry.example.com']: wanted a JSON object"),
        ({"auths": {"registry.example.com": {"auth": "secret"}}},
         "{}: auths['registry.example.com'].auth: wanted base64 of user:password\n"
         "    hint: log in again, or repair it"),
        ({"auths": {"registry.example.com": {"password": 1}}},
         "{}: auths['registry.example.com'].password: wanted text"),
        ({"auths": {"registry.example.com": {"username": "a", "password": "secret\ud800"}}},
         "{}: auths['registry.example.com'].password: wanted text"),
        ({"auths": {"registry.example.com": {"registrytoken": "secret\n"}}},
         "{}: auths['registry.example.com'].registrytoken: wanted a token of printable ASCII "
         "without spaces\n    hint: log in again, or repair it"),
        ({"credsStore": "../evil"}, "{}: wanted the name of a credential helper, got '../evil'"),
        ({"credsStore": "absent"}, "{0}: the credential helper docker-credential-absent is not "
         "on PATH\n    hint: install it, or edit {0}"),
    ],
)  # fmt: skip
def test_damaged_files(tmp_path: Path, value: object, message: str) -> None:
    _config(tmp_path, value)
    with pytest.raises(SinkError) as error:
        _find({"DOCKER_CONFIG": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert str(error.value) == message.format(tmp_path / "config.json")


def test_a_store_is_asked_on_standard_input(tmp_path: Path) -> None:
    script = f"""cat >> {tmp_path}/asked; echo "$@" >> {tmp_path}/asked
echo '{{"ServerURL": "x", "Username": "team", "Secret": "from-store"}}'"""
    env = _helper(tmp_path / "bin", "store", script) | {"DOCKER_CONFIG": str(tmp_path)}
    _config(tmp_path, {"credsStore": "store", "auths": {"registry.example.com": {}}})
    assert _find(env).password == "from-store"
    assert (tmp_path / "asked").read_text() == "registry.example.com\nget\n"
    assert _find(env, "team/api").password == "from-store"
    assert "https://index.docker.io/v1/\n" in (tmp_path / "asked").read_text()


def test_a_helper_for_one_registry_may_give_an_identity_token(tmp_path: Path) -> None:
    env = _helper(tmp_path / "bin", "own", """echo '{"Username": "<token>", "Secret": "t0k"}'""")
    env["DOCKER_CONFIG"] = str(tmp_path)
    _config(tmp_path, {"credHelpers": {"registry.example.com": "own"}, "credsStore": "absent"})
    assert _find(env).identity_token == "t0k"


def test_a_helper_of_podman_s_is_asked_by_its_own_key(tmp_path: Path) -> None:
    script = """read server; [ "$server" = docker.io ] && echo '{"Username": "a", "Secret": "b"}' ||
        { echo 'credentials not found in native keychain'; exit 1; }"""
    env = _helper(tmp_path / "bin", "own", script)
    _config(tmp_path, {"credHelpers": {"docker.io": "own"}}, "auth.json")
    env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    assert _find(env, "docker.io/team/api").username == "a"


def test_a_store_without_credentials_leaves_the_file(tmp_path: Path) -> None:
    script = "echo 'credentials not found in native keychain'; exit 1"
    env = _helper(tmp_path / "bin", "store", script) | {"DOCKER_CONFIG": str(tmp_path)}
    auths = {"registry.example.com": _auth("a:b")}
    _config(tmp_path, {"credsStore": "store", "auths": auths})
    assert _find(env).username == "a"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "failed for registry.example.com with exit status 3"),
        ("echo keyring is locked; exit 1",
         "failed for registry.example.com with exit status 1: keyring is locked"),
        ("""echo '{"Secret": "shown?"}'; exit 1""",
         "failed for registry.example.com with exit status 1"),
        ("echo shown?", "wanted JSON with Username and Secret for registry.example.com, "
         "got something else"),
        (r"""printf '%s' '{"Username": "a", "Secret": "shown?\ud800"}'""",
         "wanted JSON with Username and Secret for registry.example.com, got something else"),
        ("yes", "wanted at most 1048576 bytes for registry.example.com"),
    ],
)  # fmt: skip
def test_helpers_that_fail(tmp_path: Path, script: str, said: str) -> None:
    env = _helper(tmp_path / "bin", "bad", script)
    with pytest.raises(SinkError) as error:
        ask_helper("bad", "registry.example.com", "config.json", env, 5)
    assert str(error.value) == f"docker-credential-bad get: {said}"


def test_a_helper_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    env = _helper(tmp_path / "bin", "slow", f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    start = time.monotonic()
    with pytest.raises(SinkError) as error:
        ask_helper("slow", "registry.example.com", "config.json", env, 0.3)
    assert str(error.value) == (
        "docker-credential-slow get: no answer for registry.example.com within 0.3 s"
    )
    assert time.monotonic() - start < 5
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):  # an orphan is reaped by whoever adopted it, a moment later
        if not os.path.exists(f"/proc/{child}") or _state(child) == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("the child still runs")


@pytest.mark.parametrize("script", ["sleep 60", "exec >&-; sleep 60"])
def test_a_helper_that_hangs_ends_with_the_push(tmp_path: Path, script: str) -> None:
    env = _helper(tmp_path / "bin", "slow", script)
    start = time.monotonic()

    def check() -> None:
        if time.monotonic() > start + 0.2:
            raise SinkError("push", "interrupted")

    with pytest.raises(SinkError, match=r"^push: interrupted$"):
        ask_helper("slow", "registry.example.com", "config.json", env, 60, check)
    assert time.monotonic() - start < 5


def test_a_helper_whose_child_keeps_its_output_open(tmp_path: Path) -> None:
    answer = """'{"Username": "team", "Secret": "s3cret"}'"""
    env = _helper(
        tmp_path / "bin", "own", f"setsid sleep 60 & echo $! > {tmp_path}/pid\necho {answer}"
    )
    start = time.monotonic()
    try:
        assert ask_helper("own", "registry.example.com", "config.json", env, 20) == (
            "team",
            "s3cret",
        )
        assert time.monotonic() - start < 5
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("ending", ["wait", "exec >&-; sleep 60"])
def test_a_helper_that_goes_on_and_on(tmp_path: Path, ending: str) -> None:
    script = f"(while echo -n x; do sleep 0.02; done) & {ending}"
    env = _helper(tmp_path / "bin", "slow", script)
    start = time.monotonic()
    with pytest.raises(SinkError, match=r"no answer for registry\.example\.com within 0\.3 s"):
        ask_helper("slow", "registry.example.com", "config.json", env, 0.3)
    assert time.monotonic() - start < 5


def test_a_registry_that_is_excepted_from_the_store(tmp_path: Path) -> None:
    _config(
        tmp_path,
        {
            "credsStore": "absent",
            "credHelpers": {"registry.example.com": ""},
            "auths": {"registry.example.com": _auth("a:b")},
        },
    )
    assert _find({"DOCKER_CONFIG": str(tmp_path), "PATH": "/nowhere"}).username == "a"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Basic realm="Registry"', Challenge("basic", "Registry")),
        ("basic", Challenge("basic")),
        ('Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"',
         Challenge("bearer", "https://a/t", "s")),
        ('Basic realm="x", Bearer realm="https://a/t" , service=s',
         Challenge("bearer", "https://a/t", "s")),
        ('Negotiate abc==, Basic realm="a \\"quoted\\" realm"',
         Challenge("basic", 'a "quoted" realm')),
        ('Bearer service="s"', None),
        ("", None),
        (",,;;\x00", None),
        ('Digest realm="x"', None),
    ],
)  # fmt: skip
def test_challenges(header: str, challenge: Challenge | None) -> None:
    assert parse_challenge(header) == challenge
