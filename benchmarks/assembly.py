"""Assembling one image of a changed binary, and the work that nobody can save.

`rows/assembly.py` takes the times.  Few modules are imported here: they would count as memory.
"""

import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from scratchtasks.core.descriptor import layer_from_json
from scratchtasks.core.rootfs import Rootfs
from scratchtasks.core.span import span
from scratchtasks.oci.gzip import GzipWriter
from scratchtasks.plugin.session import Session
from scratchtasks.plugin.workspace import Workspace
from scratchtasks.sinks.docker.archive import PlainImage, write_archive

if TYPE_CHECKING:
    from .breakdown import Part

CHUNK = 1 << 20

_FILES = {
    "dodo.py": 'from scratchtasks import Workspace\ntask_i = Workspace(services=["services/*"])\n',
    "services/api/service.toml": '[binary]\nrule = "prebuilt"\npath = "api"\n',
}
_LARGE = 1_500_000
"""Bytes that only binaries and their layers have here."""

_MACHINES = {"x86_64": 62, "aarch64": 183}


class Bench:
    """A workspace in *folder* with one prebuilt service and all essentials, in one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in _FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        space: dict[str, object] = {"__file__": str(folder / "dodo.py")}
        exec(_FILES["dodo.py"], space)
        found = space["task_i"]
        assert isinstance(found, Workspace)
        self.session = Session(found.root, found.declared(), dict(os.environ), found.events)
        world = self.session.world
        self._worlds = {packs: replace(world, packs=packs) for packs in (False, True)}
        self._count = 0

    def change(self, size: int, *, packs: bool = True) -> Path:
        """Put another binary of *size* bytes into the store; returns where it is there.

        *packs* is for a run that makes images, too.
        """
        self._count += 1
        # What is gone before it is on the disk keeps nobody's writes waiting.
        places = (".scratch/blobs/sha256/*/*", "dist/*/blobs/sha256/*")
        for old in [path for place in places for path in self.folder.glob(place)]:
            if old.is_file() and old.stat().st_size > _LARGE:
                old.unlink()
        path = self.folder / "services/api/api"
        path.write_bytes(program(size, self._count))
        path.chmod(0o755)
        self.session.use_world(self._worlds[packs])
        tasks = self.session.graph.tasks
        for task in tasks.values():
            if task.name.startswith("layer:"):
                self.session.build(task)
        (action,) = tasks["binary:api"].actions
        blob = self.session.engine.build(action).outputs["binary"]
        return Path(self.session.world.store.path(blob.digest))

    def image(self) -> None:
        """Make the image and put it into `dist/`."""
        tasks = self.session.graph.tasks
        self.session.build(tasks["rootfs:api"])
        self.session.build(tasks["image:api"])

    def plain(self) -> None:
        """Make the root file system."""
        self.session.build(self.session.graph.tasks["rootfs:api"])

    def archive(self) -> None:
        """Write the archive that an engine would get."""
        image = PlainImage(self._root)
        known = {tar.digest for tar in image.tars[:-1]}
        with (
            span(self.session.world.tell, "load", "archive") as told,
            open(self.folder / "archive", "wb", buffering=0) as file,
        ):
            for chunk in write_archive([image], known, self.session.world.store):
                file.write(chunk)
            told["bytes"] = file.tell()

    def parts(self, work: Callable[[], object], *, packs: bool) -> "tuple[Part, ...]":
        """Where the time of *work*, a method of this, goes; no time is to be taken after that.

        *packs* is that of the change before.
        """
        from scratchtasks.plugin.trace import Trace

        from .breakdown import START, breakdown_of

        path, events = self.folder / "trace.json", self.session.events
        events.began = time.monotonic()
        trace = Trace(str(path), events)
        self.session.use_world(replace(self._worlds[packs], tell=events.on_span))
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        trace.write()
        found = breakdown_of(json.loads(path.read_text()), took)
        return tuple(part for part in found if part.kind != START)

    @property
    def _root(self) -> Rootfs:
        (platform,) = self.session.graph.services["api"].image.platforms
        return self.session.root_of("api", platform)

    def check(self, size: int) -> None:
        """Make sure that both forms hold a layer of *size* bytes or more, under one config."""
        entries = json.loads((self.folder / "dist/images.json").read_text())["images"]
        root = self._root
        assert entries[0]["image_id"] == root.config.digest
        assert root.layers[-1].size > size
        top = entries[0]["layers"][-1]
        layer = layer_from_json({**top, "mediaType": "", "diffID": top["diff_id"]})
        assert layer.diff_id == root.layers[-1].diff_id


def program(size: int, number: int) -> bytes:
    """A static ELF program of *size* bytes, unlike that of any other *number*.

    It holds machine code of this interpreter, which compresses as programs do.
    """
    machine = _MACHINES[platform.machine()]
    start = 0x400000
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQI", 2, machine, 1, start + 120, 64, 0, 0)
    header += struct.pack("<HHHHHH", 64, 56, 1, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096)
    body = bytearray()
    for block in _code():
        body += struct.pack("<Q", number) + block
        if len(body) >= size:
            break
    return bytes(header + body)[:size]


def _code() -> Iterator[bytes]:
    paths = [os.path.realpath(sys.executable)]
    paths += sorted(glob(f"{os.path.dirname(os.__file__)}/lib-dynload/*.so"))
    while True:
        for path in paths:
            with open(path, "rb") as file:
                while block := file.read(1 << 16):
                    yield block


def floor_compressed(source: Path, dest: Path) -> None:
    """Read, hash, compress, hash and write *source*; nothing else."""
    raw, packed = hashlib.sha256(), hashlib.sha256()
    with open(source, "rb", buffering=0) as file, open(dest, "wb", buffering=0) as out:

        def write(member: bytearray) -> None:
            packed.update(member)
            out.write(member)

        with GzipWriter(write) as gzip:
            while chunk := file.read(CHUNK):
                raw.update(chunk)
                gzip.write(chunk)


def floor_plain(source: Path, dest: Path) -> None:
    """Read, hash and write *source*; nothing else."""
    raw = hashlib.sha256()
    with open(source, "rb", buffering=0) as file, open(dest, "wb", buffering=0) as out:
        while chunk := file.read(CHUNK):
            raw.update(chunk)
            out.write(chunk)


_PEAK = "import re; print(re.search('VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
"""The peak of this very program; ru_maxrss would count what its parent had before it."""


_ASSEMBLE = (
    "import sys; sys.path[:0] = sys.argv[1:2]\n"
    "from pathlib import Path\n"
    "from benchmarks.assembly import Bench\n"
    "bench = Bench(Path(sys.argv[2]))\n"
    "bench.session.build(bench.session.graph.tasks['binary:api'])\n"
    f"bench.plain(); bench.archive(); bench.image()\n{_PEAK}\n"
    "bench.session.exports.write_summary(); bench.check(int(sys.argv[3]))\n"
)


def assembling_mib(folder: Path, size: int) -> float:
    """Peak memory of a process that assembles the image of *size* bytes changed in *folder*."""
    return _peak_mib(_ASSEMBLE, str(Path(__file__).parent.parent), str(folder), str(size))


def interpreter_mib() -> float:
    """Peak memory of a bare interpreter."""
    return _peak_mib(_PEAK)


def _peak_mib(script: str, *args: str) -> float:
    argv = [sys.executable, "-c", script, *args]
    return int(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout) / 1024
