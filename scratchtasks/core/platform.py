"""Platforms as OCI writes them: `linux/amd64`, `linux/arm64`, `linux/arm/v7`.

Source: OCI image-spec v1.1, image-index.md#platform-variants, which takes Go's GOOS and GOARCH.
"""

from os import uname

from .errors import ConfigError, did_you_mean
from .frozen import dataclass

KNOWN = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/386",
    "linux/riscv64",
    "linux/s390x",
    "linux/ppc64le",
)

_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm/v7",
    "i686": "386",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """`os/architecture[/variant]`; only linux can be FROM scratch."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse_platform(text: str, where: str = "platform") -> Platform:
    """*text* as a Platform; `linux/arm64/v8` is `linux/arm64`.

    Raises: ConfigError for anything not in KNOWN.
    """
    plain = "linux/arm64" if text == "linux/arm64/v8" else text
    if plain not in KNOWN:
        raise ConfigError(where, f"unknown platform {text!r}", did_you_mean(text, KNOWN))
    return Platform(*plain.split("/"))


def host_platform() -> Platform:
    """linux on this machine's architecture, the default of every image."""
    machine = uname().machine
    return parse_platform("linux/" + _MACHINES.get(machine, machine))
