"""What sources other than wheels have now, and had before: to be compared before a pin moves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from scratchtasks.core.action import Action
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import ScratchError, StageError
from scratchtasks.core.target import Pin
from scratchtasks.execute.essentials.pem import parse_pem
from scratchtasks.execute.operation import Job, World
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.sources.pinned import is_pin_outdated, pins_of
from scratchtasks.execute.sources.tree import unpack_files
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Move

_MAX_ZONES = 32 << 20


def moved_sources(
    session: Session, may_move: Callable[[str], bool]
) -> tuple[list[Move], list[str]]:
    """What would be pinned now where that differs from scratch.lock, by name, and notes.

    Each source that a service uses is asked once, but for one that is pinned to what the service
    asks for and of which *may_move* says by name that it stays.  What is new is in the store
    afterwards, as far as it is one manifest or file.  A Debian package never moves to an older
    one: a mirror that lags behind, or a hostile one, has old indexes with good signatures.

    Raises: ScratchError of the first source that cannot be asked.
    """
    from scratchtasks.execute.sources.resolve import resolve_pin

    pins = session.declared.pins
    moved: list[Move] = []
    notes: list[str] = []
    by_pin = {pins_of(action)[0]: action for action in fetches(session)}
    for name, action in sorted(by_pin.items()):
        old = pins.get(name)
        if old is not None and not may_move(name) and not is_pin_outdated(action, old):
            continue
        new, note = resolve_pin(action, session.world)
        notes += [note] if note else []
        if old is None:
            moved.append(Move(None, new, "was not in scratch.lock"))
        elif new.kind == "debian" and "" < new.date < old.date:
            what = f"has {new.version} of {new.date}, older than {old.version} of {old.date}"
            notes.append(f"{name}: the mirror {what}: left as it is (without its pin it goes back)")
        elif old.sha256 != new.sha256:
            moved.append(Move(old, new, _why(old, new)))
    return moved, notes


def fetches(session: Session) -> list[Action]:
    """The actions of the graph that fetch from sources other than wheels."""
    return [action for action in session.graph.actions.values() if action.op == "fetch"]


def certificates_from(action: Action, pins: Mapping[str, Pin], world: World) -> Sequence[bytes]:
    """The public roots, as DER, that the fetch *action* gives under *pins*.

    Fetched unless the store has them.  Raises: ScratchError.
    """
    blob = _fetched(action, pins, world)
    return parse_pem(world.store.read(blob.digest), pins_of(action)[0])


def zones_from(action: Action, pins: Mapping[str, Pin], world: World) -> Mapping[str, bytes]:
    """The files below zoneinfo/ that *action* gives under *pins*, as certificates_from."""
    blob = _fetched(action, pins, world)
    with world.store.open(blob.digest) as tree:
        return unpack_files(tree, _MAX_ZONES, pins_of(action)[0])


def has_content(action: Action, pins: Mapping[str, Pin], world: World) -> bool:
    """Whether what the fetch *action* wants is there under *pins*.

    Raises: ScratchError when that cannot be told.
    """
    try:
        _fetched(action, pins, world)
    except StageError:
        return False
    return True


def _fetched(action: Action, pins: Mapping[str, Pin], world: World) -> Descriptor:
    outcome = OPERATIONS[action.op].run([Job(action)], replace(world, pins=pins))[action.name]
    if isinstance(outcome, ScratchError):
        raise outcome
    return outcome.outputs["file"]


def _why(old: Pin, new: Pin) -> str:
    if old.kind == "image":
        day = f", made on {new.date}" if new.date else ""
        return f"the tag {new.version} means another image{day}"
    if old.version != new.version:
        return f"{old.version} → {new.version}"
    return "other bytes under the same version"
