"""Trials without a daemon: in bubblewrap, or by unshare(2).

bubblewrap puts the image together in memory (`composed.py`).  unshare has a private copy of it on
disk, and so has bubblewrap where one trial needs what another has left behind, and for images of
more files than its arguments can name.

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

from .composed import Composed, compose
from .enter import KERNEL_S_OWN
from .private import private_folder
from .qemu import emulator_for
from .root import unpack
from .trial import Outcome, Trial, Unusable, stopped_before

_HERE = os.path.dirname(__file__)
_ROOT = os.path.normpath(os.path.join(_HERE, "../../.."))
_GUARD = "import sys; sys.path.append(sys.argv[1]); from scratchtasks.sinks.smoke.guard import main"
_ENTER = os.path.join(_HERE, "enter.py")
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
    make: "Callable[..., tuple[list[str], str]]",
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
    composed = compose(trial, store, where) if make is bubblewrap and not trial.before else None
    if composed is not None:
        program, args = make(trial, "", emulator, env, composed)
        return _run(trial, where, program, args, emulator, processes, composed)
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
    trial: Trial,
    root: str,
    emulator: str,
    env: Mapping[str, str],
    composed: Composed | None = None,
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*, or in what *composed*
    describes.

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
    passwd = _passwd(root) if composed is None else composed.passwd
    for name, value in _environment(trial, passwd).items():
        args += ["--setenv", name, value]
    is_fixed = trial.definition.read_only
    if composed is not None:
        args += composed.args
    else:
        args += ["--ro-bind" if is_fixed else "--bind", root, "/"]
        for volume in trial.volumes if is_fixed else ():
            args += ["--bind", root + volume, volume]
    if emulator:
        args += ["--ro-bind", emulator, _QEMU]
    args += ["--proc", "/proc", "--dev", "/dev"]
    for name in KERNEL_S_OWN:  # bubblewrap itself forgets /proc/sys where root runs it
        args += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    if composed is not None and is_fixed:
        args += ["--remount-ro", "/"]
    args += ["--chdir", trial.workdir]
    return [program], "".join(f"{arg}\0" for arg in args)


def unshare(
    trial: Trial, root: str, emulator: str, _env: Mapping[str, str]
) -> tuple[list[str], str]:
    """The program and its --args for *trial* in the private folder *root*; see `enter.py`."""
    order = {
        "root": root,
        "uid": trial.uid,
        "gid": trial.gid,
        "env": _environment(trial, _passwd(root)),
        "workdir": trial.workdir,
        "read_only": trial.definition.read_only,
        "volumes": list(trial.volumes),
        "binds": [[emulator, _QEMU]] if emulator else [],
    }
    return [sys.executable, "-I", "-S", _ENTER], json.dumps(order)


def _run(
    trial: Trial,
    where: str,
    program: Sequence[str],
    args: str,
    emulator: str,
    processes: Processes,
    composed: Composed | None = None,
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
        "files": composed.files if composed is not None else [],
    }
    given = json.dumps(order).encode() + b"\n" + (composed.data if composed is not None else b"")
    argv = [sys.executable, "-I", "-S", "-c", f"{_GUARD}; main()", _ROOT]
    done = processes.run(argv, cwd="/", env={}, show_stderr=False, stdin=given)
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
