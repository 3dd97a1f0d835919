"""The private copy: the rights of the image's user, later layers over earlier, no way out."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import SinkError
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.target import Smoke
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.sinks.smoke.private import private_folder
from scratchtasks.sinks.smoke.root import read_file, rights, unpack
from scratchtasks.sinks.smoke.trial import Trial, trial_of
from tests.packing import pack_layer

from .images import Bench

IDS = st.integers(0, 3)


def trial_with(bench: Bench, *layers: Sequence[FileEntry], **config: Any) -> Trial:
    """A trial of an image with exactly *layers*."""
    packed = []
    for entries in layers:
        with bench.store.writer(media.LAYER_GZIP) as out:
            packed.append(pack_layer(entries, bench.store.open, out))
            out.commit()
    image = bench.image(**config)
    other = PlatformImage(image.platform, image.manifest, image.config, tuple(packed))
    return trial_of(other, Smoke(), bench.store, "api")


def copy_of(trial: Trial, bench: Bench, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    root.mkdir()
    unpack(trial, bench.store, str(root), "api")
    return root


@given(
    mode=st.integers(0, 0o7777), owner=st.tuples(IDS, IDS), user=st.tuples(st.integers(1, 3), IDS)
)
def test_owner_bits_say_what_the_user_may_do(
    mode: int, owner: tuple[int, int], user: tuple[int, int]
) -> None:
    """The kernel looks at one class of bits only: owner's, else group's, else the others'."""
    classes = {"owner": mode & 0o700, "group": (mode & 0o070) << 3, "others": (mode & 0o007) << 6}
    kind = "owner" if user[0] == owner[0] else "group" if user[1] == owner[1] else "others"
    given_to_him = rights(mode, owner, user)
    assert given_to_him & 0o700 == classes[kind]
    assert given_to_him & 0o077 == mode & 0o077
    assert given_to_him & (stat.S_ISUID | stat.S_ISGID) == 0


@given(mode=st.integers(0, 0o7777), owner=st.tuples(IDS, IDS))
def test_root_keeps_the_mode_but_never_a_set_uid_bit(mode: int, owner: tuple[int, int]) -> None:
    assert rights(mode, owner, (0, 0)) == mode & 0o1777


def test_later_layers_win_and_missing_folders_are_made(bench: Bench, tmp_path: Path) -> None:
    trial = trial_with(
        bench,
        [bench.file("etc/a", b"old"), FileEntry(path="etc/b", kind="symlink", link="/etc/a")],
        [
            bench.file("etc/a", b"new", mode=0o4755),
            FileEntry(path="etc/z", kind="hardlink", link="etc/a"),
            bench.file("etc/b", b"a file now"),
            FileEntry(path="tmp", kind="dir", mode=0o1777),
        ],
        workdir="/srv/www",
        volumes=("/data",),
    )
    root = copy_of(trial, bench, tmp_path)
    seen = {}
    for path in sorted(root.rglob("*")):
        seen[str(path.relative_to(root))] = f"{path.lstat().st_mode:o}"
    assert seen == {
        "data": "40555", "dev": "40555", "etc": "40555", "etc/a": "100555", "etc/b": "100444",
        "etc/z": "100555", "proc": "40555", "srv": "40555", "srv/www": "40555", "tmp": "41777",
    }  # fmt: skip
    assert (root / "etc/a").read_bytes() == b"new"
    assert (root / "etc/b").read_bytes() == b"a file now"
    assert os.path.samefile(root / "etc/a", root / "etc/z")
    assert read_file(trial, bench.store, "etc/a", "api") == b"new"
    assert read_file(trial, bench.store, "etc/none", "api") == b""


def test_a_symbolic_link_leads_nowhere(bench: Bench, tmp_path: Path) -> None:
    """Neither a later layer nor a folder that must be made gets out of the copy by one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    link = FileEntry(path="srv", kind="symlink", link=str(outside))
    made = copy_of(trial_with(bench, [link], workdir="/srv/new"), bench, tmp_path)
    assert os.readlink(made / "srv") == str(outside)
    assert os.listdir(outside) == []

    made.rename(tmp_path / "first")
    trial = trial_with(bench, [link], [bench.file("srv/evil", b"x")])
    with pytest.raises(SinkError) as caught:
        copy_of(trial, bench, tmp_path)
    assert str(caught.value) == "api: /srv: a folder in one layer, a file in another"
    assert os.listdir(outside) == []


def test_a_folder_in_use_is_not_swept(tmp_path: Path) -> None:
    with private_folder(str(tmp_path)) as first:
        os.utime(first, (0, 0))
        with private_folder(str(tmp_path)) as second:
            assert sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, (first, second)))
    assert os.listdir(tmp_path) == []
