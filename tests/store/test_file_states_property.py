"""Whatever happens to the files, FileStates says what a fresh look would."""

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scratchtasks.core.action import Input
from scratchtasks.core.digest import digest_of
from scratchtasks.core.go_head import go_head
from scratchtasks.core.names import is_match
from scratchtasks.store.files import FileStates

NAMES = st.sampled_from(["a.go", "b.go", "c.txt", "d"])
DATA = st.sampled_from([b"one", b"two", b"six", b"longer", b"a\nvar x", b"a\nvar y"])
PATTERNS = ("*", ".go", ".go|d")


class Edits(RuleBasedStateMachine):
    """Edits of every kind a stat cache could miss, across runs, settled and not."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp())
        self.root = self.scratch / "root"
        self.root.mkdir()
        self.states = self.process()

    def process(self) -> FileStates:
        return FileStates(str(self.root), str(self.scratch / "database"))

    def teardown(self) -> None:
        shutil.rmtree(self.scratch)

    def clear(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @rule(name=NAMES, data=DATA)
    def overwrite_with_mtime_restored(self, name: str, data: bytes) -> None:
        path = self.root / name
        if path.is_file():
            info = path.stat()
            path.write_bytes(data)
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))

    @rule(name=NAMES, data=DATA)
    def replace_by_rename_with_mtime_kept(self, name: str, data: bytes) -> None:
        path, new = self.root / name, self.scratch / "new"
        new.write_bytes(data)
        if path.is_file():
            info = path.stat()
            os.utime(new, ns=(info.st_atime_ns, info.st_mtime_ns))
        self.clear(path)
        new.rename(path)

    @rule(name=NAMES, content=DATA)
    def swap_symlink(self, name: str, content: bytes) -> None:
        # One of two older files, so that only the link itself is new.
        pool = self.scratch / "pool"
        pool.mkdir(exist_ok=True)
        old = pool / content.decode()
        if not old.exists():
            old.write_bytes(content)
        self.clear(self.root / name)
        (self.root / name).symlink_to(old)

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        if os.path.lexists(self.root / name) and name != other:
            self.clear(self.root / other)
            (self.root / name).rename(self.root / other)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.clear(self.root / name)

    @rule(name=NAMES)
    def make_folder(self, name: str) -> None:
        self.clear(self.root / name)
        (self.root / name).mkdir()

    @rule()
    def let_it_settle(self) -> None:
        time.sleep(0.06)

    @rule()
    def start_anew(self) -> None:
        self.states.save()
        self.states = self.process()

    @invariant()
    def says_what_a_fresh_look_would(self) -> None:
        self.states.forget_scan()
        for name in ("a.go", "b.go", "c.txt", "d"):
            path = self.root / name
            if path.is_file():
                expected = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
                assert self.states.digest(name) == expected
            else:
                expected = "dir" if path.is_dir() else ""
                assert self.states.digest(name) is None
            head = digest_of(go_head(path.read_bytes())) if path.is_file() else expected
            assert self.states.observe(Input("head", name)) == head
            assert self.states.observe(Input("file", name)) == expected
        for pattern in PATTERNS:
            assert self.states.observe(Input("names", "", pattern)) == self.listing(pattern)

    def listing(self, pattern: str) -> str:
        seen = []
        for path in sorted(self.root.iterdir(), key=lambda path: os.fsencode(path.name)):
            if is_match(path.name, pattern):
                kind = "d" if path.is_dir() else "f" if path.is_file() else ""
                kind += "l" if path.is_symlink() else ""
                seen.append(f"{path.name}/{kind}\0".encode())
        return "sha256:" + hashlib.sha256(b"".join(seen)).hexdigest()


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=12, stateful_step_count=25)
