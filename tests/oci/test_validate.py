"""The validator: silent on sound images, and never silent on others."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, canonical_json, digest_of
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, index_bytes, manifest_bytes
from scratchtasks.oci.tar import BLOCK
from scratchtasks.oci.validate import validate

from .memory_blobs import AMD64, IMAGE, MemoryBlobs


def test_sound_images_have_no_faults() -> None:
    blobs = MemoryBlobs()
    assert validate(blobs.image(), blobs.open) == []
    everything = [
        blobs.file("etc/hosts", b"127.0.0.1 localhost\n"),
        blobs.file("usr/share/naïve/" + "x" * 120, b"long", mode=0o4755, uid=3_000_000, gid=1),
        blobs.file("big", bytes(5_000_000)),
        FileEntry(path="tmp", kind="dir", mode=0o1777),
        FileEntry(path="etc/localtime", kind="symlink", link="../usr/share/zoneinfo/UTC"),
        FileEntry(path="alias", kind="hardlink", link="etc/hosts"),
    ]
    layers = [blobs.layer(everything), blobs.layer([]), blobs.layer(everything, compress=False)]
    assert validate(blobs.manifest(layers), blobs.open) == []


@given(st.data())
def test_any_flipped_byte_is_found(data: st.DataObject) -> None:
    blobs = MemoryBlobs()
    top = blobs.image()
    needed = sorted(named(top, blobs))
    digest = data.draw(st.sampled_from(needed))
    content = bytearray(blobs.by_digest[digest])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    blobs.by_digest[digest] = bytes(content)
    faults = validate(top, blobs.open)
    assert any(f"says {digest}, sha256(bytes) is {digest_of(content)}" in f for f in faults)


@given(st.data())
def test_any_cut_or_grown_blob_is_found(data: st.DataObject) -> None:
    blobs = MemoryBlobs()
    top = blobs.image()
    digest = data.draw(st.sampled_from(sorted(named(top, blobs))))
    content = blobs.by_digest[digest]
    blobs.by_digest[digest] = data.draw(
        st.one_of(
            st.integers(0, len(content) - 1).map(lambda size: content[:size]),
            st.binary(min_size=1).map(lambda more: content + more),
        )
    )
    assert validate(top, blobs.open) != []


def named(top: Descriptor, blobs: MemoryBlobs) -> set[Any]:
    """The digests of all blobs below *top*."""
    found = {top.digest}
    for item in json.loads(blobs.by_digest[top.digest])["manifests"]:
        manifest = json.loads(blobs.by_digest[item["digest"]])
        found |= {item["digest"], manifest["config"]["digest"]}
        found |= {layer["digest"] for layer in manifest["layers"]}
    return found


def edited(edit: Callable[[dict[str, Any], dict[str, Any]], object]) -> list[str]:
    """Faults of an image whose manifest and config *edit* changed, all digests made right."""
    blobs = MemoryBlobs()
    layer = blobs.layer([blobs.file("etc/hosts", b"::1 localhost\n")], "etc")
    config = json.loads(config_bytes(IMAGE, AMD64, [layer]))
    manifest = json.loads(manifest_bytes(Descriptor(media.CONFIG, digest_of(b""), 0), [layer.blob]))
    edit(manifest, config)
    if isinstance(manifest.get("config"), dict):
        blob = blobs.put(canonical_json(config))
        manifest["config"].update(digest=blob.digest, size=blob.size)
    return validate(blobs.put(canonical_json(manifest), media.MANIFEST), blobs.open)


_OTHER = digest_of(b"other")


@pytest.mark.parametrize(
    ("edit", "faults"),
    [
        (lambda m, c: None, []),
        (lambda m, c: c.update(os=""), ["config: os: wanted a name, got ''"]),
        (
            lambda m, c: c["rootfs"]["diff_ids"].append(_OTHER),
            ["manifest: layers: manifest has 1, config has 2 diff_ids"],
        ),
        (
            lambda m, c: c["history"].append({"created_by": "x"}),
            ["config: history: 2 lines with a layer, 1 layers"],
        ),
        (
            lambda m, c: c["rootfs"].update(type="x", diff_ids={}),
            [
                "config: rootfs.type: wanted 'layers'",
                "config: rootfs: diff_ids: wanted a list of at most 127, got {}",
            ],
        ),
        (lambda m, c: c.update(rootfs=7), ["config: rootfs: wanted an object, got 7"]),
        (
            lambda m, c: c["config"].update(Env=["A"], Cmd="x"),
            [
                "config: config.Env: wanted NAME=VALUE",
                "config: config.Cmd: wanted a list of strings",
            ],
        ),
        (
            lambda m, c: m["config"].update(mediaType="text/plain"),
            [f"config: media type: wanted {media.CONFIG}, got text/plain"],
        ),
        (
            lambda m, c: m.update(schemaVersion=1, mediaType="x"),
            [
                "manifest: schemaVersion: wanted 2, got 1",
                f"manifest: mediaType: wanted {media.MANIFEST}, got x",
            ],
        ),
        (
            lambda m, c: m["layers"][0].update(mediaType="text/plain"),
            [
                f"layer 1: media type: wanted {media.LAYER_GZIP} or {media.LAYER_TAR}, "
                "got text/plain"
            ],
        ),
        (
            lambda m, c: m["layers"][0].update(digest=_OTHER),
            [f"layer 1: blob {_OTHER}: is missing"],
        ),
        (
            lambda m, c: m["layers"][0].update(digest="../../etc/passwd"),
            [
                "layer 1: not a descriptor: digest: wanted sha256:<64 hex digits>, "
                "got '../../etc/passwd'"
            ],
        ),
        (
            lambda m, c: m.update(layers=[[]] * 128),
            ["manifest: layers: wanted a list of at most 127, got 128 of them"],
        ),
        (lambda m, c: m.update(config=None), ["manifest: config: wanted an object, got None"]),
    ],
)
def test_documents(
    edit: Callable[[dict[str, Any], dict[str, Any]], object], faults: list[str]
) -> None:
    assert edited(edit) == faults


def test_a_wrong_diff_id_names_both_sides() -> None:
    blobs = MemoryBlobs()
    layer = blobs.layer([blobs.file("a", b"a")])
    wrong = Layer(layer.blob, DiffID(_OTHER))
    assert validate(blobs.manifest([layer, wrong]), blobs.open) == [
        f"layer 2: diff_id: config says {_OTHER}, sha256(uncompressed) is {layer.diff_id}"
    ]


def test_an_index_that_promises_other_platforms() -> None:
    blobs = MemoryBlobs()
    manifest = blobs.manifest([])
    arm = json.loads(index_bytes([(manifest, AMD64), (manifest, AMD64)]))
    arm["manifests"][0]["platform"]["architecture"] = "arm64"
    arm["manifests"].append(dict(arm["manifests"][1]))
    top = blobs.put(canonical_json(arm), media.INDEX)
    assert validate(top, blobs.open) == [
        "linux/arm64: config: architecture: config says 'amd64', index says 'arm64'",
        "manifest 3: index has two images for linux/amd64",
    ]
    empty = blobs.put(index_bytes([]), media.INDEX)
    assert validate(empty, blobs.open) == ["index: names no manifests"]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"[" * 100_000, "manifest: not JSON: "),
        (b'{"a":1,"a":2}', "manifest: not JSON: an object with one key twice"),
        (b"\xff", "manifest: not JSON: 'utf-8' codec"),
        (b"[]", "manifest: wanted an object, got []"),
        (b"{}", "manifest: layers: wanted a list of at most 127, got None"),
        (bytes(4 * 1024**2 + 1), "manifest: size: wanted at most 4194304 bytes, got 4194305"),
    ],
)
def test_hostile_documents(data: bytes, fault: str) -> None:
    blobs = MemoryBlobs()
    faults = validate(blobs.put(data, media.MANIFEST), blobs.open)
    assert faults[-1].startswith(fault)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["schemaVersion", "mediaType", "config", "layers", "manifests", "digest",
                         "size", "platform"]), inner),
))  # fmt: skip
def test_any_json_is_judged_and_not_stumbled_over(value: Any) -> None:
    blobs = MemoryBlobs()
    data = json.dumps(value).encode()
    assert validate(blobs.put(data, media.MANIFEST), blobs.open) != []
    assert validate(blobs.put(data, media.INDEX), blobs.open) != []


def with_tar(tar: bytes, *, compressed: bytes | None = None) -> list[str]:
    """Faults of an image whose only layer holds *tar*, all digests right."""
    blobs = MemoryBlobs()
    blob = blobs.put(tar, media.LAYER_TAR)
    if compressed is not None:
        blob = blobs.put(compressed, media.LAYER_GZIP)
    return validate(blobs.manifest([Layer(blob, DiffID(digest_of(tar)))]), blobs.open)


def header(
    name: bytes = b"a", flag: bytes = b"0", link: bytes = b"", mode: int = 0o644, size: int = 0
) -> bytes:
    """One ustar header, its checksum right."""
    block = bytearray(BLOCK)
    block[0 : len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[108:124] = b"0000000\0" * 2
    block[124:148] = b"%011o\x0000000000000\0" % size
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(body: bytes) -> bytes:
    """A pax header that holds *body*, and the entry that it is for."""
    return header(b"x", b"x", size=len(body)) + body + bytes(-len(body) % BLOCK) + header()


_END = bytes(2 * BLOCK)


@pytest.mark.parametrize(
    ("tar", "fault"),
    [
        (header(b"../../etc/passwd") + _END, "'../../etc/passwd' leaves the root or is not plain"),
        (header(b"/etc") + _END, "'/etc' leaves the root or is not plain"),
        (header(b"a//b") + _END, "'a//b' leaves the root or is not plain"),
        (header(b"a/") + _END, "'a/' leaves the root or is not plain"),
        (header(b"a", b"5") + _END, "'a': only a folder ends with a slash"),
        (header() + header() + _END, "'a' is there twice"),
        (header(b"a/b") + _END, "'a/b' comes before its folder"),
        (header(b"a", b"2", b"/etc") + header(b"a/b") + _END, "'a/b' lies below a symlink"),
        (
            header(b"a", b"1", b"../x") + _END,
            "'a' is a hard link to '../x', which is no file before it",
        ),
        (
            header() + header(b"b", b"1", b"a", 0o4755) + _END,
            "'b' changes mode or owner of 'a', which it shares",
        ),
        (header(b"a", b"2") + _END, "'a' is a symlink to ''"),
        (header(b"a", b"3") + _END, "entry 1: type b'3' is not one that a layer may hold"),
        (header(b"\xff") + _END, "wanted a name in UTF-8, got b'\\xff'"),
        (header(), "ends without two zero blocks"),
        (header() + bytes(BLOCK), "one zero block at the end, wanted two"),
        (header() + _END + b"\0", "bytes after the end of the tar"),
        (
            pax(b"15 path=../../x\n") + _END,
            "a pax record without key, value or end",
        ),
        (
            pax(b"16 path=../../x\n") + _END,
            "'../../x' leaves the root or is not plain",
        ),
        (pax(b"9 a=b\n") + _END, "a pax record without key, value or end"),
        (pax(b"6 a=b\n") + _END, "pax record b'a' is unknown, empty or there twice"),
        (pax(b"9 uid=1\n\n") + _END, "wanted a number in a pax record, got b'1\\n'"),
        (pax(b"8 uid=1\n" * 2) + _END, "pax record b'uid' is unknown, empty or there twice"),
        (pax(b"x path=a\n") + _END, "wanted a number in a pax record, got b'x'"),
        (header(b"x", b"x", size=1 << 30) + _END, "a pax header of 1073741824 bytes"),
        (header(b"x", b"x", size=3000) + _END, "ends inside a pax header"),
        (header(size=3000) + _END, "ends 2048 bytes before the end of a file"),
        (header(b"a/", b"5", size=1) + _END, "entry 1: a dir with 1 bytes of content"),
        (b"junk", "ends without two zero blocks"),
        (header()[:-1] + b"x" + _END, "entry 1: checksum: header says 3134, its bytes sum to 3254"),
    ],
)
def test_tars(tar: bytes, fault: str) -> None:
    assert with_tar(tar) == [f"layer 1: tar: {fault}"]
    assert with_tar(tar, compressed=gzip.compress(tar)) == [f"layer 1: tar: {fault}"]


def test_a_layer_that_changes_a_folder_below_is_told() -> None:
    blobs = MemoryBlobs()
    layers = [
        blobs.layer([FileEntry(path="tmp", kind="dir", mode=0o1777)]),
        blobs.layer([FileEntry(path="tmp", kind="dir", mode=0o755)]),
    ]
    assert validate(blobs.manifest(layers), blobs.open) == [
        "layer 2: tar: 'tmp/' is a dir 0755 0:0, a lower layer has a dir 1777 0:0"
    ]


def test_damaged_gzip_is_told() -> None:
    tar = header() + _END
    good = gzip.compress(tar)
    assert with_tar(tar, compressed=good[:20] + good) != []
    assert (
        with_tar(tar, compressed=good[:-3])[0]
        == "layer 1: ends in the middle of its compressed data"
    )
    assert with_tar(tar, compressed=good + b"more")[0].startswith(
        "layer 1: is no sound gzip data (Error -3"
    )
    assert with_tar(tar, compressed=b"")[0] == "layer 1: ends in the middle of its compressed data"
    split = gzip.compress(tar[:700]) + gzip.compress(tar[700:])
    assert with_tar(tar, compressed=split) == []


def test_a_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scratchtasks.oci.validate.MAX_LAYER", 1 << 20)
    bomb = bytes(3 << 20)
    faults = with_tar(bomb, compressed=gzip.compress(bomb))
    assert faults[0] == "layer 1: expands to more than 1048576 bytes"
