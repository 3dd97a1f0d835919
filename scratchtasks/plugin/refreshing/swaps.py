"""Which sources of roots and zones have another content after a proposal, and who uses them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Service
from scratchtasks.execute.essentials.pem import parse_pem
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.execute.sources.tree import unpack_files
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.compare import RootsSwap, Swap, ZonesSwap
from scratchtasks.refresh.proposal import Move

from .contents import certificates_of, zones_of
from .forecast import Outlook
from .parts import parts_of

S = TypeVar("S")
T = TypeVar("T")

_MAX_ZONES = 32 << 20
Result = ActionResult | ScratchError
Swaps = tuple[tuple[RootsSwap, ...], tuple[ZonesSwap, ...]]


def swaps(session: Session, moves: Iterable[Move], outlook: Outlook) -> Swaps:
    """The swaps that *moves* bring about: of wheels, and of what else layers are made from."""
    roots: list[RootsSwap] = []
    zones: list[ZonesSwap] = []
    moves = tuple(moves)
    first = {move.new.name for move in moves if move.old is None}
    for move in moves:
        old, new = move.old, move.new
        if old is None or not move.is_moved or old.name not in ("certifi", "tzdata"):
            continue
        users = _users(session, old.name)
        was = f"{old.name} {old.version}"
        if old.name == "certifi":
            read_wheel = partial(certificates_of, world=session.world)
            roots.append(_swap(old.name, was, read_wheel, (old, new), users))
        else:
            read_folder = partial(zones_of, world=session.world)
            zones.append(_swap(old.name, was, read_folder, (old, new), users))
    for name, results in _other(session, outlook).items():
        action = session.graph.actions[name]
        (pin,) = pins_of(action)
        if pin in first:
            continue  # there is nothing to compare with
        users = _users(session, name)
        source = f"{pin} {action.params['path']}" if action.params["kind"] == "image" else pin
        was = f"what {source} was"
        if action.params["what"] == "roots":
            roots.append(
                _swap(source, was, partial(_certificates, source, session), results, users)
            )
        else:
            zones.append(_swap(source, was, partial(_zones, source, session), results, users))
    return tuple(roots), tuple(zones)


def _swap(
    name: str, was: str, read: Callable[[S], T], two: tuple[S, S], users: Sequence[Service]
) -> Swap[T]:
    old, new = two
    return Swap(name=name, was=was, old=partial(read, old), new=partial(read, new), services=users)


def _other(session: Session, outlook: Outlook) -> dict[str, tuple[Result, Result]]:
    """Fetched roots and zones that differ, by action; what cannot be had any more is an alarm."""
    found: dict[str, tuple[Result, Result]] = {}
    for name, after in outlook.after.items():
        action = session.graph.actions[name]
        if action.op != "fetch" or action.params["what"] == "file":
            continue
        before = outlook.before[name]
        if isinstance(after, ScratchError):
            continue
        if isinstance(before, ScratchError) or before.outputs != after.outputs:
            found[name] = before, after
    return found


def _users(session: Session, source: str) -> tuple[Service, ...]:
    """The services with a layer made from *source*, the name of a wheel's pin or an action."""
    found = []
    for name, service in session.graph.services.items():
        layers = parts_of(session, name).values()
        if any(source in _made_from(layer) for layer in layers):
            found.append(service)
    return tuple(found)


def _made_from(layer: Action) -> Sequence[str]:
    return (*pins_of(layer), *layer.deps.values()) if layer.op == "essentials" else ()


def _file_of(result: Result) -> ActionResult:
    if isinstance(result, ScratchError):
        raise result
    return result


def _certificates(pin: str, session: Session, result: Result) -> Sequence[bytes]:
    blob = _file_of(result).outputs["file"]
    return parse_pem(session.world.store.read(blob.digest), pin)


def _zones(pin: str, session: Session, result: ActionResult | ScratchError) -> Mapping[str, bytes]:
    with session.world.store.open(_file_of(result).outputs["file"].digest) as tree:
        return unpack_files(tree, _MAX_ZONES, pin)
