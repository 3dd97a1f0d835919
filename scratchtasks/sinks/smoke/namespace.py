"""Trials without a daemon: in bubblewrap, or by unshare(2).

The image is put together in memory (`tree.py`): by bubblewrap, where its arguments can name all
files, else on a tmpfs of the guard's.  Only where a machine does not allow that, or memory is too
small, is there a private copy on disk.

The program is the first process of its own pid, network, ipc, uts and mount namespaces, with the
image's user, loopback only, a minimal /dev, and the image's own /etc/hosts.  What differs from a
container: all files appear to belong to that user (see `root.py`), and set-uid bits do nothing.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Protocol

from scratchtasks.core.errors import SinkError
from scratchtasks.store.blobs import ContentStore

from .enter import KERNEL_S_OWN
from .private import private_folder
from .qemu import emulator_for
from .root import unpack
from .tree import tree_of
from .trial import Outcome, Trial, Unusable, stopped_before

_HERE = os.path.dirname(__file__)
_ROOT = os.path.normpath(os.path.join(_HERE, "../../.."))
_GUARD = "import sys; sys.path.append(sys.argv[1]); from scratchtasks.sinks.smoke.guard import main"
_ENTER = os.path.join(_HERE, "enter.py")
_QEMU = "/.qemu"
_MOST_ARGS = 8500
"""bubblewrap takes 9,000."""

_MOST_BYTES = 1 << 30
_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
)  # fmt: skip


class _Finished(Protocol):
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


class Processes(Protocol):
    """What we need of execute.process.Processes: children that end when the run is ended."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        show_stderr: bool = True,
        stdin: bytes | BinaryIO = b"",
    ) -> _Finished: ...

    def show(self, message: bytes) -> None: ...


def run_in_namespaces(
    trial: Trial,
    *,
    where: str,
    store: ContentStore,
    processes: Processes,
    env: Mapping[str, str],
    folder: str,
    make: "Callable[..., tuple[list[str], str]]",
) -> Outcome:
    """Run *trial* in the sandbox that *make* (`bubblewrap` or `unshare`) describes.

    The image appears at *folder* (absolute, made if missing) to the sandbox alone, or has a copy
    in it that is removed again.

    Raises: Unusable when this machine does not let us; SinkError, StoreError (a damaged image);
    whatever *processes* raises.
    """
    if sys.platform != "linux":
        raise Unusable("only Linux has namespaces")
    emulator = emulator_for(trial.image.platform, env)
    make(trial, "", emulator, env)  # refuses before the work of unpacking
    steps = (*trial.before, trial)

    def orders(root: str, passwd: bytes) -> list[dict[str, Any]]:
        return [_order(each, *make(each, root, emulator, env, passwd), emulator) for each in steps]

    with open(os.memfd_create("image"), "w+b") as content:
        run = partial(_run, steps, where, processes, content)
        tree = tree_of(trial, store, where, content, _spare_memory())
        if tree is not None and make is bubblewrap and not trial.before:
            args, files = tree.bubblewrap_args()
            if len(args) <= _MOST_ARGS:
                made = bubblewrap(trial, "", emulator, env, tree.passwd, args)
                return run([_order(trial, *made, emulator, files)])
        if tree is not None:
            os.makedirs(folder, exist_ok=True)
            grown = [*tree.steps(), *([("file", _QEMU, 0o444, [0, 0])] if emulator else [])]
            with suppress(Unusable):
                return run(orders(folder, tree.passwd), folder, grown)
        with private_folder(folder) as private:
            if os.statvfs(private).f_flag & os.ST_NOEXEC:
                raise Unusable(f"{folder} is mounted noexec")
            root = f"{private}/root"
            os.mkdir(root)
            if emulator:  # what it will be mounted on
                with open(root + _QEMU, "xb"):
                    pass
            unpack(trial, store, root, where)
            return run(orders(root, _passwd(root)))


def bubblewrap(
    trial: Trial,
    root: str,
    emulator: str,
    env: Mapping[str, str],
    passwd: bytes = b"",
    composed: Sequence[str] = (),
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*, or in what the
    arguments *composed* describe; *passwd* is what the image's /etc/passwd holds.

    Raises: Unusable when bubblewrap is not on *env*'s PATH.  Source: bwrap(1).
    """
    program = shutil.which("bwrap", path=env.get("PATH", ""))
    if program is None:
        raise Unusable("bwrap is not on PATH")
    args = [
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--as-pid-1", "--die-with-parent"),
        *("--uid", str(trial.uid), "--gid", str(trial.gid), "--hostname", "localhost"),
        *("--cap-drop", "ALL", "--clearenv"),
    ]
    if trial.uid == 0:
        for name in _CAPABILITIES:
            args += ["--cap-add", f"CAP_{name}"]
    for name, value in _environment(trial, passwd).items():
        args += ["--setenv", name, value]
    is_fixed = trial.definition.read_only
    if composed:
        args += composed
    else:
        args += ["--ro-bind" if is_fixed else "--bind", root, "/"]
        for volume in trial.volumes if is_fixed else ():
            args += ["--bind", root + volume, volume]
    if emulator:
        args += ["--ro-bind", emulator, _QEMU]
    args += ["--proc", "/proc", "--dev", "/dev"]
    for name in KERNEL_S_OWN:  # bubblewrap itself forgets /proc/sys where root runs it
        args += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    if composed and is_fixed:
        args += ["--remount-ro", "/"]
    args += ["--chdir", trial.workdir]
    return [program], "".join(f"{arg}\0" for arg in args)


def unshare(
    trial: Trial, root: str, emulator: str, _env: Mapping[str, str], passwd: bytes = b""
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*; see `enter.py`."""
    order = {
        "root": root,
        "uid": trial.uid,
        "gid": trial.gid,
        "env": _environment(trial, passwd),
        "workdir": trial.workdir,
        "read_only": trial.definition.read_only,
        "volumes": list(trial.volumes),
        "binds": [[emulator, _QEMU]] if emulator else [],
    }
    return [sys.executable, "-I", "-S", _ENTER], json.dumps(order)


def _spare_memory() -> int:
    """Bytes that an image's files may take, which are there twice for a moment."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = next((line for line in file if line.startswith("MemAvailable:")), "")
    return min(_MOST_BYTES, int(found.split()[1]) * 1024 // 4) if found else 0


def _order(
    trial: Trial,
    program: Sequence[str],
    args: str,
    emulator: str,
    files: Sequence[str | list[int]] = (),
) -> dict[str, Any]:
    """What the guard has to know of *trial*."""
    wanted = trial.definition
    return {
        "program": [*program],
        "args": args,
        "command": [_QEMU, "-0", trial.argv[0], *trial.argv] if emulator else [*trial.argv],
        "seconds": wanted.timeout_seconds,
        "probe": (
            [wanted.http_port, wanted.http_path, wanted.http_status] if wanted.http_path else None
        ),
        "patterns": [wanted.stdout, wanted.stderr],
        "files": [*files],
    }


def _run(
    steps: Sequence[Trial],
    where: str,
    processes: Processes,
    content: BinaryIO,
    trials: Sequence[Mapping[str, Any]],
    root: str = "",
    tree: Sequence[object] | None = None,
) -> Outcome:
    """What comes of *steps*, which *trials* describe to the guard.

    Raises: Unusable, as when there can be no *tree* in memory here.
    """
    start = content.seek(0, os.SEEK_END)
    content.write(json.dumps({"trials": trials, "root": root, "tree": tree}).encode())
    content.flush()
    argv = [sys.executable, "-I", "-S", "-c", f"{_GUARD}; main()", _ROOT, str(start)]
    done = processes.run(argv, cwd="/", env={}, show_stderr=False, stdin=content)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        reason = _last_line(done.stderr.decode(errors="replace"))
        raise SinkError(where, f"the guard of the sandbox failed: {reason}") from None
    if "refused" in said:
        raise Unusable(said["refused"])
    outcome, last = _outcome(said[-1]), steps[len(said) - 1]
    return outcome if last is steps[-1] else stopped_before(last, outcome) or outcome


def _outcome(said: Mapping[str, Any]) -> Outcome:
    if said["fault"]:
        raise Unusable(said["fault"])
    if not said["started"]:
        complaint = _last_line(said["stderr"])
        if ": execvp " not in complaint:
            raise Unusable(complaint)
        refusal = complaint.rpartition(": ")[2]
        return Outcome(code=None, stdout=b"", stderr=b"", refusal=refusal.lower())
    return Outcome(
        code=said["code"],
        stdout=said["stdout"].encode("latin-1"),
        stderr=said["stderr"].encode("latin-1"),
        answer=said["answer"],
    )


def _passwd(root: str) -> bytes:
    path = f"{root}/etc/passwd"
    if not os.path.isfile(path) or os.path.islink(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def _environment(trial: Trial, passwd: bytes) -> dict[str, str]:
    """The program's environment, with the HOME that the image's *passwd* gives its user."""
    home = "/"
    for line in passwd.decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2] == str(trial.uid):
            home = fields[5] or "/"
            break
    return {"HOME": home, "HOSTNAME": "localhost", **trial.env}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
