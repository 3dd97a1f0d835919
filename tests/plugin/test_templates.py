"""Templates in flags: what is replaced, what stays, and what is refused."""

import os
import subprocess
from pathlib import Path

import pytest

from scratchtasks.core.errors import ConfigError
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Image, Service, User
from scratchtasks.plugin.templates import Templates

IMAGE = Image(platforms=(Platform("linux", "amd64"),), user=User("a", 1, 1), entrypoint=("/x",))
API = Service(name="api", folder="s/api", binaries=(), image=IMAGE, origin="s/api/service.toml")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit, tagged v1.2."""
    for args in (
        ("init", "-q", "-b", "main"),
        ("commit", "-q", "--allow-empty", "-m", "first"),
        ("tag", "v1.2"),
    ):
        git(tmp_path, *args)
    return tmp_path


def git(folder: Path, *args: str) -> str:
    env = {
        **os.environ,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    done = subprocess.run(
        ["git", *args], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_git(repository: Path) -> None:
    templates = Templates(str(repository), dict(os.environ))
    sha = git(repository, "rev-parse", "HEAD")
    assert templates.expand("-X v={git.describe}", API) == "-X v=v1.2"
    assert templates.expand("{git.sha} {git.short}", API) == f"{sha} {sha[:12]}"
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    assert Templates(str(repository), dict(os.environ)).expand("{git.describe}", API) == (
        f"v1.2-1-g{git(repository, 'rev-parse', '--short', 'HEAD')}"
    )


def test_name_and_environment(tmp_path: Path) -> None:
    templates = Templates(str(tmp_path), {"STAGE": "{name}", "EMPTY": ""})
    assert templates.expand("{name}/{env.STAGE}/{env.EMPTY}.", API) == "api/{name}/."


@pytest.mark.parametrize("text", ["", "{}", "{other}", "${x}", "{{a}}", "{name", "%s", "{ name }"])
def test_other_braces_stay(text: str, tmp_path: Path) -> None:
    assert Templates(str(tmp_path), {}).expand(text, API) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{env.NONE}", "{env.NONE}: NONE is not set\n    hint: set it, or leave the template out"),
        (
            "{env.SHLVL}",
            "{env.SHLVL}: shells set SHLVL anew all the time\n"
            "    hint: put what you want of it into another variable",
        ),
        ("{git.shrt}", "unknown template {git.shrt}\n    hint: did you mean 'git.short'?"),
    ],
)
def test_refusals(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Templates(str(tmp_path), {"SHLVL": "1"}).expand(text, API)
    assert str(caught.value) == f"s/api/service.toml: {message}"


def test_bytes_that_are_not_utf_8_are_refused(repository: Path) -> None:
    git(repository, "tag", "-d", "v1.2")
    git(repository, "tag", "v\udce9")
    templates = Templates(str(repository), {**os.environ, "RAW": "\udce9"})
    for text in ("-X v={git.describe}", "{env.RAW}"):
        with pytest.raises(ConfigError) as caught:
            templates.expand(text, API)
        assert f"{text}: wanted UTF-8, got " in str(caught.value)
        assert str(caught.value).isascii()


def test_a_commit_that_is_watched_is_asked_for_after_the_look(repository: Path) -> None:
    known = {"rev-parse HEAD": "that of before"}
    templates = Templates(str(repository), dict(os.environ), known)
    assert templates.expand("{git.sha}", API) == git(repository, "rev-parse", "HEAD")


def test_outside_of_any_repository(tmp_path: Path) -> None:
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    with pytest.raises(ConfigError, match=r"^s/api/service\.toml: \{git\.sha\}: fatal: "):
        Templates(str(tmp_path), env).expand("{git.sha}", API)


@pytest.mark.parametrize("value", ["git.sha", "git.short", "git.describe"])
def test_before_the_first_commit(value: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(ConfigError, match=rf"\{{{value}\}}: fatal: .*\n    hint: commit first"):
        Templates(str(tmp_path), dict(os.environ)).expand(f"{{{value}}}", API)


def test_in_a_repository_of_another_user(repository: Path) -> None:
    env = {**os.environ, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    with pytest.raises(ConfigError) as caught:
        Templates(str(repository), env).expand("{git.describe}", API)
    assert str(caught.value) == (
        f"s/api/service.toml: {{git.describe}}: fatal: detected dubious ownership in repository at"
        f" '{repository}'\n    hint: git config --global --add safe.directory {repository}"
    )


def test_without_git(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Templates(str(tmp_path / "none"), {}).expand("{git.sha}", API)
    assert str(caught.value) == (
        "s/api/service.toml: {git.sha}: git cannot be run: No such file or directory"
    )
