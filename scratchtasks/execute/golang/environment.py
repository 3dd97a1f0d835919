"""The environment of every go command: what decides bytes is ours, what fetches is the user's.

`go env -w` keeps settings in a file.  It is read here and switched off for Go (GOENV=off), so
that a flag in it cannot change a binary; proxies, private modules and caches are passed on.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scratchtasks.core.platform import Platform

from ..process import without_passwords

if TYPE_CHECKING:
    from ..operation import World

_RESPECTED = (
    "GOAUTH",
    "GOCACHE",
    "GOCACHEPROG",
    "GOINSECURE",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOVCS",
)
"""Where modules come from and where Go keeps things; go.sum holds their bytes to account."""

_HARMLESS = ("GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTMPDIR")

_C_TOOLS = frozenset({"AR", "CC", "CXX", "FC", "GCCGO", "PKG_CONFIG"})

_FIXED = {
    "CGO_ENABLED": "0",
    "GO386": "sse2",
    "GOAMD64": "v1",
    "GOARM64": "v8.0",
    "GOENV": "off",
    "GOEXPERIMENT": "",
    "GOFIPS140": "off",
    "GOPPC64": "power8",
    "GORISCV64": "rva20u64",
    "GOTOOLCHAIN": "local",
}


def go_env(
    env: Mapping[str, str], platform: Platform, mod: str, work: str, cwd: str
) -> dict[str, str]:
    """The whole environment for a go command in folder *cwd* (absolute).

    *env* is the user's; *mod* is `readonly` or `vendor`; *work* the absolute go.work, or `off`.
    """
    saved = _saved_settings(env)
    respected = {name: env.get(name) or saved.get(name, "") for name in _RESPECTED}
    return {
        **{name: value for name, value in env.items() if not _is_for_go(name)},
        **{name: value for name, value in respected.items() if value},
        **_FIXED,
        "GOOS": platform.os,
        "GOARCH": platform.architecture,
        "GOARM": platform.variant.removeprefix("v") or "7",
        "GOFLAGS": f"-mod={mod}",
        "GOWORK": work,
        # Go takes PWD for the name of its folder when it is one: symlinks are kept as they are.
        "PWD": cwd,
    }


def fit_to_show(said: bytes, world: "World") -> bytes:
    """What a go command *said*, without the passwords of proxies: Go hides those of sound URLs."""
    saved = _saved_settings(world.env)
    return without_passwords(said, world.env.get("GOPROXY") or saved.get("GOPROXY", ""))


def _is_for_go(name: str) -> bool:
    if name in _HARMLESS or name.startswith("GOOGLE"):
        return False
    return name.startswith(("GO", "CGO_")) or name in _C_TOOLS


def _saved_settings(env: Mapping[str, str]) -> dict[str, str]:
    """What `go env -w` has written.  Source: Go, cmd/go/internal/cfg, readEnvFile."""
    config = env.get("XDG_CONFIG_HOME") or (env["HOME"] + "/.config" if env.get("HOME") else "")
    path = env.get("GOENV") or (config and config + "/go/env")
    if path in ("", "off"):
        return {}
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "A" <= line[:1] <= "Z" and "=" in line)
    return {name: value.rstrip("\r") for name, _, value in pairs}
