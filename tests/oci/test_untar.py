"""Tars of every dialect and compressed streams: GNU tar and the standard library as peers."""

import gzip
import io
import lzma
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.oci.expand import CannotExpand, Expanded
from scratchtasks.oci.untar import Malformed, Member, TarReader

LONG = "d/" + "x" * 120 + "/" + "y" * 150


def members(data: bytes, limit: int = 1 << 30) -> list[tuple[Member, bytes]]:
    reader = TarReader(Expanded(io.BytesIO(data), limit))
    return [(member, reader.read(1 << 20)) for member in reader.members()]


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_every_dialect_of_gnu_tar_is_read(form: str, tmp_path: Path) -> None:
    short = "d/" + "x" * 60
    deep = LONG if form in ("gnu", "posix", "oldgnu") else short
    (tmp_path / deep).parent.mkdir(parents=True)
    (tmp_path / deep).write_bytes(b"content")
    (tmp_path / "l").symlink_to("d/../" + "t" * 90)
    (tmp_path / "h").hardlink_to(tmp_path / deep)
    (tmp_path / "é").write_bytes(b"")
    argv = ["tar", f"--format={form}", "--sort=name", "-C", str(tmp_path), "-c", "d", "h", "l", "é"]
    got = members(subprocess.run(argv, check=True, capture_output=True).stdout)
    found = {member.path: (member.kind, member.link, data) for member, data in got}
    assert found[deep] == ("file", "", b"content")
    assert found["h"] == ("hardlink", deep, b"")
    assert found["l"] == ("symlink", "d/../" + "t" * 90, b"")
    assert found["é"] == ("file", "", b"")
    assert found["d"][0] == "dir"


names = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=130
).filter(lambda name: name not in (".", ".."))


@given(
    st.dictionaries(names, st.binary(max_size=2000), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from([lambda tar: tar, gzip.compress, zstd.compress, lzma.compress]),
)
def test_what_the_standard_library_packs_comes_out_again(
    files: dict[str, bytes], form: int, pack: object
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert callable(pack)
    got = {member.path: data for member, data in members(pack(out.getvalue()))}
    assert got == files


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused_and_never_more(data: bytes) -> None:
    for head in (b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"):
        try:
            members(head + data, 10_000)
        except (Malformed, CannotExpand):
            pass


def test_many_members_frames_and_streams_are_one() -> None:
    parts = [b"one" * 1000, b"", b"two" * 1000]
    for pack in (gzip.compress, zstd.compress, lzma.compress):
        packed = b"".join(pack(part) for part in parts)
        assert Expanded(io.BytesIO(packed), 1 << 20).read(1 << 20) == b"".join(parts)
        with pytest.raises(CannotExpand, match="ends in the middle of its compressed data"):
            Expanded(io.BytesIO(packed[:-9]), 1 << 20).read(1 << 20)
        with pytest.raises(CannotExpand, match="expands to more than 5999 bytes"):
            Expanded(io.BytesIO(packed), 5999).read(1 << 20)


def test_a_little_that_expands_to_a_lot_is_read_little_by_little() -> None:
    for pack in (gzip.compress, zstd.compress, lzma.compress):
        one = pack(bytes(4 << 20))
        packed = io.BytesIO(one * (1 + (2 << 20) // len(one)))
        assert Expanded(packed, 8 << 20).read(3 << 20) == bytes(3 << 20)
        assert packed.tell() <= 256 << 10


def test_a_frame_that_asks_for_gigabytes_of_memory_is_refused() -> None:
    greedy = {zstd.CompressionParameter.window_log: 30}
    compressor = zstd.ZstdCompressor(options={int(key): value for key, value in greedy.items()})
    frame = compressor.compress(bytes(100)) + compressor.flush()
    with pytest.raises(CannotExpand, match="is no sound zstd data"):
        Expanded(io.BytesIO(frame), 1 << 20).read(1)


def header(name: str, size: int, kind: bytes = b"0", field: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if field:
        block[124:136] = field
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("tar", "what"),
    [
        (header("a", 1 << 40, b"L"), "holds a name of 1099511627776 bytes"),
        (header("a", 1 << 40, b"x"), "holds a name of 1099511627776 bytes"),
        (header("a", 0, field=b"\xff" * 12), "holds a negative number"),
        (header("a", 0, field=b"\x80" + b"\xff" * 11), "holds a number that is too large"),
        (header("a", 0, field=b"12x4567\0\0\0\0\0"),
         "holds '12x4567\\x00\\x00\\x00\\x00\\x00' where a number belongs"),
        (header("a", 0, b"S"), "holds an entry of type 'S', which layers do not have"),
        (header("a", 3, b"x") + b"9 x" + bytes(509),
         "holds a pax record without length, key or end"),
        (header("a", 5000), "ends in the middle of a file"),
        (header("a", 0)[:300], "ends in the middle of a header"),
        (header("a/" * 2049, 0), "holds a path of more than 4096 characters"),
        (header("a/../../b", 0), "holds the path 'a/../../b', which leads out of its root"),
    ],
)  # fmt: skip
def test_what_no_archiver_writes_is_refused(tar: bytes, what: str) -> None:
    with pytest.raises(Malformed) as caught:
        members(tar)
    assert str(caught.value) == what


def test_a_pax_header_takes_no_more_time_than_it_has_records() -> None:
    text = b"5 a=\n" * 200_000 + b"10 path=b\n"
    began = time.process_time()
    found = members(header("x", len(text), b"x") + text + bytes(-len(text) % 512) + header("a", 0))
    assert [member.path for member, _ in found] == ["b"]
    assert time.process_time() - began < 2
