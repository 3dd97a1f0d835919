"""The ship gate, against what real compilers make and what an attacker might."""

import contextlib
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.errors import NotStatic
from scratchtasks.core.platform import parse_platform
from scratchtasks.execute.elf import check_static

AMD64 = parse_platform("linux/amd64")
LABEL = "//services/api:binary"
HINT = "\n    hint: CGO_ENABLED=0, or link with -static"
PROGRAM = "int main(void) { return 0; }\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elf")


def compiled(folder: Path, *flags: str, text: str = PROGRAM) -> Path:
    source = folder / "source.c"
    source.write_text(text)
    out = folder / ("_".join(flags).replace("/", "") or "plain")
    subprocess.run(["gcc", source, "-o", out, *flags], check=True)
    return out


def refusal(path: Path, platform: str = "linux/amd64") -> str:
    with pytest.raises(NotStatic) as caught:
        check_static(str(path), parse_platform(platform), LABEL)
    return str(caught.value)


@pytest.mark.parametrize("flags", [("-static",), ("-static-pie",), ("-static", "-g", "-s")])
def test_static_programs_pass(folder: Path, flags: tuple[str, ...]) -> None:
    check_static(str(compiled(folder, *flags)), AMD64, LABEL)


def test_a_dynamic_program_is_refused_with_all_that_it_needs(folder: Path) -> None:
    assert refusal(compiled(folder)) == (
        f"{LABEL}: not static: needs the loader /lib64/ld-linux-x86-64.so.2 and libc.so.6" + HINT
    )


def test_every_library_is_named(folder: Path) -> None:
    compiled(folder, "-shared", "-fPIC", "-Wl,-soname,libz.so.1")
    (folder / "-shared_-fPIC_-Wl,-soname,libz.so.1").rename(folder / "libz.so")
    path = compiled(folder, "-Wl,--no-as-needed", f"-L{folder}", "-lz", "-lm")
    assert refusal(path) == (
        f"{LABEL}: not static: needs the loader /lib64/ld-linux-x86-64.so.2, libz.so.1, libm.so.6 "
        "and libc.so.6" + HINT
    )


def test_section_headers_are_not_believed(folder: Path) -> None:
    # The kernel goes by program headers alone, so a dynamic program without sections is dynamic.
    data = bytearray(compiled(folder).read_bytes())
    data[0x28:0x30] = bytes(8)
    data[0x3C:0x40] = bytes(4)
    bare = folder / "bare"
    bare.write_bytes(data)
    assert "needs the loader /lib64/ld-linux-x86-64.so.2 and libc.so.6" in refusal(bare)


def test_a_library_without_needs_is_no_program(folder: Path) -> None:
    path = compiled(folder, "-shared", "-fPIC", "-nostdlib", text="int f(void) { return 1; }\n")
    assert refusal(path) == f"{LABEL}: not a program: it is a shared library"


def test_a_library_with_an_entry_point_is_no_program(folder: Path) -> None:
    flags = ("-shared", "-fPIC", "-nostdlib", "-Wl,-soname,x,-e,f")
    path = compiled(folder, *flags, text="int f(void) { return 1; }\n")
    assert refusal(path) == f"{LABEL}: not a program: it is a shared library"


def test_an_object_file_is_no_program(folder: Path) -> None:
    assert refusal(compiled(folder, "-c")) == f"{LABEL}: not a program: it is an object file"


def test_another_machine(folder: Path) -> None:
    assert refusal(compiled(folder, "-static"), "linux/arm64") == (
        f"{LABEL}: wanted linux/arm64 (AArch64, 64 bit), got x86-64, 64 bit"
    )
    assert refusal(compiled(folder, "-static"), "linux/s390x") == (
        f"{LABEL}: wanted linux/s390x (S/390, 64 bit, big-endian), got x86-64, 64 bit"
    )


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0x04, b"\x01", "wanted linux/amd64 (x86-64, 64 bit), got x86-64, 32 bit"),
        (0x07, b"\x09", "wanted linux/amd64, got a program for another system (FREEBSD)"),
        (0x12, b"\xff\xff", "wanted linux/amd64 (x86-64, 64 bit), got machine 65535, 64 bit"),
        (0x10, b"\x04", "not a program: it is a core dump"),
        (0x18, bytes(8), "not a program: it has no entry point"),
        (0x36, b"\x07", "damaged ELF file: program headers of 7 bytes"),
        (0x38, b"\xff\xff", "damaged ELF file: 65535 program headers do not fit in it"),
        (0x38, b"\0\0", "damaged ELF file: 0 program headers do not fit in it"),
        (0x20, b"\xff" * 8, "program headers do not fit in it"),
    ],
)
def test_hostile_headers(folder: Path, offset: int, value: bytes, message: str) -> None:
    data = bytearray(compiled(folder, "-static").read_bytes())
    data[offset : offset + len(value)] = value
    path = folder / "hostile"
    path.write_bytes(data)
    assert message in refusal(path)


def test_a_file_that_was_cut_off(folder: Path) -> None:
    data = compiled(folder, "-static").read_bytes()
    path = folder / "cut"
    path.write_bytes(data[:4096])
    assert refusal(path) == f"{LABEL}: damaged ELF file: cut off after 4096 bytes"
    for size in (5, 16, 40, 64, 200):
        path.write_bytes(data[:size])
        assert "damaged ELF file: " in refusal(path)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "the file is empty"),
        (b"#!/bin/sh\n", "it is a script, which needs an interpreter"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\1", "it is a Mach-O file for macOS"),
        (b"MZ\x90\0", "it is a program for Windows"),
        (b"!<arch>\n", "it is a library archive"),
        (b"hello, world", "it starts with b'hello, w'"),
    ],
)
def test_other_files(tmp_path: Path, head: bytes, what: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(head)
    assert refusal(path) == f"{LABEL}: not an ELF program: {what}"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert refusal(path) == f"{LABEL}: {path} cannot be read: no such file or directory"


def test_names_cannot_steer_the_terminal(folder: Path) -> None:
    data = compiled(folder).read_bytes().replace(b"/lib64/ld-", b"/\x1b[31m/ld-")
    path = folder / "escape"
    path.write_bytes(data)
    assert "needs the loader /?[31m/ld-" in refusal(path)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 0x400), st.binary(min_size=1, max_size=8)), max_size=6))
def test_damage_is_refused_or_harmless(folder: Path, edits: list[tuple[int, bytes]]) -> None:
    source = folder / "-static-pie"
    data = bytearray((source if source.exists() else compiled(folder, "-static-pie")).read_bytes())
    for offset, value in edits:
        data[offset : offset + len(value)] = value
    path = folder / "damaged"
    path.write_bytes(data)
    with contextlib.suppress(NotStatic):
        check_static(str(path), AMD64, LABEL)


def test_a_dynamic_section_without_end_is_bounded(folder: Path) -> None:
    # PT_DYNAMIC over the whole of a large file, with no DT_NULL in it.
    data = bytearray(compiled(folder, "-static-pie").read_bytes())
    (count,) = struct.unpack_from("<H", data, 0x38)
    (start,) = struct.unpack_from("<Q", data, 0x20)
    for place in range(start, start + 56 * count, 56):
        if struct.unpack_from("<I", data, place) == (2,):
            struct.pack_into("<Q", data, place + 8, len(data))
            struct.pack_into("<Q", data, place + 32, 64 << 20)
    path = folder / "endless"
    path.write_bytes(bytes(data) + b"\1" * (64 << 20))
    check_static(str(path), AMD64, LABEL)
