"""Trials without a daemon: in bubblewrap, or by unshare(2), on a private copy of the image.

The program is the first process of its own pid, network, ipc, uts and mount namespaces, with the
image's user, loopback only, a minimal /dev, and the image's own /etc/hosts.  What differs from a
container: all files appear to belong to that user (see `root.py`), and set-uid bits do nothing.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from scratchtasks.core.errors import SinkError
from scratchtasks.store.blobs import ContentStore

from .private import private_folder
from .qemu import emulator_for
from .root import unpack
from .trial import Outcome, Trial, Unusable, stopped_before

_GUARD = os.path.join(os.path.dirname(__file__), "guard.py")
_ENTER = os.path.join(os.path.dirname(__file__), "enter.py")
_QEMU = "/.qemu"
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
        stdin: bytes = b"",
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
    make: "Callable[[Trial, str, str, Mapping[str, str]], tuple[list[str], str]]",
) -> Outcome:
    """Run *trial* in the sandbox that *make* (`bubblewrap` or `unshare`) describes.

    The copy of the image is made in *folder* (absolute, made if missing) and removed again.

    Raises: Unusable when this machine does not let us; SinkError, StoreError (a damaged image);
    whatever *processes* raises.
    """
    if sys.platform != "linux":
        raise Unusable("only Linux has namespaces")
    emulator = emulator_for(trial.image.platform, env)
    make(trial, "", emulator, env)  # refuses before the work of unpacking
    with private_folder(folder) as private:
        if os.statvfs(private).f_flag & os.ST_NOEXEC:
            raise Unusable(f"{folder} is mounted noexec")
        root = f"{private}/root"
        os.mkdir(root)
        if emulator:  # what it will be mounted on
            with open(root + _QEMU, "xb"):
                pass
        unpack(trial, store, root, where)
        for step in (*trial.before, trial):
            program, args = make(step, root, emulator, env)
            outcome = _run(step, where, program, args, emulator, processes)
            if step is not trial and (stopped := stopped_before(step, outcome)) is not None:
                return stopped
        return outcome


def bubblewrap(
    trial: Trial, root: str, emulator: str, env: Mapping[str, str]
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*.

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
    for name, value in _environment(trial, root).items():
        args += ["--setenv", name, value]
    args += ["--ro-bind" if trial.definition.read_only else "--bind", root, "/"]
    if trial.definition.read_only:
        for volume in trial.volumes:
            args += ["--bind", root + volume, volume]
    if emulator:
        args += ["--ro-bind", emulator, _QEMU]
    args += ["--proc", "/proc", "--dev", "/dev", "--chdir", trial.workdir]
    return [program], "".join(f"{arg}\0" for arg in args)


def unshare(
    trial: Trial, root: str, emulator: str, _env: Mapping[str, str]
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*; see `enter.py`."""
    order = {
        "root": root,
        "uid": trial.uid,
        "gid": trial.gid,
        "env": _environment(trial, root),
        "workdir": trial.workdir,
        "read_only": trial.definition.read_only,
        "volumes": list(trial.volumes),
        "binds": [[emulator, _QEMU]] if emulator else [],
    }
    return [sys.executable, "-I", "-S", _ENTER], json.dumps(order)


def _run(
    trial: Trial, where: str, program: Sequence[str], args: str, emulator: str, processes: Processes
) -> Outcome:
    wanted = trial.definition
    command = [_QEMU, "-0", trial.argv[0], *trial.argv] if emulator else [*trial.argv]
    order = {
        "program": [*program],
        "args": args,
        "command": command,
        "seconds": wanted.timeout_seconds,
        "probe": (
            [wanted.http_port, wanted.http_path, wanted.http_status] if wanted.http_path else None
        ),
        "patterns": [wanted.stdout, wanted.stderr],
    }
    argv = [sys.executable, "-I", "-S", _GUARD]
    done = processes.run(argv, cwd="/", env={}, show_stderr=False, stdin=json.dumps(order).encode())
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        reason = _last_line(done.stderr.decode(errors="replace"))
        raise SinkError(where, f"the guard of the sandbox failed: {reason}") from None
    return _outcome(said)


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


def _environment(trial: Trial, root: str) -> dict[str, str]:
    """The program's environment, with the HOME that /etc/passwd of the image gives its user."""
    home = "/"
    path = f"{root}/etc/passwd"
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.rstrip("\n").split(":")
                if len(fields) >= 6 and fields[2] == str(trial.uid):
                    home = fields[5] or "/"
                    break
    return {"HOME": home, "HOSTNAME": "localhost", **trial.env}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
