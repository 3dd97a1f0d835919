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


@pytest.fixture
def shown() -> list[bytes]:
    """What compilers said to the user, message by message."""
    return []


@pytest.fixture
def world_at(shown: list[bytes]) -> Callable[..., World]:
    """Makes a World for a root folder, which is created; *env* replaces the environment."""

    def make(root: Path | str, env: Mapping[str, str] | None = None) -> World:
        scratch = os.path.join(root, ".scratch")
        os.makedirs(scratch, exist_ok=True)
        seen = dict(os.environ) if env is None else env
        files = FileStates(str(root), os.path.join(scratch, "files"), env=seen)
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
