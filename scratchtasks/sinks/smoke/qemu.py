"""Programs of other architectures: which the kernel runs, and which qemu's user mode can."""

import os
from collections.abc import Mapping

from scratchtasks.core.platform import Platform, host_platform

from ..kernel import BINFMT, is_registered, natives, qemu_of
from .trial import Unusable


def emulator_for(
    platform: Platform, env: Mapping[str, str], host: Platform | None = None, binfmt: str = BINFMT
) -> str:
    """The static qemu that must run programs of *platform*, or "" where the kernel does it.

    The kernel does it for the architecture of *host*, and for those that are registered in the
    folder *binfmt*.

    Raises: Unusable when neither is there.
    """
    ours = (host or host_platform()).architecture
    is_native = platform.architecture in natives(ours, is_here=host is None)
    if is_native or is_registered(platform.architecture, binfmt):
        return ""
    name = qemu_of(platform.architecture)
    for folder in filter(None, env.get("PATH", "").split(":")):
        for program in (f"{folder}/qemu-{name}-static", f"{folder}/qemu-{name}"):
            if os.access(program, os.X_OK) and _is_static(program):
                return program
    raise Unusable(f"a {platform} image on {ours} needs a static qemu-{name}, which is not on PATH")


def _is_static(path: str) -> bool:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with open(path, "rb") as file:
            return all(part.header.p_type != "PT_INTERP" for part in ELFFile(file).iter_segments())
    except (OSError, ELFError):
        return False
