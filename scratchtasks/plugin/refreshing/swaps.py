"""Which sources of roots and zones have another content after a proposal, and who uses them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

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

_MAX_ZONES = 32 << 20
Swaps = tuple[tuple[RootsSwap, ...], tuple[ZonesSwap, ...]]


def swaps(session: Session, moves: Iterable[Move], outlook: Outlook) -> Swaps:
    """The swaps that *moves* bring about: of wheels, and of what else layers are made from."""
    roots: list[RootsSwap] = []
    zones: list[ZonesSwap] = []
    for move in moves:
        old, new = move.old, move.new
        if old is None or not move.is_moved:
            continue
        was = f"{old.name} {old.version}"
        if old.name == "certifi":
            read_roots = partial(certificates_of, world=session.world)
            roots.append(
                Swap(
                    name=old.name,
                    was=was,
                    old=partial(read_roots, old),
                    new=partial(read_roots, new),
                    services=_users(session, old.name),
                )
            )
        elif old.name == "tzdata":
            read_zones = partial(zones_of, world=session.world)
            zones.append(
                Swap(
                    name=old.name,
                    was=was,
                    old=partial(read_zones, old),
                    new=partial(read_zones, new),
                    services=_users(session, old.name),
                )
            )
    for name, (before, after) in _other(session, outlook).items():
        action = session.graph.actions[name]
        (pin,) = pins_of(action)
        if action.params["what"] == "roots":
            read = partial(_certificates, pin, session)
            roots.append(
                Swap(name=pin, was=f"what {pin} was", old=partial(read, before),
                     new=partial(read, after), services=_users(session, name))
            )  # fmt: skip
        else:
            unpack = partial(_zones, pin, session)
            zones.append(
                Swap(name=pin, was=f"what {pin} was", old=partial(unpack, before),
                     new=partial(unpack, after), services=_users(session, name))
            )  # fmt: skip
    return tuple(roots), tuple(zones)


def _other(
    session: Session, outlook: Outlook
) -> dict[str, tuple[ActionResult | ScratchError, ActionResult]]:
    """Fetched roots and zones that differ, by action; what cannot be had any more is an alarm."""
    found: dict[str, tuple[ActionResult | ScratchError, ActionResult]] = {}
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


def _file_of(result: ActionResult | ScratchError) -> ActionResult:
    if isinstance(result, ScratchError):
        raise result
    return result


def _certificates(
    pin: str, session: Session, result: ActionResult | ScratchError
) -> Sequence[bytes]:
    blob = _file_of(result).outputs["file"]
    return parse_pem(session.world.store.read(blob.digest), pin)


def _zones(pin: str, session: Session, result: ActionResult | ScratchError) -> Mapping[str, bytes]:
    with session.world.store.open(_file_of(result).outputs["file"].digest) as tree:
        return unpack_files(tree, _MAX_ZONES, pin)
