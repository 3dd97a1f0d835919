"""One sandbox, from its start to its end, and what probes what runs in it: a part of the guard.

Source: setns(2), user_namespaces(7), ioctl_ns(2); bwrap(1).
"""

import ctypes
import json
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import time
from typing import Any

from .probe import KEPT, MOST_PROCESSES, PAUSES, ask, keep

_PATIENCE = 5.0
"""Seconds for an answer."""

_LAST_WORD = 2.0
"""Seconds after the end within which the neighbour's last answer gets here, on a busy machine."""

_DRAIN = 2.0
"""Seconds that pipes are read after all was killed."""

_PR_SET_PDEATHSIG = 1
_NS_GET_USERNS = 0xB701
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_FILE = re.compile("--file\0\x01([0-9]+)\0")
_SIOCSIFADDR = 0x8916
_ADDRESS = "192.0.2.1"
"""Of documentation (RFC 5737), here of a sandbox: who listens on loopback only cannot be reached in
a container either."""
_PORTS = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


def in_memory(data: bytes) -> int:
    """A descriptor of a file in memory that holds *data*, at its start."""
    fd = os.memfd_create("data")
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Sandbox:
    """What the trial *order* describes, see `guard.py`; pieces are those of the file *content*."""

    def __init__(self, order: dict[str, Any], content: int) -> None:
        self._order = order
        self._content = content
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._status = bytearray()
        self._answers = bytearray()
        self._inside = -1
        self._neighbour = 0
        self._neighbour_pipe = -1
        self._pauses = iter(PAUSES)
        self._next_look = 0.0
        self._selector = selectors.DefaultSelector()

    def run(self) -> dict[str, Any]:
        """Run the trial to its end, whichever that is; nothing of it is left afterwards."""
        deadline = time.monotonic() + self._order["seconds"]
        status, told = os.pipe()
        gate, go = os.pipe()
        files = [self._file(source) for source in self._order["files"]]
        os.ftruncate(self._content, 0)  # it takes memory, and is where it is wanted
        args = _FILE.sub(lambda found: f"--file\0{files[int(found[1])]}\0", self._order["args"])
        given = in_memory(args.encode("utf-8", "surrogateescape"))
        options = ("--args", given, "--json-status-fd", told, "--block-fd", gate)
        process = subprocess.Popen(
            [*self._order["program"], *map(str, options), "--", *self._order["command"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            pass_fds=(given, told, gate, *files),
        )
        for fd in (given, told, gate, *files):
            os.close(fd)
        assert process.stdout is not None
        assert process.stderr is not None
        self._read(process.stdout.fileno(), self._output["stdout"])
        self._read(process.stderr.fileno(), self._output["stderr"])
        self._read(status, self._status)
        ended = os.pidfd_open(process.pid)
        self._selector.register(ended, selectors.EVENT_READ)
        is_over = False
        while not is_over and not self._is_done(deadline):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            is_over = self._pump(min(left, PAUSES[-1]), ended)
            self._meet(go, deadline)
        self._selector.unregister(ended)
        if self._neighbour and not is_over:
            self._hear_last_word()
        self._end(process)
        code = self._told("exit-code")
        return {
            "code": code if is_over else None,
            "started": code is not None or not is_over,
            "answer": self._heard("answer"),
            "fault": self._heard("fault"),
            **{name: bytes(tail[-KEPT:]).decode("latin-1") for name, tail in self._output.items()},
        }

    def _file(self, source: str | list[int]) -> int:
        """A descriptor of the file *source*, or of that piece of the content."""
        if isinstance(source, str):
            return os.open(source, os.O_RDONLY)
        start, size = source
        return in_memory(os.pread(self._content, size, start))

    def _read(self, fd: int, tail: bytearray) -> None:
        self._selector.register(fd, selectors.EVENT_READ, tail)

    def _pump(self, seconds: float, ended: int) -> bool:
        """Read what there is within *seconds*; whether the process behind *ended* is over."""
        is_over = False
        for key, _ in self._selector.select(seconds):
            if key.fd == ended:
                is_over = True
                continue
            chunk = os.read(key.fd, 1 << 16)
            keep(key.data, chunk)
            if not chunk:
                self._selector.unregister(key.fd)
        return is_over

    def _meet(self, go: int, deadline: float) -> None:
        """Once there is somebody inside, fork a neighbour, who opens the gate and then probes."""
        pid = self._told("child-pid")
        if pid is None or self._inside >= 0:
            return
        try:
            self._inside = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # it has ended, and so will the program
        _restrain(pid)
        answers, answer = os.pipe()
        guard = os.getpid()
        self._neighbour = os.fork()
        if self._neighbour == 0:
            try:
                die_with(guard)
                _be_neighbour(pid, go, answer, self._order["probe"], deadline)
            finally:
                os._exit(0)
        os.close(answer)
        os.close(go)
        self._read(answers, self._answers)
        self._neighbour_pipe = answers

    def _told(self, key: str) -> int | None:
        for line in bytes(self._status).splitlines(keepends=True):
            if line.endswith(b"\n") and key in (said := json.loads(line)):
                return int(said[key])
        return None

    def _heard(self, kind: str) -> str:
        """The neighbour's last `answer`, or the `fault` for which it cannot probe; or ""."""
        words = [line.partition(": ") for line in bytes(self._answers).decode().splitlines()]
        return next((said for found, _, said in reversed(words) if found == kind), "")

    def _is_done(self, deadline: float) -> bool:
        probe = self._order["probe"]
        if not probe or self._heard("fault"):
            return bool(self._heard("fault"))
        return self._heard("answer") == str(probe[2]) and (
            not any(self._order["patterns"]) or self._has_said(deadline)
        )

    def _has_said(self, deadline: float) -> bool:
        """Whether a child finds the patterns before *deadline*: see `matching.py`.

        False without a look soon after the last one: output comes in any number of pieces.
        """
        seconds = deadline - (now := time.monotonic())
        if now < self._next_look:
            return False
        self._next_look = now + next(self._pauses, PAUSES[-1])
        guard, pid = os.getpid(), os.fork()
        if pid == 0:
            die_with(guard)
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
            texts = (tail.decode(errors="replace") for tail in self._output.values())
            os._exit(not all(map(re.search, self._order["patterns"], texts)))
        return os.waitpid(pid, 0)[1] == 0

    def _hear_last_word(self) -> None:
        """Read what the neighbour says of its last try, which is over when the time is."""
        deadline = time.monotonic() + _LAST_WORD
        while self._neighbour_pipe in self._selector.get_map() and time.monotonic() < deadline:
            self._pump(deadline - time.monotonic(), -1)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill what runs, and read the pipes to their ends: they are at EOF once all is gone."""
        if self._neighbour:  # first, lest it take the program's end for an answer
            os.kill(self._neighbour, signal.SIGKILL)
            os.waitpid(self._neighbour, 0)
        if self._inside >= 0:
            # The first process of a pid namespace takes all others with it.
            try:
                signal.pidfd_send_signal(self._inside, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self._inside < 0:
            process.kill()
        process.wait()
        deadline = time.monotonic() + _DRAIN
        while self._selector.get_map() and time.monotonic() < deadline:
            self._pump(_DRAIN, -1)


def die_with(parent: int) -> None:
    """Be killed when *parent*, our own, ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def join_network(pid: int) -> None:
    """Move this process to the network of process *pid*.  Raises: OSError."""
    import fcntl

    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    for fd, kind in ((owner, _CLONE_NEWUSER), (network, _CLONE_NEWNET)):
        if libc.setns(fd, kind) != 0:
            raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


def _be_neighbour(pid: int, go: int, answer: int, probe: list[Any] | None, deadline: float) -> None:
    """Join *pid*'s network, open the gate *go*, and *probe* until *deadline*; lines to *answer* say
    what came."""
    fault = ""
    try:
        join_network(pid)
        _allow_low_ports()
        if probe:
            _add_address()
    except OSError as error:
        fault = str(error)
    try:
        os.write(go, b"1")
    except BrokenPipeError:
        return
    if probe and fault:
        os.write(answer, f"fault: {fault}\n".encode())
    elif probe:
        port, path, status = probe
        _probe(port, path, status, answer, deadline)


def _allow_low_ports() -> None:
    """Let everybody listen on ports below 1024, as Docker does, where that can be said."""
    try:
        with open(_PORTS, "w", encoding="ascii") as file:
            file.write("0")
    except OSError:
        pass  # /proc/sys is read-only in most containers


def _add_address() -> None:
    """Let the network that this process is in have _ADDRESS.  Source: netdevice(7)."""
    import fcntl

    address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(_ADDRESS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFADDR, struct.pack("16s24s", b"lo:1", address))


def _probe(port: int, path: str, status: int, answer: int, deadline: float) -> None:
    """Ask until *status* is answered; each new answer goes to the pipe *answer*, as a line."""
    last = ""
    pauses = iter(PAUSES)
    while last != str(status) and (left := deadline - time.monotonic()) > 0:
        said = ask((_ADDRESS, "::1"), port, path, min(left, _PATIENCE))
        # A try that was cut short says less than an answer before it.
        if said != last and (said.isdigit() or left > _PATIENCE or not last.isdigit()):
            os.write(answer, f"answer: {said}\n".encode())
            last = said
        left = deadline - time.monotonic()
        time.sleep(max(0.0, min(left, next(pauses, PAUSES[-1]))))


def _restrain(pid: int) -> None:
    """Let *pid* and its children be MOST_PROCESSES; of the machine's root Linux does not ask it."""
    import resource

    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
        most = MOST_PROCESSES if hard == resource.RLIM_INFINITY else min(hard, MOST_PROCESSES)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (most, most))
    except OSError:
        pass  # it has ended, or bubblewrap runs as root here
