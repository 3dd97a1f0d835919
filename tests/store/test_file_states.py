"""The stat cache never says anything but what a fresh look would, and seldom has to look."""

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store import files, signature
from scratchtasks.store.database import Saved, read_saved, write_saved
from scratchtasks.store.files import FileStates
from scratchtasks.store.signature import is_settled

SETTLE = 0.07
WRONG = Digest("sha256:" + "0" * 64)


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], FileStates]:
    """Makes the FileStates that a new process would."""
    return lambda: FileStates(str(tmp_path), str(tmp_path / ".scratch" / "files"))


def settle() -> None:
    time.sleep(SETTLE)


def overwrite(path: Path, data: bytes) -> None:
    """Change the content behind everybody's back: same inode, mtime restored."""
    info = path.stat()
    mode = info.st_mode
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()
    path.chmod(stat.S_IMODE(mode))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def lie(tmp_path: Path, change: Callable[[Saved], None] = lambda _: None) -> None:
    """Put WRONG for every saved value, to see which of them are trusted."""
    path = str(tmp_path / ".scratch" / "files")
    saved = read_saved(path)
    assert saved.entries
    saved.entries = {key: (e[0], WRONG, *e[2:]) for key, e in saved.entries.items()}
    change(saved)
    write_saved(path, saved)


class TestFiles:
    def test_values(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        (tmp_path / "file").write_bytes(b"text")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("file")
        (tmp_path / "dangling").symlink_to("nowhere")
        os.mkfifo(tmp_path / "fifo")
        states = fresh()
        text = digest_of(b"text")
        expected = {
            "file": text,
            "./file": text,
            "link": text,
            str(tmp_path / "file"): text,
            "folder": "dir",
            "folder/": "dir",
            "": "dir",
            "fifo": "other",
            "/dev/null": "other",
            "dangling": "",
            "missing": "",
            "file/below": "",
            "nul\0byte": "",
        }
        items = {Input("file", path): value for path, value in expected.items()}
        assert states.observe_all(items) == items
        digests = {path: v if v.startswith("sha256:") else None for path, v in expected.items()}
        assert {path: states.digest(path) for path in expected} == digests

    def test_names_that_are_not_utf8(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        name = os.fsdecode(b"caf\xe9.txt")
        (tmp_path / name).write_bytes(b"x")
        settle()
        states = fresh()
        assert states.observe(Input("file", name)) == digest_of(b"x")
        listing = states.observe(Input("names", "", ".txt"))
        states.save()
        again = fresh()
        assert again.observe(Input("file", name)) == digest_of(b"x")
        assert again.observe(Input("names", "", ".txt")) == listing

    def test_modes(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        path = tmp_path / "tool"
        path.touch(0o644)
        states = fresh()
        seen = [states.observe(Input("mode", "missing"))]
        for mode in (0o644, 0o744, 0o655):
            path.chmod(mode)
            states.forget_scan()
            seen.append(states.observe(Input("mode", "tool")))
        assert seen == ["", "-", "x", "-"]

    def test_links(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "a").symlink_to("file")
        (tmp_path / "b").symlink_to("nowhere/at/all")
        states = fresh()
        paths = ("a", "b", "file", "missing", "file/below")
        values = [states.observe(Input("link", path)) for path in paths]
        assert values == ["file", "nowhere/at/all", "", "", ""]

    def test_an_unreadable_file_is_an_error(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(StoreError) as caught:
            fresh().observe(Input("file", "loop"))
        assert str(caught.value) == (
            f"{tmp_path}/loop: cannot be read: too many levels of symbolic links"
        )

    def test_a_scan_sees_one_state(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        path, item = tmp_path / "file", Input("file", "file")
        path.write_bytes(b"one")
        states = fresh()
        assert states.observe(item) == digest_of(b"one")
        path.write_bytes(b"two")
        assert states.observe(item) == digest_of(b"one")
        assert states.digest("file") == digest_of(b"two")
        assert states.observe_all([item], fresh=True) == {item: digest_of(b"two")}
        assert states.observe(item) == digest_of(b"two")
        path.write_bytes(b"three")
        states.forget_scan()
        assert states.observe(item) == digest_of(b"three")

    def test_a_file_that_keeps_changing_is_an_error(
        self, tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "log"
        path.write_bytes(b"x")
        read = os.read

        def growing(fd: int, count: int) -> bytes:
            data = read(fd, count)
            if data:
                with open(path, "ab") as file:
                    file.write(b"x")
            return data[:1] if len(data) < 10 else b""

        monkeypatch.setattr(os, "read", growing)
        with pytest.raises(StoreError) as caught:
            fresh().digest("log")
        assert str(caught.value) == (
            f"{path}: changes while it is read\n    hint: is another program still writing it?"
        )


class TestNames:
    def test_only_what_the_pattern_sees_counts(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        for name in ("main.go", "go.mod", "main_test.go", "README"):
            (tmp_path / name).touch()
        states = fresh()
        item = Input("names", "", ".go|go.mod|!_test.go")
        values: list[str] = []

        def look() -> None:
            states.forget_scan()
            values.append(states.observe(item))

        look()
        (tmp_path / "NEWS").touch()
        (tmp_path / "other_test.go").touch()
        (tmp_path / "main.go").write_bytes(b"content is another input's business")
        look()
        assert values[1] == values[0]
        (tmp_path / "b.go").touch()
        look()
        (tmp_path / "b.go").rename(tmp_path / "c.go")
        look()
        (tmp_path / "c.go").unlink()
        (tmp_path / "c.go").mkdir()
        look()
        (tmp_path / "c.go").rmdir()
        (tmp_path / "c.go").symlink_to("/")
        look()
        (tmp_path / "c.go").unlink()
        (tmp_path / "c.go").symlink_to("nowhere")
        look()
        assert len(set(values)) == 6
        (tmp_path / "c.go").unlink()
        look()
        assert values[-1] == values[0]

    def test_without_a_folder(self, tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
        (tmp_path / "file").touch()
        states = fresh()
        assert states.observe(Input("names", "missing", "*")) == ""
        assert states.observe(Input("names", "file", "*")) == ""

    def test_what_a_symlink_leads_to_may_change_elsewhere(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "target").touch()
        (tmp_path / "folder" / "link").symlink_to("../target")
        settle()
        states, item = fresh(), Input("names", "folder", "*")
        before = states.observe(item)
        (tmp_path / "target").unlink()
        (tmp_path / "target").mkdir()
        states.forget_scan()
        assert states.observe(item) != before

    def test_the_order_of_creation_and_the_place_do_not_matter(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        for folder, names in (("a", "xyz"), ("b", "zyx")):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        states = fresh()
        assert states.observe(Input("names", "a")) == states.observe(Input("names", "b"))
        assert states.observe(Input("names", "a", "*")) == states.observe(
            Input("names", str(tmp_path / "b"), "*")
        )


class TestTrust:
    def test_an_untouched_file_is_not_read_again(
        self,
        tmp_path: Path,
        fresh: Callable[[], FileStates],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        items = [Input("file", f"src/{n}.go") for n in range(20)] + [Input("names", "src", ".go")]
        (tmp_path / "src").mkdir()
        for n in range(20):
            (tmp_path / "src" / f"{n}.go").write_text(str(n))
        settle()
        states = fresh()
        values = states.observe_all(items)
        states.save()

        def forbidden(*_: object) -> None:
            raise AssertionError("read again")

        monkeypatch.setattr(files, "read_file", forbidden)
        monkeypatch.setattr(files, "list_folder", forbidden)
        states.forget_scan()
        assert states.observe_all(items) == values
        assert fresh().observe_all(items) == values

    def test_a_second_write_in_the_same_tick_is_seen(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        path, states = tmp_path / "file", fresh()
        path.write_bytes(b"00000")
        for n in range(300):
            data = b"%05d" % n
            overwrite(path, data)
            assert states.digest("file") == digest_of(data)

    def test_a_symlink_to_a_twin_is_seen(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
        for _ in range(1000):
            # Same size, same stamps: only the inodes differ, once both fall into one tick.
            one.write_bytes(b"one")
            two.write_bytes(b"two")
            os.utime(one, (1, 1))
            os.utime(two, (1, 1))
            if one.stat().st_ctime_ns == two.stat().st_ctime_ns:
                break
            one.unlink()
            two.unlink()
        link.symlink_to("one")
        settle()
        states = fresh()
        assert states.digest("link") == digest_of(b"one")
        link.unlink()
        link.symlink_to("two")
        assert states.digest("link") == digest_of(b"two")

    def test_racy_rule(self) -> None:
        second = 1_000_000_000
        now = 1_700_000_000 * second + 123_456_789

        def settled(mtime: int, ctime: int) -> bool:
            return is_settled((1, mtime, ctime, 7, 8), now)

        long_ago = now - 3600 * second
        assert settled(long_ago, long_ago)
        assert settled(long_ago, now - 51_000_000)
        assert not settled(long_ago, now - 49_000_000)
        assert not settled(now - 49_000_000, long_ago)
        assert not settled(now + second, long_ago)
        assert not settled(long_ago, now + second)
        # Whole seconds both: a coarse clock.
        whole = now // second * second
        assert not settled(whole - second, whole - second)
        assert settled(whole - 2 * second, whole - 2 * second)
        # Only one whole: somebody set it, the clock is fine.
        assert settled(whole - second, now - 51_000_000)

    def test_a_clock_that_was_set_back_is_not_trusted(
        self, tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_bytes(b"x")
        settle()
        states = fresh()
        states.observe(Input("file", "file"))
        states.save()
        lie(tmp_path)
        assert fresh().observe(Input("file", "file")) == WRONG
        clock = time.time_ns() - 3600 * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: clock)
        assert fresh().observe(Input("file", "file")) == digest_of(b"x")
        assert fresh().digest("file") == digest_of(b"x")

    def test_an_mtime_in_the_future_is_not_trusted(
        self, tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, states = tmp_path / "file", fresh()
        path.write_bytes(b"x")
        ahead = time.time_ns() + 3600 * 10**9
        os.utime(path, ns=(ahead, ahead))
        settle()
        assert states.digest("file") == digest_of(b"x")
        reads: list[str] = []
        read_file = signature.read_file

        def watched(path: str) -> signature.Content | None:
            reads.append(path)
            return read_file(path)

        monkeypatch.setattr(files, "read_file", watched)
        assert states.digest("file") == digest_of(b"x")
        assert reads == [str(path)]

    def test_our_own_file_is_not_read_again_once_states_are_saved(
        self, tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The memo looks at blobs after that, and those of the last image are a moment old."""
        path, states = tmp_path / "blobs/blob", fresh()
        states.guard(str(path.parent))
        path.parent.mkdir()

        def forbidden(_: str) -> None:
            raise AssertionError("read again")

        monkeypatch.setattr(files, "read_file", forbidden)
        monkeypatch.setattr(files, "is_settled", lambda *_: False)  # for ever young
        path.write_bytes(b"x")
        states.adopt(str(path), digest_of(b"x"))
        for _ in range(2):
            states.save()
            assert states.digest(str(path)) == digest_of(b"x")

    def test_our_own_files_hold_only_for_the_boot(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        for name in ("blobs/blob", "source", "copy"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())
        names = ("blobs/blob", "source", "copy")

        def process() -> FileStates:
            states = fresh()
            states.guard(str(tmp_path / "blobs"))
            return states

        states = process()
        states.adopt(str(tmp_path / "copy"), digest_of(b"copy"))
        settle()
        assert [states.digest(name) for name in names] == [digest_of(n.encode()) for n in names]
        states.save()
        lie(tmp_path)
        assert [process().digest(name) for name in names] == [WRONG, WRONG, WRONG]

        def reboot(saved: Saved) -> None:
            saved.boot = "another"

        lie(tmp_path, reboot)
        expected = [digest_of(b"blobs/blob"), WRONG, digest_of(b"copy")]
        assert [process().digest(name) for name in names] == expected

    def test_an_adopted_file_is_still_looked_at(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        path, states = tmp_path / "file", fresh()
        path.write_bytes(b"one")
        states.adopt("file", digest_of(b"one"))
        overwrite(path, b"two")
        assert states.digest("file") == digest_of(b"two")
        settle()
        states.adopt(str(path), digest_of(b"two"))
        overwrite(path, b"six")
        assert states.digest("file") == digest_of(b"six")
        states.adopt("missing", WRONG)
        assert states.digest("missing") is None

    def test_what_we_wrote_is_seen_in_the_same_scan(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        states, item = fresh(), Input("file", "out")
        assert states.observe(item) == ""
        (tmp_path / "out").write_bytes(b"x")
        states.adopt("out", digest_of(b"x"))
        assert states.observe(item) == digest_of(b"x")


def test_observing_5000_unchanged_items_is_near_the_cost_of_stat(
    tmp_path: Path, fresh: Callable[[], FileStates]
) -> None:
    items = []
    for n in range(5000):
        folder = tmp_path / f"p{n // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{n}.go").touch()
        items.append(Input("file", f"p{n // 100}/{n}.go"))
    settle()
    states = fresh()
    states.observe_all(items)
    paths = [str(tmp_path / item.path) for item in items]
    observing, statting = [], []
    for _ in range(7):
        states.forget_scan()
        start = time.perf_counter()
        states.observe_all(items)
        middle = time.perf_counter()
        for path in paths:
            os.stat(path)
        observing.append(middle - start)
        statting.append(time.perf_counter() - middle)
    assert min(observing) < 3 * min(statting)


def test_threads_agree(tmp_path: Path, fresh: Callable[[], FileStates]) -> None:
    items = [Input("file", str(n)) for n in range(200)]
    for item in items:
        (tmp_path / item.path).write_text(item.path)
    states, seen = fresh(), list[dict[Input, str]]()

    def work() -> None:
        for _ in range(3):
            seen.append(states.observe_all(items))
            states.forget_scan()
            states.save()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {item: digest_of(item.path.encode()) for item in items}
    assert seen == [expected] * 12


def test_variables_are_seen_but_not_told(tmp_path: Path) -> None:
    env = {"TOKEN": "secret", "EMPTY": ""}
    states = FileStates(str(tmp_path), str(tmp_path / "files"), env=env)
    items = [Input("env", name) for name in (*env, "NONE")]
    assert [*states.observe_all(items).values()] == [digest_of(b"secret"), digest_of(b""), ""]
