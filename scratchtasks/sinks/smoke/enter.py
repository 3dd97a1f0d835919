"""A program: starts a command in namespaces of its own, where there is no bubblewrap.

It understands bubblewrap's --args FD (here: JSON with root, uid, gid, env, workdir, read_only,
volumes, binds), --json-status-fd FD and --block-fd FD, then `--` and the command, and writes the
same status lines and exit codes.  *root* must be private: its folders dev and proc, which must be
there, are mounted on.  It imports the standard library only.
Source: unshare(2), mount(2), user_namespaces(7), pid_namespaces(7), capabilities(7).
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

DOCKER_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""What Docker leaves to root: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP."""

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
_NEW_OTHERS = 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"""CLONE_NEWPID, NEWNET, NEWIPC and NEWUTS."""

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 4096, 16384, 1 << 19
_MS_RDONLY, _MS_NOEXEC, _MS_REMOUNT = 1, 8, 32
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
KERNEL_S_OWN = ("bus", "fs", "irq", "sys", "sysrq-trigger")
"""In /proc, what steers the whole machine: as in a container, for reading only.  Who runs us as
root owns it in a user namespace too, and so does the image's user."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2).  Raises: OSError."""
    args = [text.encode("utf-8", "surrogateescape") for text in (source, target, kind, data)]
    _check(
        _libc.mount(args[0], args[1], args[2], ctypes.c_ulong(flags), args[3]), f"mount {target}"
    )


def _die_with_parent() -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def unshare(namespaces: int, uid: int, gid: int) -> None:
    """Move to new *namespaces*, in whose user namespace we are *uid*:*gid*.  Raises: OSError."""
    outside = os.geteuid(), os.getegid()
    _check(_libc.unshare(namespaces), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside[0]} 1"),
        ("gid_map", f"{gid} {outside[1]} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _furnish(root: str, order: Mapping[str, Any]) -> None:
    """Mount what belongs into *root*: /proc, /dev, the order's binds; read-only if asked."""
    mount("", "/", flags=MS_REC | MS_SLAVE)
    mount(root, root, flags=MS_BIND | MS_REC)
    for source, target in order["binds"]:
        mount(source, root + target, flags=MS_BIND)
    if order["read_only"]:
        for volume in order["volumes"]:
            mount(root + volume, root + volume, flags=MS_BIND)
        make_read_only(root)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | _MS_NOEXEC)
    for path in (f"{root}/proc/{name}" for name in KERNEL_S_OWN):
        if os.path.exists(path):
            mount(path, path, flags=MS_BIND)
            make_read_only(path)
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=0755")
    for name in _DEVICES:
        with open(f"{root}/dev/{name}", "x", encoding="ascii"):
            pass
        mount(f"/dev/{name}", f"{root}/dev/{name}", flags=MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm")  # noqa: S108  (inside the sandbox)


def make_read_only(mounted: str) -> None:
    """Let nobody write to what is *mounted*.  Raises: OSError."""
    # Flags that the mount had outside may not be taken from it.
    kept = os.statvfs(mounted).f_flag & (MS_NOSUID | MS_NODEV | _MS_NOEXEC)
    mount("", mounted, flags=MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)


def _leave_behind_all_but(root: str) -> None:
    """Make *root* the root of this mount namespace, and let go of what was.

    Were the machine's /proc still there, if out of reach, one might mount a new one, all of it
    writable, in yet another user namespace.  Source: pivot_root(2), 'pivot_root(".", ".")'.
    """
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sH14x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("16xH", request)[0]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _lower(uid: int) -> None:
    """Give up what a container does not have; other users than root lose all at exec."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    for number in range(last + 1):
        if uid != 0 or number not in DOCKER_CAPABILITIES:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)


def _be_first(order: Mapping[str, Any], gate: int, command: Sequence[str]) -> NoReturn:
    """As the first process of the new namespaces, become *command*.  Raises: OSError."""
    _die_with_parent()
    _furnish(order["root"], order)
    _raise_loopback()
    socket.sethostname("localhost")
    _lower(order["uid"])
    if not os.read(gate, 1):
        os._exit(1)  # the guard is gone
    os.get_exec_path({})  # imports what execvpe needs
    # Last of all: from here on, a Python module would come from the image.
    _leave_behind_all_but(order["root"])
    os.chdir(order["workdir"])
    try:
        os.execvpe(command[0], [*command], order["env"])  # noqa: S606  (no shell is the point)
    except OSError as error:
        raise OSError(error.errno, f"execvp {command[0]}: {error.strerror}") from None


def main(argv: Sequence[str]) -> int:
    """Run the command behind `--` in *argv*; returns its exit code."""
    cut = argv.index("--")
    fds = dict(zip(argv[:cut:2], map(int, argv[1:cut:2]), strict=True))
    with open(fds["--args"], encoding="utf-8") as file:
        order = json.load(file)
    status, gate = fds["--json-status-fd"], fds["--block-fd"]
    failed, failure = os.pipe()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNS | _NEW_OTHERS, order["uid"], order["gid"])
        _die_with_parent()  # not before: new credentials would undo it
        pid = os.fork()
        if pid == 0:
            os.set_inheritable(gate, False)
            os.set_inheritable(status, False)
            try:
                _be_first(order, gate, argv[cut + 1 :])
            except BaseException as error:  # whatever it is, it is not the command's
                reason = getattr(error, "strerror", None) or repr(error)
                os.write(failure, reason.encode())
                os._exit(1)
    except OSError as error:
        print(f"enter: {error.strerror}", file=sys.stderr)
        return 1
    os.close(failure)
    os.write(status, json.dumps({"child-pid": pid}).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if said := os.read(failed, 4096):
        print(f"enter: {said.decode()}", file=sys.stderr)
        return 1
    code = 128 - code if code < 0 else code
    os.write(status, json.dumps({"exit-code": code}).encode() + b"\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
