"""The compressor: any gzip reads it, and nothing but the input decides its bytes."""

import gzip
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import deflate
import pytest

from scratchtasks.core.errors import ToolchainMissing
from scratchtasks.oci.gzip import CHUNK, HEADER, GzipWriter, compressor

_SEED = bytes(range(256)) * 3 + b"scratch"


def text_of(size: int) -> bytes:
    """*size* bytes that compress like a program does: neither noise nor zeros."""
    pieces = (b"%d:%b" % (i * i, _SEED[i % 700 :][:60]) for i in range(size // 40 + 1))
    return b"".join(pieces)[:size]


def compressed(data: bytes, threads: int = 2, step: int = 100_000) -> bytes:
    out = io.BytesIO()
    with GzipWriter(out.write, threads) as writer:
        for start in range(0, len(data), step):
            assert writer.write(data[start : start + step]) == len(data[start : start + step])
    return out.getvalue()


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 7 * CHUNK + 12_345]


@pytest.mark.parametrize("size", SIZES)
def test_any_gzip_reads_it(size: int) -> None:
    data = text_of(size)
    blob = compressed(data)
    assert gzip.decompress(blob) == data
    subprocess.run(["gzip", "-t"], input=blob, check=True)
    assert subprocess.run(["gzip", "-dc"], input=blob, stdout=-1, check=True).stdout == data


@pytest.mark.parametrize("size", SIZES)
def test_neither_threads_nor_writes_show(size: int) -> None:
    data = text_of(size)
    blob = compressed(data, threads=1)
    assert compressed(data, threads=4) == blob
    assert compressed(data, threads=2, step=3 * CHUNK) == blob
    assert compressed(data, threads=2, step=65_537) == blob


def test_each_mebibyte_is_a_member_without_time_or_system() -> None:
    data = text_of(2 * CHUNK + 5)
    pieces = [data[:CHUNK], data[CHUNK : 2 * CHUNK], data[2 * CHUNK :]]
    blob = compressed(data)
    assert blob == b"".join(bytes(deflate.gzip_compress(piece, 5)) for piece in pieces)
    assert blob.startswith(HEADER)
    assert HEADER[4:8] == bytes(4)  # mtime
    assert HEADER[9] == 255  # operating system: unknown


def test_an_error_ends_it_and_leaves_no_thread() -> None:
    def refuse(member: bytearray) -> None:
        raise OSError(28, "no space left on device")

    before = threading.active_count()
    with pytest.raises(OSError, match="no space left"), GzipWriter(refuse) as writer:
        writer.write(text_of(6 * CHUNK))
    assert threading.active_count() == before
    written: list[bytearray] = []
    writer = GzipWriter(written.append)
    writer.write(b"half")
    writer.__exit__(KeyError, KeyError(), None)
    assert written == []


def test_another_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def stamped(chunk: bytes, level: int) -> bytearray:
        return bytearray.fromhex("1f8b08000700000000ff") + chunk

    monkeypatch.setattr(deflate, "gzip_compress", stamped)
    with pytest.raises(ToolchainMissing) as error:
        compressed(b"data")
    assert str(error.value) == (
        f"deflate {deflate.__version__}: wanted a gzip header 1f8b08000000000000ff, "
        "got 1f8b08000700000000ff\n"
        "    hint: install the version of deflate that scratchtasks asks for"
    )


def test_identities() -> None:
    assert compressor() == f"deflate-{deflate.__version__}/5/1MiB"
    assert compressor(compress=False) == "none"


_MEASURE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import deflate, concurrent.futures.thread, datetime
from scratchtasks.core.digest import Digest
from scratchtasks.core.tree import FileEntry
from tests.packing import pack_layer
path, digest, size = sys.argv[2:]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
entry = FileEntry(path="usr/bin/big", digest=Digest(digest), size=int(size))
with open("/dev/null", "wb") as out:
    layer = pack_layer([entry], lambda _: open(path, "rb"), out)
print(peak() - before, layer.blob.size)
"""


def test_a_binary_of_100_mb_takes_less_than_32_mib(tmp_path: Path) -> None:
    noise = os.urandom(CHUNK)  # incompressible within a chunk: output is as big as input
    path = tmp_path / "big"
    path.write_bytes(noise * 95)
    digest = subprocess.run(["sha256sum", path], stdout=-1, check=True).stdout[:64].decode()
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, root, path, f"sha256:{digest}", str(95 * CHUNK)],
        stdout=-1,
        check=True,
    )
    kibibytes, size = map(int, done.stdout.split())
    assert size > 95 * CHUNK
    assert kibibytes < 32 * 1024
