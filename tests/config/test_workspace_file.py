"""scratch.toml and [tool.scratchtasks]."""

import pytest

from scratchtasks.config.workspace import WorkspaceConfig, WorkspaceDefaults, parse_workspace
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Declared, User

TEXT = """
[image]
labels = { "org.opencontainers.image.vendor" = "Example" }
user = "app:1001"
platforms = ["linux/amd64"]
essentials = ["tmp", "certs"]
env = { TZ = "UTC" }
[refresh]
certifi = "latest"
tzdata  = ">=2025"
cooldown_days = 3
[cache]
limit = "2GiB"
[push]
plain_http = ["registry.local:5000"]
"""

CONFIG = WorkspaceConfig(
    defaults=WorkspaceDefaults(
        labels={"org.opencontainers.image.vendor": "Example"},
        user=User("app", 1001, 1001),
        platforms=(Platform("linux", "amd64"),),
        essentials=("certs", "tmp"),
        env={"TZ": "UTC"},
    ),
    refresh={"certifi": "latest", "tzdata": ">=2025", "cooldown_days": 3},
    cache_limit=2 * 1024**3,
    plain_http=("registry.local:5000",),
)


def test_every_key_is_read() -> None:
    assert parse_workspace(TEXT, "scratch.toml") == CONFIG


def test_the_same_tables_stand_in_pyproject() -> None:
    inside = TEXT.replace("[image]", "[tool.scratchtasks.image]")
    inside = inside.replace("[refresh]", "[tool.scratchtasks.refresh]")
    inside = inside.replace("[cache]", "[tool.scratchtasks.cache]")
    inside = inside.replace("[push]", "[tool.scratchtasks.push]")
    text = "[project]\nname = 'x'\n[tool.ruff]\n" + inside
    assert parse_workspace(text, "pyproject.toml", ("tool", "scratchtasks")) == CONFIG


@pytest.mark.parametrize("text", ["", "[tool.ruff]", "tool = 1", "[image]\n[cache]"])
def test_what_is_not_said_is_default(text: str) -> None:
    path = () if text.startswith("[image]") else ("tool", "scratchtasks")
    config = parse_workspace(text, "pyproject.toml", path)
    assert config == WorkspaceConfig()
    assert config.cache_limit == Declared(services=()).cache_limit


def test_all_faults_are_told_with_their_path() -> None:
    text = """
        [tool.scratchtasks]
        images = 1
        image = { usr = "a:1", platforms = "linux/amd64", labels = { a = 1 } }
        [tool.scratchtasks.refresh]
        certify = "latest"
        tzdata = ">=2025,"
        cooldown_days = true
        [tool.scratchtasks.cache]
        limit = "0B"
        [tool.scratchtasks.load]
        engine = "kind:"
        [tool.scratchtasks.push]
        plain_http = ["https://registry.example.com", "registry.local:5000"]
    """
    with pytest.raises(ConfigErrors) as caught:
        parse_workspace(text, "pyproject.toml", ("tool", "scratchtasks"))
    assert str(caught.value).splitlines() == [
        "pyproject.toml: unknown key 'tool.scratchtasks.images'",
        "    hint: did you mean 'image'?",
        "pyproject.toml: unknown key 'tool.scratchtasks.image.usr'",
        "    hint: did you mean 'user'?",
        "pyproject.toml: tool.scratchtasks.image.platforms: wanted an array of platforms "
        "(linux/amd64, linux/arm64, linux/arm/v7, linux/386, linux/riscv64, linux/s390x, "
        'linux/ppc64le), got the string "linux/amd64"',
        '    hint: write ["linux/amd64"]',
        "pyproject.toml: tool.scratchtasks.image.labels.a: wanted a string, got the integer 1",
        "    hint: put it in quotes",
        "pyproject.toml: unknown key 'tool.scratchtasks.refresh.certify'",
        "    hint: did you mean 'certifi'?",
        'pyproject.toml: tool.scratchtasks.refresh.tzdata: wanted "latest", "pinned", a version, '
        'or a range such as ">=2025", got the string ">=2025,"',
        "pyproject.toml: tool.scratchtasks.refresh.cooldown_days: wanted an integer from 0 to 365, "
        "got the boolean true",
        'pyproject.toml: tool.scratchtasks.cache.limit: wanted a size such as "20MiB" or "500kB", '
        'got the string "0B"',
        'pyproject.toml: tool.scratchtasks.load.engine: wanted "docker", "podman" or '
        '"kind:CLUSTER", got the string "kind:"',
        "pyproject.toml: tool.scratchtasks.push.plain_http[0]: wanted a registry such as "
        '"registry.example.com:5000", got the string "https://registry.example.com"',
    ]


@pytest.mark.parametrize(
    "policy", ["latest", "pinned", "2026.6", "2026.*", ">=2025", ">= 2025, <2027", "==2026.*"]
)
def test_policies_are_kept_as_written(policy: str) -> None:
    config = parse_workspace(f'[refresh]\ntzdata = "{policy}"', "scratch.toml")
    assert config.refresh == {"tzdata": policy}


@pytest.mark.parametrize("engine", ["docker", "podman", "kind", "kind:dev", "kind:team-a.1"])
def test_engines(engine: str) -> None:
    assert parse_workspace(f'[load]\nengine = "{engine}"', "scratch.toml").engine == engine
    assert parse_workspace("", "scratch.toml").engine == "docker"


def test_pins_of_other_sources_follow_or_stay() -> None:
    text = '[refresh]\n"image:alpine:3" = "pinned"\n"debian:ca-certificates" = "latest"\ngo = "1.*"'
    assert parse_workspace(text, "scratch.toml").refresh == {
        "image:alpine:3": "pinned",
        "debian:ca-certificates": "latest",
        "go": "1.*",
    }
    wrong = '[refresh]\n"image:alpine:3" = ">=3"\n"images:x" = 1\nzig = 1'
    with pytest.raises(ConfigErrors) as caught:
        parse_workspace(wrong, "scratch.toml")
    assert str(caught.value).splitlines() == [
        "scratch.toml: unknown key 'refresh.\"images:x\"'",
        "    hint: known: certifi, cooldown_days, go, tzdata, warn_days, zig",
        'scratch.toml: refresh.zig: wanted "latest", "pinned", a version, or a range such as '
        '">=2025", got the integer 1',
        'scratch.toml: refresh."image:alpine:3": unknown policy ">=3"',
        "    hint: known: latest, pinned",
    ]
