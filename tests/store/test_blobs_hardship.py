"""The content store under kills, rivals and a full disk."""

import os
import signal
import subprocess
import sys

import pytest

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store import blobs

from .disk import HINT, TYPE, Disk, unfinished

SETUP = """
import os, sys
from scratchtasks.core.errors import StoreError
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
root = sys.argv[1]
store = ContentStore(root + "/.scratch/blobs", FileStates(root, root + "/.scratch/files"))
"""


class TestProcesses:
    def test_kill_9_in_the_middle_of_a_put(self, disk: Disk) -> None:
        program = SETUP + (
            "with store.writer('x') as writer:\n"
            "    writer.write(bytes(1_000_000))\n"
            "    print('half', flush=True)\n"
            "    sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(disk.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"half\n"
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert len(unfinished(disk.folder)) == 1
        assert not (disk.folder / "sha256").exists()
        data = bytes(2_000_000)
        blob = disk.store.put_bytes(data, TYPE)
        assert disk.store.read(blob.digest) == data

    def test_many_put_the_same_blob(self, disk: Disk) -> None:
        program = SETUP + (
            "sys.stdin.readline()\n"
            "for n in range(40):\n"
            "    data = bytes([n]) * 100_000\n"
            "    blob = store.put_bytes(data, 'x')\n"
            "    assert store.read(blob.digest) == data\n"
            "    store.link(blob, root + f'/dist/{n}')\n"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(disk.root)],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            _, stderr = process.communicate()
            assert (process.returncode, stderr) == (0, b"")
        assert unfinished(disk.folder) == []
        assert sorted(os.listdir(disk.root / "dist"), key=int) == [str(n) for n in range(40)]
        for n in range(40):
            data = bytes([n]) * 100_000
            assert disk.store.has(Descriptor(TYPE, digest_of(data), len(data)))
            assert (disk.root / "dist" / str(n)).read_bytes() == data


class TestFullDisk:
    def test_is_a_clear_error(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        # The kernel's own device that is always full: a real ENOSPC without any rights.
        monkeypatch.setattr(blobs, "create", lambda _: os.open("/dev/full", os.O_WRONLY))
        expected = f"{disk.folder}: cannot be written: no space left on device{HINT}"
        for data in (b"small", bytes(1_000_000)):
            with pytest.raises(StoreError) as caught:
                disk.store.put_bytes(data, TYPE)
            assert str(caught.value) == expected

    def test_leaves_nothing_half_written(self, disk: Disk) -> None:
        script = disk.root / "program.py"
        script.write_text(
            SETUP
            + "small = store.put_bytes(b'small', 'x')\n"
            + "try: store.put_bytes(bytes(4_000_000), 'x')\n"
            + "except StoreError as error: print(error)\n"
            + "assert os.listdir(root + '/.scratch/blobs/tmp') == []\n"
            + "found = [f for _, _, fs in os.walk(root + '/.scratch/blobs') for f in fs]\n"
            + "assert found == [small.digest[7:]], found\n"
            + "print(store.fault(small) == '')\n"
        )
        script.chmod(0o755)
        room = disk.root / "room"
        room.mkdir()
        # A tiny disk in a mount namespace that goes away with the shell; where that is not
        # allowed, a limit on the size of a file also breaks a write off in the middle.
        done = subprocess.run(
            [
                "sh",
                "-c",
                'unshare -rm sh -c \'mount -t tmpfs -o size=1m none "$2" && exec "$0" "$1" "$2"\''
                ' "$@" 2>/dev/null || { ulimit -f 1000; exec "$@"; }',
                "sh",
                sys.executable,
                str(script),
                str(room),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        where = f"{room}/.scratch/blobs: cannot be written: "
        assert done.stdout in (
            f"{where}no space left on device{HINT}\nTrue\n",
            f"{where}file too large\nTrue\n",
        )
