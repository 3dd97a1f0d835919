"""A World for a workspace in a temporary folder, with everything in it real."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest

from scratchtasks.execute.operation import World
from scratchtasks.execute.process import Processes
from scratchtasks.execute.toolchains import find_package
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
from scratchtasks.store.proven import ProvenFolder
from scratchtasks.store.signature import Content
from scratchtasks.store.trees import SavedTree, Trees


@pytest.fixture
def shown() -> list[bytes]:
    """What compilers said to the user, message by message."""
    return []


_LARGE = 1 << 20
"""Bytes. Compilers, their libraries, and what they link are larger."""


class Compilers:
    """What large files and Go's standard library hold, as far as a test has read them.

    To hash Rust's 600 MB takes longer than a small crate: it is done once for all tests, and, as
    in a run of doit, again where stat moved.  Nothing in *tests*, the folder of them all, counts.
    """

    def __init__(self, tests: str) -> None:
        self._tests = f"{tests}/"
        self._contents: dict[str, Content] = {}
        self._trees: dict[str, SavedTree] = {}
        self._last: FileStates | None = None

    def tell(self, files: FileStates) -> None:
        """Have *files*, which are new, know what was read so far."""
        if self._last is not None:
            for path, (signature, value, *_) in self._last._entries.items():
                if signature[:1] > (_LARGE,) and not path.startswith(self._tests):
                    self._contents[path] = Content(value, signature, settled=True)
            for root, tree in self._last.trees.saved().items():
                if not root.startswith(self._tests):
                    self._trees[root] = tree
        files.learn(self._contents)
        files.trees = Trees({**self._trees, **files.trees.saved()})
        self._last = files


@pytest.fixture(scope="session")
def seen_compilers(tmp_path_factory: pytest.TempPathFactory) -> Compilers:
    return Compilers(str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def world_at(shown: list[bytes], seen_compilers: Compilers) -> Callable[..., World]:
    """Makes a World for a root folder, which is created; *env* replaces the environment."""

    def make(root: Path | str, env: Mapping[str, str] | None = None) -> World:
        scratch = os.path.join(root, ".scratch")
        os.makedirs(scratch, exist_ok=True)
        seen = dict(os.environ) if env is None else env
        files = FileStates(str(root), os.path.join(scratch, "files"), env=seen)
        seen_compilers.tell(files)
        store = ContentStore(os.path.join(scratch, "blobs"), files)
        return World(
            root=str(root),
            scratch=scratch,
            env=seen,
            epoch=0,
            files=files,
            store=store,
            cache=ActionCache(os.path.join(scratch, "actions"), store),
            processes=Processes(shown.append),
        )

    return make


@pytest.fixture
def world(tmp_path: Path, world_at: Callable[..., World]) -> World:
    """A World for an empty workspace, with this process's environment."""
    return world_at(tmp_path / "ws")


@pytest.fixture(scope="session")
def zig_cache() -> Path:
    """zig's own builds of libc take a minute for each target, so they outlive the tests.

    So does the zig that makes them, in `ziglang_beside` it: to one in another place they are new.
    """
    home = os.environ.get("SCRATCH_TEST_CACHE") or os.path.expanduser("~/.cache/scratchtasks-tests")
    path = Path(home, "zig")
    path.mkdir(parents=True, exist_ok=True)
    package, kept = find_package("ziglang"), ziglang_beside(path)
    assert package is not None
    if not kept.is_dir():
        made = tempfile.mkdtemp(dir=home)
        shutil.copytree(package, made, dirs_exist_ok=True)
        with suppress(OSError):  # another worker was quicker
            os.rename(made, kept)
        shutil.rmtree(made, ignore_errors=True)
    ProvenFolder(str(path)).record()  # tests that were killed have left it whole
    return path


def ziglang_beside(zig_cache: Path) -> Path:
    """Where the copy of the package ziglang is that *zig_cache* is of."""
    return zig_cache.with_name(f"ziglang-{version('ziglang')}")
