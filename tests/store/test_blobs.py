"""What comes out of the content store is what its name says, whatever happened to the disk."""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store import atomic, blobs, files

from .disk import TYPE, Disk, open_disk, unfinished


def damage(path: str, data: bytes | None = None, size: int | None = None) -> None:
    """Flip a bit, or replace or cut the content, with everything restored that can be."""
    info = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        if size is not None:
            file.truncate(size)
        else:
            old = file.read()
            file.seek(0)
            file.write(bytes([old[0] ^ 1]) + old[1:] if data is None else data)
    os.chmod(path, info.st_mode & 0o7777)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


class TestPut:
    def test_every_way_in_gives_the_same_blob(self, disk: Disk) -> None:
        data = bytes(range(256)) * 4000
        source = disk.root / "source"
        source.write_bytes(data)
        expected = Descriptor(TYPE, digest_of(data), len(data))
        with disk.store.writer(TYPE) as writer:
            assert writer.write(data[:10]) == 10
            writer.write(bytearray(data[10:700_000]))
            writer.write(memoryview(data)[700_000:])
            assert writer.commit() == expected
        path = disk.store.path(expected.digest)
        name = hashlib.sha256(data).hexdigest()
        assert path == f"{disk.folder}/sha256/{name[:2]}/{name}"
        inode = os.stat(path).st_ino
        assert disk.store.put_bytes(data, TYPE) == expected
        assert disk.store.put_file(str(source), TYPE) == expected
        assert os.stat(path).st_ino == inode, "rewritten although it was whole"
        assert os.stat(path).st_mode & 0o7777 == 0o444
        assert os.stat(path).st_ino != source.stat().st_ino
        assert unfinished(disk.folder) == []

    def test_a_file_that_is_taken_goes_there_itself(self, disk: Disk, tmp_path: Path) -> None:
        made = tmp_path / "made"
        for data in (b"one", b"two", b"one"):
            made.write_bytes(data)
            blob = disk.store.take_file(str(made), TYPE)
            assert blob == Descriptor(TYPE, digest_of(data), len(data))
            assert disk.store.read(blob.digest) == data
            assert os.stat(disk.store.path(blob.digest)).st_mode & 0o7777 == 0o444
            assert not made.exists()
        path = disk.store.path(digest_of(b"two"))
        inode = os.stat(path).st_ino
        os.chmod(path, 0o644)
        Path(path).write_bytes(b"bad")
        made.write_bytes(b"two")
        disk.store.take_file(str(made), TYPE)
        assert disk.store.read(digest_of(b"two")) == b"two"
        assert os.stat(path).st_ino != inode
        with pytest.raises(StoreError) as caught:
            disk.store.take_file(str(tmp_path), TYPE)
        assert str(caught.value) == f"{tmp_path}: wanted a file, got none, a folder or a device"

    @given(st.lists(st.binary(max_size=300) | st.just(bytes(300_000)), max_size=6))
    def test_pieces_of_any_size(
        self, tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
    ) -> None:
        disk = open_disk(tmp_path_factory.mktemp("disk"))
        with disk.store.writer(TYPE) as writer:
            for piece in pieces:
                writer.write(piece)
            blob = writer.commit()
        whole = b"".join(pieces)
        assert blob == Descriptor(TYPE, digest_of(whole), len(whole))
        assert disk.store.read(blob.digest) == whole

    def test_without_commit_nothing_stays(self, disk: Disk) -> None:
        with disk.store.writer(TYPE) as writer:
            writer.write(bytes(1_000_000))
            assert len(unfinished(disk.folder)) == 1

        def fail() -> None:
            with disk.store.writer(TYPE) as writer:
                writer.write(b"x")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert unfinished(disk.folder) == []
        assert not (disk.folder / "sha256").exists()

    def test_nothing_is_written_after_commit(self, disk: Disk) -> None:
        for _ in ("new", "there already"):
            with disk.store.writer(TYPE) as writer:
                writer.write(b"x")
                writer.commit()
                with pytest.raises(ValueError, match="before commit"):
                    writer.write(b"y")
                with pytest.raises(ValueError, match="before commit"):
                    writer.commit()
            assert unfinished(disk.folder) == []

    def test_a_damaged_blob_is_replaced(self, disk: Disk) -> None:
        ways: list[Callable[[], Descriptor]] = [
            lambda: disk.store.put_bytes(b"good", TYPE),
            lambda: written(disk, b"good"),
        ]
        for put in ways:
            blob = put()
            damage(disk.store.path(blob.digest))
            assert put() == blob
            assert disk.store.read(blob.digest) == b"good"

    def test_what_is_no_file_is_refused(self, disk: Disk) -> None:
        def error_of(path: str) -> str:
            with pytest.raises(StoreError) as caught:
                disk.store.put_file(path, TYPE)
            return str(caught.value)

        missing, folder = f"{disk.root}/missing", f"{disk.root}/folder"
        os.mkdir(folder)
        assert error_of(missing) == f"{missing}: cannot be read: no such file or directory"
        assert error_of(folder) == f"{folder}: wanted a file, got a folder or a device"
        assert error_of("/dev/zero") == "/dev/zero: wanted a file, got a folder or a device"
        assert unfinished(disk.folder) == []

    def test_a_source_that_changes_meanwhile_is_refused(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = disk.root / "source"
        source.write_bytes(bytes(1_000_000))
        write_all = atomic.write_all

        def slow(fd: int, data: bytes | bytearray | memoryview) -> None:
            write_all(fd, data)
            with open(source, "r+b") as file:
                file.write(b"changed")

        monkeypatch.setattr(blobs, "write_all", slow)
        with pytest.raises(StoreError) as caught:
            disk.store.put_file(str(source), TYPE)
        assert str(caught.value) == (
            f"{source}: changed while it was copied\n    hint: is another program still writing it?"
        )
        assert unfinished(disk.folder) == []

    def test_putting_again_keeps_a_blob_young(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"x", TYPE)
        path = disk.store.path(blob.digest)
        os.utime(path, (1, 1))
        disk.store.put_bytes(b"x", TYPE)
        assert time.time() - os.stat(path).st_mtime < 60
        assert disk.store.has(blob)

    def test_without_a_boot_id_blobs_are_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[str] = []
        monkeypatch.setattr(
            os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        )
        open_disk(tmp_path).store.put_bytes(b"one", TYPE)
        assert synced == []
        monkeypatch.setattr(files, "boot_id", lambda: "")
        disk = open_disk(tmp_path)
        blob = disk.store.put_bytes(b"two", TYPE)
        assert len(synced) == 2
        assert synced[0].startswith(str(disk.folder / "tmp"))
        assert synced[1] == os.path.dirname(disk.store.path(blob.digest))


class TestTrust:
    @pytest.mark.parametrize("wait", [0, 0.07])
    @pytest.mark.parametrize("anew", [False, True])
    def test_a_bit_flip_with_mtime_restored(self, tmp_path: Path, wait: float, anew: bool) -> None:
        disk = open_disk(tmp_path)
        blob = disk.store.put_bytes(b"good", TYPE)
        assert disk.store.fault(blob) == ""
        time.sleep(wait)
        assert disk.store.has(blob)
        disk.store._files.save()
        damage(disk.store.path(blob.digest))
        if anew:
            disk = open_disk(tmp_path)
        other = digest_of(b"food")
        assert disk.store.fault(blob) == f"blob {blob.digest} is damaged: its 4 bytes have {other}"
        for read in (disk.store.open, disk.store.read):
            with pytest.raises(StoreError) as caught:
                read(blob.digest)
            assert str(caught.value) == (
                f"{disk.store.path(blob.digest)}: blob {blob.digest} is damaged: "
                f"its 4 bytes have {other}"
            )
        assert not disk.store.has(blob)
        assert not os.path.exists(disk.store.path(blob.digest))
        assert disk.store.fault(blob) == f"blob {blob.digest} is missing"

    def test_a_truncated_blob(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"whole", TYPE)
        damage(disk.store.path(blob.digest), size=0)
        assert disk.store.fault(blob) == (
            f"blob {blob.digest} is damaged: its 0 bytes have {digest_of(b'')}"
        )
        assert not disk.store.has(blob)

    def test_a_wrong_size_does_not_cost_others_the_blob(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"whole", TYPE)
        wrong = Descriptor(TYPE, blob.digest, 6)
        assert disk.store.fault(wrong) == f"blob {blob.digest} has 5 bytes (wanted 6)"
        assert not disk.store.has(wrong)
        assert disk.store.has(blob)

    def test_a_missing_blob(self, disk: Disk) -> None:
        digest = digest_of(b"never put")
        assert not disk.store.has(Descriptor(TYPE, digest, 9))
        for read in (disk.store.open, disk.store.read):
            with pytest.raises(StoreError) as caught:
                read(digest)
            assert str(caught.value) == f"{disk.store.path(digest)}: blob {digest} is missing"

    def test_open_and_read(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        with disk.store.open(blob.digest) as file:
            assert file.read() == b"data"
        assert disk.store.read(blob.digest) == b"data"


class TestLink:
    def test_is_the_same_file_and_stays_verified(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        dest = disk.root / "dist" / "api" / "blob"
        disk.store.link(blob, str(dest))
        assert os.path.samefile(dest, disk.store.path(blob.digest))
        assert dest.stat().st_mode & 0o7777 == 0o444
        assert disk.store.has(blob)
        before = dest.stat()
        disk.store.link(blob, str(dest))
        assert dest.stat() == before
        assert os.listdir(dest.parent) == ["blob"]

    def test_replaces_what_is_there(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        victim = disk.root / "victim"
        victim.write_bytes(b"data")
        old, link, dangling = (disk.root / name for name in ("old", "link", "dangling"))
        old.write_bytes(b"date")
        link.symlink_to(victim)
        dangling.symlink_to("nowhere")
        for dest in (old, link, dangling, victim):
            disk.store.link(blob, str(dest))
            assert not dest.is_symlink()
            assert os.path.samefile(dest, disk.store.path(blob.digest))

    def test_a_whole_copy_is_left_alone(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        dest = disk.root / "copy"
        dest.write_bytes(b"data")
        dest.chmod(0o444)
        inode = dest.stat().st_ino
        disk.store.link(blob, str(dest))
        assert dest.stat().st_ino == inode

    def test_an_edit_through_the_link_is_noticed_and_undone(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        dest = disk.root / "dist"
        disk.store.link(blob, str(dest))
        damage(str(dest))
        with pytest.raises(StoreError) as caught:
            disk.store.link(blob, str(dest))
        other = digest_of(b"eata")
        assert (
            str(caught.value) == f"{dest}: blob {blob.digest} is damaged: its 4 bytes have {other}"
        )
        assert disk.store.put_bytes(b"data", TYPE) == blob
        disk.store.link(blob, str(dest))
        assert dest.read_bytes() == b"data"
        assert os.path.samefile(dest, disk.store.path(blob.digest))

    @pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
    def test_copies_where_hard_links_do_not_reach(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refused(source: str, dest: str) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", refused)
        blob = disk.store.put_bytes(b"data", TYPE)
        dest = disk.root / "dist" / "blob"
        disk.store.link(blob, str(dest))
        assert dest.read_bytes() == b"data"
        assert dest.stat().st_mode & 0o7777 == 0o444
        assert dest.stat().st_nlink == 1
        before = dest.stat()
        disk.store.link(blob, str(dest))
        assert dest.stat() == before
        damage(str(dest))
        disk.store.link(blob, str(dest))
        assert dest.read_bytes() == b"data"
        assert os.listdir(dest.parent) == ["blob"]

    def test_two_at_once_leave_no_temporary_name(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace = os.replace

        def late(old: str, new: str) -> None:
            # Somebody else links the blob first: the rename is then of one inode to itself.
            os.link(old, new)
            replace(old, new)

        blob = disk.store.put_bytes(b"data", TYPE)
        monkeypatch.setattr(os, "replace", late)
        disk.store.link(blob, str(disk.root / "dist" / "blob"))
        assert os.listdir(disk.root / "dist") == ["blob"]

    def test_a_blob_that_is_put_again_in_that_moment(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link, refusals = os.link, iter((True, True, False))

        def late(old: str, new: str) -> None:
            # What link(2) does with a file that was found, and lost its last name since.
            if next(refusals):
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", old, None, new)
            link(old, new)

        blob = disk.store.put_bytes(b"data", TYPE)
        monkeypatch.setattr(os, "link", late)
        dest = disk.root / "dist" / "blob"
        disk.store.link(blob, str(dest))
        assert dest.samefile(disk.store.path(blob.digest))

    def test_a_folder_in_the_way(self, disk: Disk) -> None:
        blob = disk.store.put_bytes(b"data", TYPE)
        dest = disk.root / "dist" / "blob"
        dest.mkdir(parents=True)
        with pytest.raises(StoreError) as caught:
            disk.store.link(blob, str(dest))
        assert str(caught.value) == (
            f"{dest}: cannot be written: is a directory\n    hint: move it elsewhere"
        )
        assert os.listdir(dest.parent) == ["blob"]

    def test_a_missing_blob(self, disk: Disk) -> None:
        blob = Descriptor(TYPE, Digest("sha256:" + "0" * 64), 1)
        with pytest.raises(StoreError) as caught:
            disk.store.link(blob, str(disk.root / "dist"))
        assert str(caught.value) == f"{disk.root}/dist: blob {blob.digest} is missing"
        assert not (disk.root / "dist").exists()


def written(disk: Disk, data: bytes) -> Descriptor:
    with disk.store.writer(TYPE) as writer:
        writer.write(data)
        return writer.commit()
