"""What pinned files hold, fetched by pip and verified; and private CAs of the workspace."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from scratchtasks.core.errors import ScratchError, StageError
from scratchtasks.core.target import Pin
from scratchtasks.core.tree import check_path
from scratchtasks.execute.essentials.pem import parse_pem, read_pem
from scratchtasks.execute.essentials.wheels import roots_in, zones_in
from scratchtasks.execute.essentials.zoneinfo import FOLDER
from scratchtasks.execute.operation import World, empty_folder
from scratchtasks.execute.pins import pinned_wheel
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.roots import Expiring, expiring, roots_of
from scratchtasks.refresh.upstream import Ended, RunModule

from .parts import parts_of


def certificates_of(pin: Pin, world: World) -> Sequence[bytes]:
    """The roots, as DER, in certifi's wheel that *pin* stands for.

    Fetched by the user's pip unless the store has it.  Raises: StageError.
    """
    return parse_pem(roots_in(wheel_of(pin, world)), f"{pin.name} {pin.version}")


def zones_of(pin: Pin, world: World) -> Mapping[str, bytes]:
    """The files below zoneinfo/ in tzdata's wheel that *pin* stands for, as certificates_of."""
    files = zones_in(wheel_of(pin, world))
    for name in files:
        check_path(f"/{FOLDER}/{name}", f"{pin.name} {pin.version}")
    if "UTC" not in files:
        raise StageError(f"{pin.name} {pin.version}", "has no zones", "is this tzdata's wheel?")
    return files


def wheel_of(pin: Pin, world: World) -> str:
    """The absolute path of *pin*'s wheel, which scratch.lock need not name yet.

    Raises: StageError as pinned_wheel.
    """
    return pinned_wheel(pin.name, replace(world, pins={pin.name: pin}))


def module_runner(world: World) -> RunModule:
    """Runs Python modules with the user's environment, in a folder that holds nothing."""

    def run(module: str, args: Sequence[str]) -> Ended:
        with empty_folder(world) as folder:
            done = world.processes.run(
                [sys.executable, "-m", module, *args], cwd=folder, env=world.env, show_stderr=False
            )
        return Ended(done.code, done.stdout, done.stderr)

    return run


def expiring_authorities(session: Session, now: float, warn_days: int) -> Iterator[Expiring]:
    """The private CAs (`certs.extra`) that end within *warn_days* after *now*, or have ended.

    What cannot be read is left to the build, which says so.
    """
    for path, services in sorted(_private(session).items()):
        try:
            roots = roots_of(parse_pem(read_pem(path, session.world.root), path), path)
        except ScratchError:
            continue
        for root in expiring(roots, now, warn_days):
            yield Expiring(path, root, tuple(sorted(services)))


def _private(session: Session) -> Mapping[str, set[str]]:
    """The files of private CAs, and the names of the services that ship each."""
    found: dict[str, set[str]] = {}
    for name in session.graph.services:
        layer = parts_of(session, name).get("layer:certs")
        extra = layer.params.get("extra", []) if layer else []
        assert isinstance(extra, list)
        for path in extra:
            found.setdefault(str(path), set()).add(name)
    return found
