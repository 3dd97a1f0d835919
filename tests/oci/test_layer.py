"""Layers: parents, digests, and bytes that must never move."""

import gzip
import io
import tarfile

import pytest

from scratchtasks.core.digest import DiffID, digest_of
from scratchtasks.core.errors import StageError
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from tests.packing import pack_layer

from .memory_blobs import MemoryBlobs


def test_digests_are_of_the_bytes_written() -> None:
    blobs = MemoryBlobs()
    entries = [blobs.file("usr/bin/api", bytes(3_000_000), mode=0o755)]
    out, plain = io.BytesIO(), io.BytesIO()
    layer = pack_layer(entries, blobs.open, out, kind="binary")
    raw = pack_layer(entries, blobs.open, plain, kind="binary", compress=False)
    assert layer.blob == blobs.put(out.getvalue(), media.LAYER_GZIP)
    assert raw.blob == blobs.put(plain.getvalue(), media.LAYER_TAR)
    assert gzip.decompress(out.getvalue()) == plain.getvalue()
    assert layer.diff_id == raw.diff_id == DiffID(digest_of(plain.getvalue()))
    assert layer.kind == "binary"


def test_parents_keep_the_mode_and_owner_they_have_below() -> None:
    blobs = MemoryBlobs()
    known = {
        "tmp": FileEntry(path="tmp", kind="dir", mode=0o1777),
        "srv": FileEntry(path="srv", kind="dir", mode=0o700, uid=5, gid=6),
        "etc": FileEntry(path="etc", kind="dir", mode=0o711),
    }
    entries = [
        blobs.file("tmp/cache/x", b""),
        blobs.file("usr/bin/api", b""),
        FileEntry(path="srv", kind="dir", mode=0o750, uid=7, gid=8),
        blobs.file("srv/y", b""),
    ]
    out = io.BytesIO()
    pack_layer(entries, blobs.open, out, known_dirs=known)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        found = {m.name: (m.mode, m.uid, m.gid) for m in tar if m.isdir()}
    assert found == {
        "tmp": (0o1777, 0, 0),
        "tmp/cache": (0o755, 0, 0),
        "usr": (0o755, 0, 0),
        "usr/bin": (0o755, 0, 0),
        "srv": (0o750, 7, 8),  # what the layer itself says wins
    }


def test_refusals() -> None:
    blobs = MemoryBlobs()
    link = FileEntry(path="bin", kind="symlink", link="usr/bin")
    cases = [
        (
            [blobs.file("etc/.wh.passwd", b"")],
            "/etc/.wh.passwd: a name that begins with '.wh.' means deletion in an image layer",
        ),
        (
            [blobs.file("srv/.wh.etc/a", b"")],
            "/srv/.wh.etc: a name that begins with '.wh.' means deletion in an image layer",
        ),
        ([blobs.file("a", b"")] * 2, "/a: two entries for one path"),
        ([blobs.file("bin/api", b"")], "/bin: a symlink in a lower layer, a folder in this one"),
        (
            [blobs.file("a", b""), blobs.file("a/b/c", b"")],
            "/a/b: lies below /a, which is a file",
        ),
    ]
    for entries, message in cases:
        with pytest.raises(StageError) as error:
            pack_layer(entries, blobs.open, io.BytesIO(), known_dirs={"bin": link})
        assert str(error.value) == message


def test_bytes_never_move() -> None:
    """Digests that users already have: a change here is a new image for everybody."""
    blobs = MemoryBlobs()
    entries = [
        blobs.file("etc/hosts", b"127.0.0.1 localhost\n"),
        blobs.file("usr/share/naïve/" + "x" * 120, b"long", mode=0o4755, uid=3_000_000, gid=1),
        FileEntry(path="tmp", kind="dir", mode=0o1777),
        FileEntry(path="etc/localtime", kind="symlink", link="../usr/share/zoneinfo/UTC"),
        FileEntry(path="alias", kind="hardlink", link="etc/hosts"),
    ]
    layer = blobs.layer(entries)
    found = [layer.diff_id, layer.blob.digest, blobs.manifest([layer]).digest, blobs.image().digest]
    assert found == [
        "sha256:a043f660bbaa3f1ba19a1937b0ca8500d8be15ef1731e20dd9e43ca594bd3aba",
        "sha256:5a48fff8de960f9490f62ddbc95601d45b75b425b28e47a949758aa00cf72764",
        "sha256:02e9b844b345b5e45ddd875005cce269b21f51ef6c65e25fc12a25c693a7b3a9",
        "sha256:c7189af0ca1e2663899008405abd0bd910cc1c0376e54be8875513eecfff4d6f",
    ]
