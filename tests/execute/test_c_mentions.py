"""What sources and linker inputs mention is found in whatever bytes they are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.execute.c.mentions import linked_by, mentions_of

THIN = b"!<thin>\n"


def header(name: bytes, size: bytes) -> bytes:
    return name.ljust(48) + size.ljust(10) + b"`\n"


def test_members_of_a_thin_archive(tmp_path: Path) -> None:
    names = b"one.o/\ntwo/three.o/\n"
    archive = THIN + header(b"/", b"3") + b"abc\n" + header(b"//", b"%d" % len(names)) + names
    (tmp_path / "lib.a").write_bytes(archive)
    assert linked_by(str(tmp_path / "lib.a")) == ["one.o", "two/three.o"]


@pytest.mark.parametrize("size", [b"", b"x", b"-60", b"-58", b"9999999999"])
def test_a_damaged_thin_archive_names_nothing(size: bytes, tmp_path: Path) -> None:
    (tmp_path / "lib.a").write_bytes(THIN + header(b"/", size))
    assert linked_by(str(tmp_path / "lib.a")) == []


@given(st.binary(max_size=300), st.sampled_from([b"", THIN, THIN + header(b"/", b"4")]))
def test_any_bytes_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(start + data)
    linked_by(str(path))
    mentions_of(str(path))
