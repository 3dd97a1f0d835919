"""The root file system in memory: planted, it is what a private copy would be."""

import hashlib
import inspect
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.target import Smoke, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.sinks.smoke.root import unpack
from scratchtasks.sinks.smoke.tree import FILE, Tree, tree_of
from scratchtasks.sinks.smoke.trial import Trial, trial_of

from .images import Bench
from .test_root import trial_with

LARGE = b"0123456789abcdef" * 8192
MOST = 1 << 24


def walk(root: str) -> dict[str, list[Any]]:
    """Mode and content of all that is in *root*, by path; the program below has it, too."""
    found = {}
    for folder, names, files in os.walk(root):
        for name in (".", *names, *files):
            path = os.path.normpath(f"{folder}/{name}")
            mode, what = os.lstat(path).st_mode, ""
            if stat.S_ISLNK(mode):
                what = os.readlink(path)
            elif stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    what = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.removeprefix(root)] = [mode, what]
    return found


PLANT = f"""
import hashlib, json, os, stat, sys
from typing import Any
{inspect.getsource(walk)}
from scratchtasks.sinks.smoke.tmpfs import plant
root, order = sys.argv[1], json.load(open(sys.argv[2]))
with open(sys.argv[3], "rb") as content:
    plant(root, order, content.fileno())
print(json.dumps(walk(root)))
"""


def described(trial: Trial, bench: Bench, most: int = MOST) -> tuple[Tree | None, bytes]:
    content = io.BytesIO()
    tree = tree_of(trial, bench.store, "api", content, most)
    return tree, content.getvalue()


def planted(trial: Trial, bench: Bench, tmp_path: Path) -> dict[str, list[Any]]:
    """What a process sees at a folder after it has planted *trial*'s tree there."""
    tree, content = described(trial, bench)
    assert tree is not None
    (tmp_path / "order").write_text(json.dumps([*tree.steps()]))
    (tmp_path / "content").write_bytes(content)
    root = tmp_path / "planted"
    root.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", PLANT, root, tmp_path / "order", tmp_path / "content"],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert os.listdir(root) == []  # it was in memory, and theirs alone
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def unpacked(trial: Trial, bench: Bench, folder: Path) -> dict[str, list[Any]]:
    """What is in a private copy of *trial*'s image."""
    folder.mkdir()
    unpack(trial, bench.store, str(folder), "api")
    return walk(str(folder))


NAMES = st.sampled_from(["a", "b", "a/c", "a/c/d", "b/é"])
RIGHTS = {"mode": st.integers(0, 0o7777), "uid": st.sampled_from([0, 1001])}
DATA = st.sampled_from([b"", b"x", b"y" * 70_000, LARGE])


@st.composite
def layers(draw: st.DrawFn) -> list[tuple[str, str, dict[str, Any], bytes]]:
    """Entries of a layer: kind, path, rights, content or link."""
    found = {}
    paths = draw(st.sets(NAMES, max_size=4))
    for path in sorted(paths):
        is_above = any(other.startswith(f"{path}/") for other in paths)
        kind = "dir" if is_above else draw(st.sampled_from(["file", "file", "dir", "symlink"]))
        rights = {name: draw(values) for name, values in RIGHTS.items()}
        found[path] = (kind, path, rights, draw(DATA))
    return [found[path] for path in sorted(found)]


def entry(bench: Bench, kind: str, path: str, rights: dict[str, Any], data: bytes) -> FileEntry:
    if kind == "file":
        return bench.file(path, data, **rights)
    link = "../x" if kind == "symlink" else ""
    return FileEntry(path=path, kind=kind, link=link, **rights)  # type: ignore[arg-type]


@given(first=layers(), second=layers(), user=st.sampled_from(["app", "root"]))
@settings(max_examples=40)
def test_what_is_planted_is_what_would_be_unpacked(
    tmp_path_factory: pytest.TempPathFactory, first: Any, second: Any, user: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    bench = Bench(folder, b"program")
    made = [[entry(bench, *each) for each in layer] for layer in (first, second)]
    config: dict[str, Any] = {"volumes": ("/data",), "workdir": "/srv/www"}
    if user == "root":
        config["user"] = User("root", 0, 0)
    trial = trial_with(bench, *made, **config)
    assert outcome(lambda: planted(trial, bench, folder)) == outcome(
        lambda: unpacked(trial, bench, folder / "copy")
    )


def outcome(work: Callable[[], object]) -> object:
    try:
        return work()
    except SinkError as error:
        return str(error)


def test_large_files_are_bound_links_made_and_others_written(bench: Bench) -> None:
    image = bench.image([bench.file("srv/large", LARGE), bench.file("srv/small", b"a small one")])
    tree, content = described(trial_of(image, Smoke(), bench.store, "api"), bench)
    assert tree is not None
    blob, program = bench.store.path(digest_of(LARGE)), bench.store.path(digest_of(bench.program))

    args, files = tree.bubblewrap_args()
    bound = args.index("/srv/large")
    assert args[bound - 2 : bound] == ["--ro-bind", blob]
    written = args.index("/usr/bin/api")
    number = args[written - 1].removeprefix(FILE)
    assert files[int(number)] == program  # blobs may not be run

    steps = {path: (kind, source) for kind, path, _, source in tree.steps()}
    assert steps["/srv/large"] == ("bind", blob)
    assert steps["/usr/bin/api"] == ("file", program)
    assert steps["/usr/bin/other"] == ("link", "/usr/bin/api")
    kind, piece = steps["/srv/small"]
    assert (kind, piece) == ("file", [content.index(b"a small one"), 11])
    assert LARGE not in content
    assert bench.program not in content


def test_what_memory_should_not_hold_has_no_tree(bench: Bench) -> None:
    """Nor a program, which is a blob but is copied; what is bound does not count."""
    image = bench.image([bench.file("srv/large", LARGE), bench.file("srv/small", b"x")])
    trial = trial_of(image, Smoke(), bench.store, "api")
    tree, content = described(trial, bench)
    assert tree is not None
    size = len(content) + len(bench.program)
    assert described(trial, bench, size)[0] is not None
    assert described(trial, bench, size - 1)[0] is None


def test_the_users_file_is_known_from_a_blob_too(bench: Bench) -> None:
    users = b"app:x:1001:1001:app:/home/app:/sbin/nologin\n" * 2000
    image = bench.image([bench.file("etc/passwd", users)])
    tree, _ = described(trial_of(image, Smoke(), bench.store, "api"), bench)
    assert tree is not None
    assert tree.passwd == users
