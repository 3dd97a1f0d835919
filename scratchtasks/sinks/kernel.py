"""Which programs a Linux kernel runs beside those of its own architecture.

Source: containerd/platforms, `Only`; Linux, arch/arm64/kernel/sys.c and binfmt-misc.rst.
"""

from collections.abc import Iterator

_SMALLER = {"amd64": "386", "arm64": "arm"}
_QEMU = {
    "amd64": "x86_64", "386": "i386", "arm64": "aarch64", "arm": "arm", "riscv64": "riscv64",
    "s390x": "s390x", "ppc64le": "ppc64le",
}  # fmt: skip
_PER_LINUX32 = 8

BINFMT = "/proc/sys/fs/binfmt_misc"


def natives(architecture: str, *, is_here: bool) -> tuple[str, ...]:
    """The architectures that a kernel of *architecture* runs by itself, its own first.

    Not every arm64 processor runs 32-bit programs.  The kernel is asked if it *is_here*; another
    machine's is believed to, as its engine believes.
    """
    smaller = _SMALLER.get(architecture)
    if smaller is None or (smaller == "arm" and is_here and not _runs_arm()):
        return (architecture,)
    return architecture, smaller


def emulated(binfmt: str = BINFMT) -> Iterator[str]:
    """The architectures that this machine's kernel gives to a qemu which is registered in the
    folder *binfmt* with flag F (fixed: it is opened outside, so an image need not hold it).
    """
    return (each for each in _QEMU if is_registered(each, binfmt))


def in_turn(architecture: str) -> tuple[str, ...]:
    """All architectures, in the order in which they suit a machine of *architecture*; nobody is
    asked what it runs."""
    return tuple(dict.fromkeys((*natives(architecture, is_here=False), *_QEMU)))


def is_registered(architecture: str, binfmt: str = BINFMT) -> bool:
    """Whether `emulated` has *architecture*."""
    try:
        with open(
            f"{binfmt}/qemu-{qemu_of(architecture)}", encoding="ascii", errors="replace"
        ) as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    flags = [line.partition(":")[2] for line in lines if line.startswith("flags:")]
    return lines[:1] == ["enabled"] and "F" in "".join(flags)


def qemu_of(architecture: str) -> str:
    """qemu's word for *architecture*."""
    return _QEMU.get(architecture, architecture)


def _runs_arm() -> bool:
    """Whether the arm64 kernel lets this thread be a 32-bit one, which is taken back at once."""
    import ctypes

    libc = ctypes.CDLL(None)
    before = libc.personality(0xFFFFFFFF)
    if libc.personality(_PER_LINUX32) == -1:
        return False
    libc.personality(before)
    return True
