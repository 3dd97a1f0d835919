"""Names of images, by the distribution's grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.config.names import REGISTRY, REPOSITORY
from scratchtasks.config.spot import Spot
from scratchtasks.core.errors import ConfigError, SinkError
from scratchtasks.registry.reference import (
    Repository,
    check_tag,
    is_loopback,
    parse_reference,
    parse_repository,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("registry.example.com/team/api", "registry.example.com", "team/api", "", None),
        ("registry.example.com:5000/api:1.2", "registry.example.com:5000", "api", "1.2", None),
        (f"localhost/api@{DIGEST}", "localhost", "api", "", DIGEST),
        (f"[::1]:5000/api:1@{DIGEST}", "[::1]:5000", "api", "1", DIGEST),
        ("Registry.Example.com/api", "registry.example.com", "api", "", None),
        ("api", "docker.io", "library/api", "", None),
        ("api:latest", "docker.io", "library/api", "latest", None),
        ("team/api", "docker.io", "team/api", "", None),
        ("docker.io/api", "docker.io", "library/api", "", None),
        ("index.docker.io/team/api", "docker.io", "team/api", "", None),
        ("registry-1.docker.io/team/api", "docker.io", "team/api", "", None),
        ("example.com/a.b/c__d/e-f/g---h", "example.com", "a.b/c__d/e-f/g---h", "", None),
    ],
)
def test_references(text: str, host: str, path: str, tag: str, digest: str | None) -> None:
    reference = parse_reference(text)
    assert reference.repository == Repository(host, path)
    assert (reference.tag, reference.digest) == (tag, digest)


def test_docker_hub_is_asked_under_another_name() -> None:
    assert parse_repository("team/api").api_host == "registry-1.docker.io"
    assert str(parse_repository("index.docker.io/api")) == "docker.io/library/api"
    assert parse_repository("example.com/api").api_host == "example.com"


_RULE = (
    "wanted a repository path of lower case letters and digits, separated by "
    "'/', '.', '_', '__' or '-', got "
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("example.com/Team/api", f"x: {_RULE}'example.com/Team/api'\n"
         "    hint: did you mean 'example.com/team/api'?"),
        ("Team/api", f"x: {_RULE}'Team/api'\n    hint: did you mean 'team/api'?"),
        ("example.com/", f"x: {_RULE}'example.com/'"),
        ("example.com/a//b", f"x: {_RULE}'example.com/a//b'"),
        ("example.com/../api", f"x: {_RULE}'example.com/../api'"),
        ("https://example.com/api", "x: wanted host[:port]/path, got the host 'https:' in "
         "'https://example.com/api'\n    hint: leave the scheme out"),
        ("", f"x: {_RULE}''"),
        ("exa mple.com/api", "x: wanted host[:port]/path, got the host 'exa mple.com' in "
         "'exa mple.com/api'"),
        ("example.com:99999/api", "x: wanted host[:port]/path, got the host "
         "'example.com:99999' in 'example.com:99999/api'"),
        ("example.com/api:1.2", "x: wanted a repository without tag and digest, got "
         "'example.com/api:1.2'\n    hint: tags are given by push.tags"),
        ("example.com/api@sha256:1", "x: wanted sha256:<64 hex digits>, got 'sha256:1' in "
         "'example.com/api@sha256:1'"),
        ("example.com/" + "a" * 300, "x: wanted at most 255 characters, got 312"),
    ],
)  # fmt: skip
def test_malformed_repositories(text: str, message: str) -> None:
    with pytest.raises(SinkError) as error:
        parse_repository(text, "x")
    assert str(error.value) == message


@pytest.mark.parametrize("tag", ["", ".1", "-1", "a" * 129, "a/b", "a b", "1.2\n"])
def test_malformed_tags(tag: str) -> None:
    with pytest.raises(SinkError) as error:
        check_tag(tag)
    assert str(error.value) == (
        "push.tags: wanted a tag (letters, digits, '_', '.', '-', at most 128, not starting "
        f"with '.' or '-'), got {tag!r}"
    )


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1",
                                  "[::1]", "[::1]:5000"])  # fmt: skip
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "10.0.0.1:5000",
                                  "127.0.0.1.example.com", "registry.local"])  # fmt: skip
def test_elsewhere(host: str) -> None:
    assert not is_loopback(host)


@given(st.text(alphabet="abAB01.-_/:@[] é\n\0", max_size=40))
def test_what_is_accepted_reads_the_same_again(text: str) -> None:
    try:
        reference = parse_reference(text)
    except SinkError:
        return
    assert parse_reference(str(reference)) == reference


@given(st.text("aA0-.", max_size=5), st.text(":19", max_size=7), st.text("a0._-/", max_size=9))
def test_what_a_configuration_may_name_can_be_pushed_to(host: str, port: str, path: str) -> None:
    text = f"r.example{host}{port}/{path}a"
    try:
        REPOSITORY.read(text, Spot("service.toml"))
    except ConfigError:
        return
    parse_repository(text)


@pytest.mark.parametrize("host", ["r.example:5000", "10.0.0.7:5000", "[fd00::7]:5000"])
def test_any_host_may_be_spoken_to_over_plain_http(host: str) -> None:
    assert REGISTRY.read(host, Spot("scratch.toml")) == parse_repository(f"{host}/api").host


@pytest.mark.parametrize("host", ["r.example:0", "r.example:65536", "r-.example", "r.example:"])
def test_hosts_that_a_configuration_may_not_name(host: str) -> None:
    with pytest.raises(ConfigError, match=r'wanted "registry\.example\.com/path"'):
        REPOSITORY.read(f"{host}/api", Spot("service.toml"))
    with pytest.raises(SinkError):
        parse_repository(f"{host}/api")
