"""The engine is found as the docker CLI finds it."""

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from scratchtasks.core.errors import SinkError
from scratchtasks.sinks.docker.endpoint import DEFAULT_HOST, TLS, Endpoint, endpoint, is_here
from tests.images.authority import write_authority


def _cli(folder: Path, *args: str, **env: str) -> str:
    """What the docker CLI prints with *folder* as its DOCKER_CONFIG."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    done = subprocess.run(
        ["docker", *args],
        env={**clean, "DOCKER_CONFIG": str(folder), **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A DOCKER_CONFIG with the contexts `far` (chosen), `near` and `secure`, made by the CLI."""
    write_authority(tmp_path)
    server = tmp_path / "server.pem"
    tls = f"ca={tmp_path}/ca.pem,cert={server},key={server}"
    _cli(tmp_path, "context", "create", "far", "--docker", "host=tcp://far.example.com:2375")
    _cli(tmp_path, "context", "create", "near", "--docker", "host=unix:///run/near.sock")
    secure = f"host=tcp://secure.example.com:2376,{tls}"
    _cli(tmp_path, "context", "create", "secure", "--docker", secure)
    careless = "host=tcp://careless.example.com:2376,skip-tls-verify=true"
    _cli(tmp_path, "context", "create", "careless", "--docker", careless)
    _cli(tmp_path, "context", "use", "far")
    return tmp_path


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"DOCKER_CONTEXT": "near"},
        {"DOCKER_CONTEXT": "default"},
        {"DOCKER_HOST": "tcp://given.example.com:1234"},
        {"DOCKER_HOST": "tcp://given.example.com:1234", "DOCKER_CONTEXT": "near"},
        *(
            {"DOCKER_HOST": host}
            for host in (
                "tcp://given.example.com",
                "given.example.com",
                "given.example.com:1",
                ":1",
                "tcp://",
                "tcp://[::1]:1",
                " unix:///run/near.sock ",
                "unix://",
                "ssh://me@given.example.com",
            )
        ),
    ],
)
def test_the_same_engine_as_the_cli(folder: Path, env: dict[str, str]) -> None:
    theirs = _cli(folder, "context", "inspect", "-f", "{{.Endpoints.docker.Host}}", **env)
    assert endpoint({"DOCKER_CONFIG": str(folder), **env}).host == theirs


def test_it_says_who_named_the_host(folder: Path) -> None:
    config = {"DOCKER_CONFIG": str(folder)}
    assert str(endpoint(config)) == "tcp://far.example.com:2375 (docker context 'far')"
    named = endpoint({**config, "DOCKER_HOST": "unix:///x"})
    assert str(named) == "unix:///x (from DOCKER_HOST)"
    assert str(endpoint({"HOME": "/nonexistent"})) == DEFAULT_HOST


@pytest.mark.parametrize("env", [{}, {"HOME": ""}])
def test_without_a_home_the_current_folder_has_no_say(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    repository = tmp_path_factory.mktemp("repository")
    (repository / ".docker").symlink_to(folder)
    monkeypatch.chdir(repository)
    assert endpoint(env) == endpoint({"HOME": pwd.getpwuid(os.getuid()).pw_dir})
    assert endpoint({"HOME": str(repository)}).host == "tcp://far.example.com:2375"


def test_tls_files_of_a_context(folder: Path) -> None:
    found = endpoint({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "secure"}).tls
    assert found is not None
    assert found.verify
    assert Path(found.ca).read_bytes() == (folder / "ca.pem").read_bytes()
    server = (folder / "server.pem").read_bytes()
    assert Path(found.cert).read_bytes() == Path(found.key).read_bytes() == server


def test_a_context_that_skips_verification(folder: Path) -> None:
    found = endpoint({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "careless"})
    assert found.tls == TLS("", "", "", verify=False)


def test_tls_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("ca")
    env = {"DOCKER_HOST": "tcp://x:2376", "DOCKER_CERT_PATH": str(tmp_path)}
    assert endpoint(env) == Endpoint("tcp://x:2376", "from DOCKER_HOST")
    verified = endpoint({**env, "DOCKER_TLS_VERIFY": "1"}).tls
    assert verified == TLS(f"{tmp_path}/ca.pem", "", "", verify=True)
    careless = endpoint({**env, "DOCKER_TLS": "1"}).tls
    assert careless == TLS(f"{tmp_path}/ca.pem", "", "", verify=False)


def _refusal(env: dict[str, str]) -> str:
    with pytest.raises(SinkError) as caught:
        endpoint(env)
    return str(caught.value)


def test_an_unknown_context(folder: Path) -> None:
    env = {"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "../far"}
    assert _refusal(env) == (
        "DOCKER_CONTEXT: there is no docker context '../far'\n    hint: see `docker context ls`"
    )
    (folder / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    assert _refusal({"DOCKER_CONFIG": str(folder)}) == (
        f"{folder}/config.json: there is no docker context 'gone'\n"
        "    hint: see `docker context ls`"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "{",
            "is not JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
        ),
        ("[]", "wanted a JSON object, got list"),
        ("[" * 100_000, "is not JSON: nested too deeply"),
        ('{"currentContext": 7}', "currentContext: wanted the name of a context, got 7"),
        (
            "\udc80",
            "is not JSON: 'utf-8' codec can't decode byte 0x80 in position 0: invalid start byte",
        ),
    ],
)
def test_a_config_that_is_damaged(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert _refusal({"DOCKER_CONFIG": str(tmp_path)}) == f"{tmp_path}/config.json: {what}"


def test_a_config_that_chooses_no_context(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": null}')
    assert endpoint({"DOCKER_CONFIG": str(tmp_path)}).host == DEFAULT_HOST


@pytest.mark.parametrize("text", ["{}", '{"Endpoints": []}', '{"Endpoints": {"docker": {}}}'])
def test_a_context_without_a_host(folder: Path, text: str) -> None:
    (path,) = (
        path
        for path in folder.glob("contexts/meta/*/meta.json")
        if json.loads(path.read_bytes())["Name"] == "near"
    )
    path.write_text(text)
    assert _refusal({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "near"}) == (
        f"{path}: docker context 'near' names no host (Endpoints.docker.Host)"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http+docker://localhost", True),
        ("http://localhost:2375", True),
        ("https://127.0.0.1:2376", True),
        ("http://[::1]:2375", True),
        ("http+docker://ssh", False),
        ("https://localhost.example.com:2376", False),
        ("http://10.127.0.0.1.example.com:2375", False),
    ],
)
def test_what_is_on_this_machine(url: str, expected: bool) -> None:
    assert is_here(url) is expected
