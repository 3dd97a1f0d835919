"""Programs of other architectures: which the kernel runs, and which qemu's user mode can."""

import os
from collections.abc import Mapping

from scratchtasks.core.platform import Platform, host_platform

from .trial import Unusable

_NATIVE = {"amd64": ("amd64", "386")}
_QEMU = {
    "amd64": "x86_64", "386": "i386", "arm64": "aarch64", "arm": "arm", "riscv64": "riscv64",
    "s390x": "s390x", "ppc64le": "ppc64le",
}  # fmt: skip
_BINFMT = "/proc/sys/fs/binfmt_misc"


def emulator_for(
    platform: Platform, env: Mapping[str, str], host: Platform | None = None, binfmt: str = _BINFMT
) -> str:
    """The static qemu that must run programs of *platform*, or "" where the kernel does it.

    The kernel does it for the architecture of *host*, and for those that are registered in the
    folder *binfmt* with flag F (fixed: qemu is opened outside, so an image need not hold it).

    Raises: Unusable when neither is there.
    """
    ours = (host or host_platform()).architecture
    if platform.architecture in _NATIVE.get(ours, (ours,)):
        return ""
    name = _QEMU.get(platform.architecture, platform.architecture)
    if _is_registered(f"{binfmt}/qemu-{name}"):
        return ""
    for folder in filter(None, env.get("PATH", "").split(":")):
        for program in (f"{folder}/qemu-{name}-static", f"{folder}/qemu-{name}"):
            if os.access(program, os.X_OK) and _is_static(program):
                return program
    raise Unusable(f"a {platform} image on {ours} needs a static qemu-{name}, which is not on PATH")


def _is_registered(path: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    flags = [line.partition(":")[2] for line in lines if line.startswith("flags:")]
    return lines[:1] == ["enabled"] and "F" in "".join(flags)


def _is_static(path: str) -> bool:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with open(path, "rb") as file:
            return all(part.header.p_type != "PT_INTERP" for part in ELFFile(file).iter_segments())
    except (OSError, ELFError):
        return False
