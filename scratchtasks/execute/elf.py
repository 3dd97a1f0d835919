"""The ship gate: only a static ELF program for the right platform gets into an image.

Source: the gABI (program headers, dynamic section) and what Linux's `load_elf_binary` looks at.
"""

from functools import lru_cache
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import NotStatic, printable
from scratchtasks.core.platform import Platform
from scratchtasks.store.blobs import ContentStore

if TYPE_CHECKING:
    from elftools.elf.structs import ELFStructs

BINARY_MEDIA_TYPE = "application/vnd.scratchtasks.binary"

_STATIC_HINT = "CGO_ENABLED=0, or link with -static"
_DF_1_PIE = 0x08000000
_PF_X = 1
_MAX_NAME = 4096
_MAX_TAGS = 4096
"""A real dynamic section has about 30 tags; a hostile one may be as long as the file."""


class _Kind(NamedTuple):
    machine: str
    bits: int
    little: bool = True

    def __str__(self) -> str:
        name = _MACHINE_NAMES.get(self.machine, self.machine.removeprefix("EM_"))
        name = f"machine {name}" if name.isdigit() else name
        return f"{name}, {self.bits} bit{'' if self.little else ', big-endian'}"


_MACHINES = {
    3: "EM_386", 21: "EM_PPC64", 22: "EM_S390", 40: "EM_ARM", 62: "EM_X86_64", 183: "EM_AARCH64",
    243: "EM_RISCV",
}  # fmt: skip
"""e_machine.  Source: the generic ABI, chapter 4, "ELF Header"."""

_MACHINE_NAMES = {
    "EM_X86_64": "x86-64",
    "EM_AARCH64": "AArch64",
    "EM_ARM": "ARM",
    "EM_386": "x86",
    "EM_RISCV": "RISC-V",
    "EM_S390": "S/390",
    "EM_PPC64": "PowerPC",
}

_WANTED = {
    "amd64": _Kind("EM_X86_64", 64),
    "arm64": _Kind("EM_AARCH64", 64),
    "arm": _Kind("EM_ARM", 32),
    "386": _Kind("EM_386", 32),
    "riscv64": _Kind("EM_RISCV", 64),
    "s390x": _Kind("EM_S390", 64, little=False),
    "ppc64le": _Kind("EM_PPC64", 64),
}

_OTHER_FORMATS = (
    (b"#!", "a script, which needs an interpreter"),
    (b"\xfe\xed\xfa", "a Mach-O file for macOS"),
    (b"\xce\xfa\xed\xfe", "a Mach-O file for macOS"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file for macOS"),
    (b"\xca\xfe\xba\xbe", "a Mach-O file for macOS, or Java bytecode"),
    (b"MZ", "a program for Windows"),
    (b"!<arch>\n", "a library archive"),
    (b"!<thin>\n", "a library archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a zip file"),
)


class _Elf(NamedTuple):
    """An ELF file's header, and how to read the rest of it."""

    stream: IO[bytes]
    structs: "ELFStructs"
    header: Any


class WrongMachine(NotStatic):
    """A program for another machine than that of the platform."""


def check_static(path: str, platform: Platform, label: str) -> None:
    """Make sure that *path* is a program which starts in an empty root file system.

    That is: ELF for *platform*'s machine, class and byte order, no loader (PT_INTERP), no shared
    library (DT_NEEDED), and either at a fixed address or a static PIE.  *label* says whose
    binary it is.  Reads headers only; what they claim is never trusted.

    Raises: NotStatic, for a missing or unreadable file too.
    """
    try:
        with open(path, "rb") as file:
            _check_file(file, platform, label)
    except OSError as error:
        raise NotStatic(label, f"{path} cannot be read: {_reason(error)}") from None


def ship(
    path: str, platform: Platform, label: str, store: ContentStore, *, moves: bool = False
) -> Descriptor:
    """Put the binary *path* into *store* and check what arrived there, so nothing can differ.

    With *moves* it goes there itself, and not a copy.

    Raises: NotStatic, StoreError.
    """
    put = store.take_file if moves else store.put_file
    blob = put(path, BINARY_MEDIA_TYPE)
    check_static(store.path(blob.digest), platform, label)
    return blob


def check_machine(path: str, platform: Platform, label: str) -> None:
    """Refuse an ELF file for another machine than *platform*; any other file passes.

    Raises: NotStatic.
    """
    with open(path, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return
    is_little = head[5] == 1
    number = int.from_bytes(head[18:20], "little" if is_little else "big")
    got = _Kind(_MACHINES.get(number, str(number)), 64 if head[4] == 2 else 32, is_little)
    wanted = _WANTED[platform.architecture]
    if got != wanted:
        raise WrongMachine(label, f"wanted {platform} ({wanted}), got {got}")


def _check_file(file: IO[bytes], platform: Platform, label: str) -> None:
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError

    head = file.read(8)
    if not head.startswith(b"\x7fELF"):
        raise NotStatic(label, _not_elf(head))
    try:
        # What a damaged header makes the parser raise is not limited to its own errors.
        elf = _read_header(file, head)
        _check_header(elf, platform, label)
        _check_segments(elf, label, file.seek(0, 2))
    except (ELFError, ConstructError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NotStatic(label, f"damaged ELF file: {_summary(error)}") from None
    except (AssertionError, AttributeError, RecursionError, MemoryError) as error:
        raise NotStatic(label, f"damaged ELF file: {_summary(error)}") from None


def _not_elf(head: bytes) -> str:
    if not head:
        return "not an ELF program: the file is empty"
    for magic, what in _OTHER_FORMATS:
        if head.startswith(magic):
            return f"not an ELF program: it is {what}"
    return f"not an ELF program: it starts with {head!r}"


def _read_header(stream: IO[bytes], head: bytes) -> _Elf:
    """The header of *stream*, which starts with *head*.  Raises: ELFError."""
    from elftools.common.exceptions import ELFError
    from elftools.common.utils import struct_parse

    bits, is_little = {1: 32, 2: 64}.get(head[4]), {1: True, 2: False}.get(head[5])
    if bits is None or is_little is None:
        raise ELFError(f"its class is {head[4]} and its byte order {head[5]}")
    header = struct_parse(_structs(is_little, bits).Elf_Ehdr, stream, 0)
    about = header["e_type"], header["e_machine"], header["e_ident"]["EI_OSABI"]
    return _Elf(stream, _structs(is_little, bits, *about), header)


# pyelftools' own ELFFile makes the structures anew for each file: half of the check's time.
@lru_cache(16)
def _structs(is_little: bool, bits: int, *about: str | None) -> "ELFStructs":
    from elftools.elf.structs import ELFStructs

    structs = ELFStructs(little_endian=is_little, elfclass=bits)
    structs.create_basic_structs()
    structs.create_advanced_structs(*about)
    return structs


def _check_header(elf: _Elf, platform: Platform, label: str) -> None:
    header, structs = elf.header, elf.structs
    got = _Kind(str(header["e_machine"]), structs.elfclass, structs.little_endian)
    wanted = _WANTED[platform.architecture]
    if got != wanted:
        raise WrongMachine(label, f"wanted {platform} ({wanted}), got {got}")
    system = header["e_ident"]["EI_OSABI"]
    if system not in ("ELFOSABI_SYSV", "ELFOSABI_LINUX"):
        name = str(system).removeprefix("ELFOSABI_")
        raise NotStatic(label, f"wanted {platform}, got a program for another system ({name})")
    if header["e_type"] not in ("ET_EXEC", "ET_DYN"):
        what = {"ET_REL": "an object file", "ET_CORE": "a core dump"}.get(
            header["e_type"], f"of type {header['e_type']}"
        )
        raise NotStatic(label, f"not a program: it is {what}")


def _check_segments(elf: _Elf, label: str, size: int) -> None:
    from elftools.common.utils import struct_parse

    header, structs = elf.header, elf.structs
    # 0xffff means "see section 0", where a count of billions may stand; Linux refuses it too.
    count, entry_size = header["e_phnum"], header["e_phentsize"]
    if entry_size != structs.Elf_Phdr.sizeof():
        raise NotStatic(label, f"damaged ELF file: program headers of {entry_size} bytes")
    if not count or count == 0xFFFF or header["e_phoff"] + count * entry_size > size:
        raise NotStatic(label, f"damaged ELF file: {count} program headers do not fit in it")
    # Not pyelftools' segment classes: they look for names through section headers, which the
    # kernel never reads and which may tell another story, or go on for billions of entries.
    places = range(header["e_phoff"], header["e_phoff"] + count * entry_size, entry_size)
    segments = [struct_parse(structs.Elf_Phdr, elf.stream, place) for place in places]
    loads = [segment for segment in segments if segment["p_type"] == "PT_LOAD"]
    for load in loads:
        if load["p_offset"] + load["p_filesz"] > size:
            raise NotStatic(label, f"damaged ELF file: cut off after {size} bytes")
    needs = [f"the loader {name}" for name in _loaders(elf.stream, segments)]
    tags = _dynamic_tags(elf, segments)
    needs += [_string_at(elf, loads, tags, value) for tag, value in tags if tag == "DT_NEEDED"]
    if needs:
        listed = " and ".join(filter(None, (", ".join(needs[:-1]), needs[-1])))
        raise NotStatic(label, f"not static: needs {listed}", _STATIC_HINT)
    _check_starts(elf, loads, dict(tags), label)


def _check_starts(elf: _Elf, loads: list[Any], tags: dict[str, int], label: str) -> None:
    header = elf.header
    is_pie = bool(tags.get("DT_FLAGS_1", 0) & _DF_1_PIE)
    if header["e_type"] == "ET_DYN" and not is_pie and "DT_SONAME" in tags:
        raise NotStatic(label, "not a program: it is a shared library")
    entry = header["e_entry"]
    starts = any(
        load["p_flags"] & _PF_X and load["p_vaddr"] <= entry < load["p_vaddr"] + load["p_filesz"]
        for load in loads
    )
    if not entry or not starts:
        what = "it is a shared library" if header["e_type"] == "ET_DYN" else "it has no entry point"
        raise NotStatic(label, f"not a program: {what}")


def _loaders(stream: IO[bytes], segments: list[Any]) -> list[str]:
    return [
        _text(stream, segment["p_offset"])
        for segment in segments
        if segment["p_type"] == "PT_INTERP"
    ]


def _dynamic_tags(elf: _Elf, segments: list[Any]) -> list[tuple[str, int]]:
    from elftools.common.utils import struct_parse

    tags: list[tuple[str, int]] = []
    for segment in segments:
        if segment["p_type"] != "PT_DYNAMIC":
            continue
        step = elf.structs.Elf_Dyn.sizeof()
        places = range(segment["p_offset"], segment["p_offset"] + segment["p_filesz"], step)
        for place in islice(places, _MAX_TAGS):
            entry = struct_parse(elf.structs.Elf_Dyn, elf.stream, place)
            if entry.d_tag == "DT_NULL":
                break
            tags.append((str(entry.d_tag), int(entry.d_val)))
    return tags


def _string_at(elf: _Elf, loads: list[Any], tags: list[tuple[str, int]], offset: int) -> str:
    table = dict(tags).get("DT_STRTAB", -1)
    for load in loads:
        if load["p_vaddr"] <= table < load["p_vaddr"] + load["p_filesz"]:
            return _text(elf.stream, table - load["p_vaddr"] + load["p_offset"] + offset)
    return "a shared library"


def _text(stream: IO[bytes], offset: int) -> str:
    stream.seek(offset)
    name = stream.read(_MAX_NAME).split(b"\0")[0].decode("utf-8", "replace")
    return printable(name) or "a library without a name"


def _summary(error: BaseException) -> str:
    return str(error).partition("\n")[0][:120] or type(error).__name__


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
