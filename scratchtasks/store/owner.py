"""Which process something belongs to, written so that a later one can tell whether it is gone.

Source: proc_pid_stat(5), pid_namespaces(7), machine-id(5).
"""

import os
import time

from scratchtasks.core.digest import key_of
from scratchtasks.core.frozen import dataclass

from .signature import boot_id

_UNKNOWN = "0"
_STARTED = 19  # among `stat_of_process`


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process *pid* of the pid namespace *space*, which was *started* that many ticks after
    the boot named *boot* of the machine *host*; "0" is what could not be told.

    Its text is letters, digits and dots, at most 100 of them: labels and tags can hold it.
    """

    pid: int
    started: str
    space: str
    boot: str
    host: str

    def __str__(self) -> str:
        return f"{self.pid}.{self.started}.{self.space}.{self.boot}.{self.host}"


def this_process() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    try:
        started = stat_of_process(pid)[_STARTED].decode()
        space = str(os.stat("/proc/self/ns/pid").st_ino)
    except (OSError, IndexError):  # no /proc
        started = space = _UNKNOWN
    boot = boot_id().replace("-", "") or _UNKNOWN
    return Owner(pid=pid, started=started, space=space, boot=boot, host=_host())


def owner_in(text: str) -> Owner | None:
    """The owner whose text is *text*, None if it is nobody's."""
    pid, *rest = text.split(".")
    if not (pid.isascii() and pid.isdigit()) or len(rest) != 4 or not all(rest):
        return None
    return Owner(pid=int(pid), **dict(zip(("started", "space", "boot", "host"), rest, strict=True)))


def is_surely_gone(owner: Owner) -> bool:
    """Whether *owner* was a process of this machine and runs no more.

    False wherever that cannot be told: on another machine, in another container of this one,
    without a /proc.
    """
    here = this_process()
    if _UNKNOWN in (owner.boot, here.boot):
        return False
    if owner.boot != here.boot:
        return owner.host == here.host != _UNKNOWN  # and no process survives a boot
    if _UNKNOWN in (owner.space, owner.started) or owner.space != here.space:
        return False
    return not _may_run(owner)


def stat_of_process(pid: int) -> list[bytes]:
    """What /proc tells of *pid*, from its state on: state, parent's pid, group, session, …

    Raises: OSError when there is no such process, or no /proc.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()  # a name may hold what it likes


def started_at(pid: int) -> int:
    """When the process *pid* was started, in ns since the epoch, 10 ms too early at most.

    Raises: OSError when there is no such process, or no /proc.
    """
    ticks = int(stat_of_process(pid)[_STARTED])
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    return time.time_ns() - age


def _may_run(owner: Owner) -> bool:
    try:
        stat = stat_of_process(owner.pid)
    except OSError:
        return _exists(owner.pid)  # other users' may be hidden
    return stat[0] not in (b"Z", b"X") and stat[_STARTED].decode() == owner.started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _host() -> str:
    """A name of this machine; hashed, for a machine's id is not to be handed round.

    With its host name, for machines that were copied, or containers, may share an id.
    """
    try:
        with open("/etc/machine-id", "rb") as file:
            machine = file.read().decode(errors="replace").strip()
    except OSError:
        machine = ""
    return key_of("host", machine, os.uname().nodename)[:16] if machine else _UNKNOWN
