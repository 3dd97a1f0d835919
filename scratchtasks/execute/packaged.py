"""Compilers from PyPI: the version that scratch.lock pins, installed or else unpacked by us.

Wheels differ by host: the lock lists all of them, and the one for this machine is fetched by the
user's own pip, held to its digest and unpacked into the store.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import ScratchError, ToolchainMissing
from scratchtasks.core.target import Pin

from .operation import World
from .sources.pinned import offline
from .toolchains import find_package, is_file, packaged_as


def find_packaged(
    project: str, package: str, program: str, world: World, beside: Iterable[str] = ()
) -> str:
    """The absolute folder of *package*, in which *program* is, as *project* on PyPI has it.

    *beside* are folders of it that were found already; else this interpreter's packages are
    looked at.  None of them counts that is of another version than scratch.lock pins: that one
    is fetched, unless it is in the store.  "" where it is neither installed nor pinned.

    Raises: ToolchainMissing, StageError, StoreError when the pinned one cannot be had.
    """
    pin = world.pins.get(project)
    for folder in filter(None, [*beside, find_package(package)]):
        is_wanted = pin is None or packaged_as(folder, project, world) == pin.version
        if is_wanted and is_file(os.path.join(folder, program), world):
            return folder
    return "" if pin is None else os.path.join(_unpacked(pin, world), package)


def wheel_for_host(names: Iterable[str]) -> str:
    """The name of that wheel of *names* that pip would take on this machine, "" for none."""
    from packaging.tags import sys_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    ranks: dict[object, int] = {tag: rank for rank, tag in enumerate(sys_tags())}
    found: dict[int, str] = {}
    for name in sorted(names):
        try:
            tags = parse_wheel_filename(name)[3]
        except InvalidWheelFilename:
            continue
        found |= {ranks[tag]: name for tag in tags if tag in ranks}
    return found[min(found)] if found else ""


def _unpacked(pin: Pin, world: World) -> str:
    """The folder with the files of *pin*'s wheel for this machine, fetched if need be."""
    shown = f"{pin.name} {pin.version}"
    own_way = f"pip install '{pin.name}=={pin.version}'"
    if not pin.wheels:
        raise ToolchainMissing(
            shown,
            "is pinned without its wheels, and not installed",
            f"`doit refresh` writes them down; or {own_way}",
        )
    # Told once per machine: to load what knows of tags takes longer than all else here.
    host = [sys.version, *os.uname()]
    name = world.files.probes.ask(
        ["wheel", sorted(pin.wheels), host], lambda: wheel_for_host(pin.wheels)
    )
    if not name:
        raise ToolchainMissing(
            shown,
            f"has no wheel for this machine ({sys.platform}, {os.uname().machine}), "
            f"of {len(pin.wheels)} in scratch.lock",
            "put the compiler itself on PATH",
        )
    from .unpack import is_whole

    tree = world.store.tree(Digest(f"sha256:{pin.wheels[name]}"))
    if not is_whole(tree, world):
        wheel = replace(pin, filename=name, sha256=pin.wheels[name], size=0, wheels={})
        if world.is_offline:
            raise offline(f"{shown} ({name})")
        # Many actions ask: an index that does not answer is asked once.
        fault = world.files.once(f"unpack {wheel.sha256}", lambda: _unpack(wheel, tree, world))
        if isinstance(fault, ScratchError):
            raise fault
    return f"{tree}/files"


def _unpack(wheel: Pin, tree: str, world: World) -> ScratchError | str:
    """Have *wheel* unpacked in *tree*: "", or why that cannot be."""
    from .pins import fetched_wheel
    from .unpack import alone, is_whole, unpack_wheel

    shown = f"{wheel.name} {wheel.version}"
    try:
        with alone(tree):
            if not is_whole(tree, world):  # somebody else may have made it meanwhile
                world.processes.show(f"{shown}: fetching {wheel.filename}\n".encode())
                with fetched_wheel(wheel, world) as path:
                    unpack_wheel(path, tree, world)
    except ScratchError as error:
        return error
    return ""
