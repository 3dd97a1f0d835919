"""What cargo gets of the user's environment: much to fetch crates, next to nothing to compile.

A build script may read any variable, and `option_env!` too, and what they see is in the binary.
So what compiles gets no variable of the user's but those that say where programs are; of these,
crates that declare to depend on one have it in their record (`declared.py`).  What a binary is to
be told, its `env` says, or `[env]` in .cargo/config.toml; both are part of the key.
"""

import os
from collections.abc import Mapping

from scratchtasks.core.home import home_of
from scratchtasks.store.atomic import make_folder

from ..operation import World

_TO_FETCH = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "CARGO_HOME", "NETRC"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK", "SSH_ASKPASS"),
        # For `net.git-fetch-with-cli`.
        *("GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_PROXY_COMMAND"),
        *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_NO_VERIFY"),
        "GIT_TERMINAL_PROMPT",
    )
)
_TO_FETCH_ANY_CASE = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"))
_TO_FETCH_PREFIXES = (
    *("RUSTUP_", "GIT_CONFIG_", "CARGO_NET_", "CARGO_HTTP_"),
    *("CARGO_REGISTRY_", "CARGO_REGISTRIES_", "CARGO_CREDENTIAL_"),
)

# A missing toolchain is an error to be told, not a download of 300 MB.
_NO_DOWNLOAD = {"RUSTUP_AUTO_INSTALL": "0"}


def fetching_env(world: World) -> dict[str, str]:
    """For calls that fetch and compile nothing: all of the user's that may be needed for it."""
    env = {
        name: value
        for name, value in world.env.items()
        if name in _TO_FETCH
        or name.upper() in _TO_FETCH_ANY_CASE
        or name.startswith(_TO_FETCH_PREFIXES)
    }
    return {**env, "HOME": home_of(world.env), **_NO_DOWNLOAD}


def places_env(world: World) -> dict[str, str]:
    """The variables of the user's that compilation sees: where programs and crates are."""
    return {
        "PATH": world.env.get("PATH", os.defpath),
        "CARGO_HOME": cargo_home(world),
        "RUSTUP_HOME": rustup_home(world),
    }


def compiling_env(world: World) -> dict[str, str]:
    """For calls that compile, and fetch nothing.

    HOME is a folder of ours: programs that build scripts start keep their caches there, and none
    of the user's own settings reaches a binary.
    """
    own = {"HOME": own_home(world), "TMPDIR": os.path.join(world.scratch, "tmp")}
    for folder in own.values():
        make_folder(folder)
    return {**places_env(world), **own, **_NO_DOWNLOAD}


def given_env(env: Mapping[str, str]) -> dict[str, str]:
    """The variables *env* of a binary, and their names for the scripts that hide them.

    See `wrappers.py`.
    """
    return {**env, "SCRATCH_ENV": " ".join(sorted(env))} if env else {}


def color_flags(world: World) -> list[str]:
    """Whether cargo's messages are to be coloured, said so that no build script sees it."""
    color = world.env.get("CARGO_TERM_COLOR", "")
    return ["--color", color] if color in ("always", "never", "auto") else []


def own_home(world: World) -> str:
    """The HOME of what compiles."""
    return os.path.join(world.scratch, "home")


def cargo_home(world: World) -> str:
    """The absolute folder of cargo's downloads and the user's configuration."""
    return os.path.abspath(
        world.env.get("CARGO_HOME") or os.path.join(home_of(world.env), ".cargo")
    )


def rustup_home(world: World) -> str:
    """The folder of rustup's toolchains and settings."""
    return world.env.get("RUSTUP_HOME") or os.path.join(home_of(world.env), ".rustup")
