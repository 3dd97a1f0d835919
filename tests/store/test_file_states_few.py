"""What runs that look at few files know, and what mounts without ctime cannot tell."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.action import Input
from scratchtasks.core.digest import digest_of
from scratchtasks.store import files, signature
from scratchtasks.store.database import read_saved, write_saved
from scratchtasks.store.files import FileStates

from .test_file_states import WRONG, fresh, lie, settle

__all__ = ["fresh"]


class TestFew:
    """Runs that look at few files do not read what is known of all."""

    @pytest.fixture
    def large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """A database that counts as large, and knows of three files."""
        monkeypatch.setattr(files, "_LARGE", 1)
        for name in ("a", "b", "c"):
            (tmp_path / name).write_text(name)
        settle()
        database = str(tmp_path / ".scratch" / "files")
        states = FileStates(str(tmp_path), database)
        states.observe_all([Input("file", name) for name in ("a", "b", "c")])
        states.probes.ask("compiler", lambda: "1.0")
        states.save()
        return database

    def test_all_are_known_again_when_all_are_read(self, tmp_path: Path, large: str) -> None:
        before = read_saved(large)
        (tmp_path / "b").write_text("new")
        settle()
        for _ in range(2):
            few = FileStates(str(tmp_path), large, few=True)
            assert few.observe(Input("file", "b")) == digest_of(b"new")
            assert few.probes.ask("compiler", lambda: "asked again") == "1.0"
            few.save()
            assert read_saved(large) == before, "what is known of all was written"
        everything = FileStates(str(tmp_path), large)
        (tmp_path / "d").write_text("d")
        everything.observe(Input("file", "d"))
        everything.save()
        saved = read_saved(large)
        assert {Path(path).name for path in saved.entries} == {"a", "b", "c", "d"}
        assert saved.entries[str(tmp_path / "b")][1] == digest_of(b"new")

    def test_what_is_ours_stays_ours_when_few_look_at_it(self, tmp_path: Path, large: str) -> None:
        (tmp_path / "copy").write_text("copy")
        states = FileStates(str(tmp_path), large)
        states.adopt("copy", digest_of(b"copy"))
        settle()
        states.save()
        few = FileStates(str(tmp_path), large, few=True)
        assert few.digest("copy") == digest_of(b"copy")
        few.save()
        for path in (large, f"{large}.recent"):
            saved = read_saved(path)
            saved.entries = {key: (e[0], WRONG, *e[2:]) for key, e in saved.entries.items()}
            saved.boot = "another"
            write_saved(path, saved)
        assert FileStates(str(tmp_path), large).digest("copy") == digest_of(b"copy")

    def test_what_few_have_learnt_is_trusted_by_few(self, tmp_path: Path, large: str) -> None:
        for _ in range(2):
            few = FileStates(str(tmp_path), large, few=True)
            assert few.observe(Input("file", "a")) == digest_of(b"a")
            few.save()
        path = f"{large}.recent"
        recent = read_saved(path)
        recent.entries = {key: (e[0], WRONG, *e[2:]) for key, e in recent.entries.items()}
        assert recent.entries
        write_saved(path, recent)
        few = FileStates(str(tmp_path), large, few=True)
        assert few.observe(Input("file", "a")) == WRONG, "it was hashed again"

    def test_a_small_database_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("a")
        settle()
        database = str(tmp_path / ".scratch" / "files")
        states = FileStates(str(tmp_path), database)
        states.observe(Input("file", "a"))
        states.save()
        lie(tmp_path)
        assert FileStates(str(tmp_path), database, few=True).observe(Input("file", "a")) == WRONG


MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 8:17 / /media/a\\040stick rw shared:2 - vfat /dev/sdb1 rw,fmask=0022
41 22 0:45 / /mnt/far rw - fuse.sshfs host:/srv rw,user_id=0
42 22 0:46 / /mnt/tmp rw shared:3 master:4 - tmpfs tmpfs rw
43 22 0:47 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
44 22 0:48 / /workspaces rw - virtiofs shared rw
45 22 0:49 / /mnt/new rw - neverheardofit host rw
"""
HOUR = 3_600_000_000_000


def test_mounts_whose_ctime_is_not_this_machines_are_known() -> None:
    assert signature.doubts_of(MOUNTINFO) == {
        os.makedev(8, 17): 1 << 64,
        os.makedev(0, 45): 1 << 64,
        os.makedev(0, 47): HOUR,
        os.makedev(0, 48): HOUR,
        os.makedev(0, 49): 1 << 64,
    }


def test_what_lies_on_another_machine_is_trusted_when_no_clock_can_be_that_far_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signature, "_doubts", lambda: {7: HOUR})
    written = 1_700_000_000_123_456_789
    there, here = ((5, written, written, 1, device) for device in (7, 8))
    assert not signature.is_settled(there, written + HOUR)
    assert signature.is_settled(there, written + HOUR + 60_000_000)
    assert signature.is_settled(here, written + 60_000_000)


def test_what_lies_on_a_mount_without_ctime_is_read_each_time(
    tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path.stat().st_dev
    monkeypatch.setattr(signature, "_doubts", lambda: {device: 1 << 64})
    (tmp_path / "file").write_text("text")
    settle()
    states = fresh()
    assert states.observe(Input("file", "file")) == digest_of(b"text")
    assert states.note(Input("file", "file"), digest_of(b"text")) == ()
    states.save()
    lie(tmp_path)
    assert fresh().observe(Input("file", "file")) == digest_of(b"text")
