"""What a source would be pinned to now, and what a build without network would lack."""

from collections.abc import Mapping
from typing import Any

from scratchtasks.core.action import Action
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.source import FromDebian, FromImage, FromMachine
from scratchtasks.core.target import Pin

from ..operation import World
from .debian import resolve_debian
from .image import OtherImage
from .machine import resolve_machine
from .pinned import blob_of, pins_of, shown, source_of
from .tag import resolve_image


def resolve_pin(action: Action, world: World) -> tuple[Pin, str]:
    """The pin for what the source of the fetch *action* gives now, and a note for the user or "".

    Raises: ScratchError when the source cannot be asked, or does not have it.
    """
    params: Mapping[str, Any] = action.params
    source = source_of(params)
    match source:
        case FromImage():
            return resolve_image(source, world), ""
        case FromDebian():
            return resolve_debian(source, world)
        case FromMachine():
            return resolve_machine(source, str(params["what"])), ""


def missing_blobs(action: Action, world: World) -> list[str]:
    """What has to be fetched before *action* can run, one line each, as far as can be told."""
    missing: list[str] = []
    for name in pins_of(action):
        pin = world.pins.get(name)
        if pin is None:
            missing.append(f"{name}: scratch.lock has no pin")
        elif pin.kind == "image":
            missing += _missing_of_image(action, world)
        elif pin.kind != "machine" and not world.store.has(blob_of(pin)):
            missing.append(f"{shown(pin)}: {_told(blob_of(pin))}")
    return missing


def _missing_of_image(action: Action, world: World) -> list[str]:
    source = source_of(action.params)
    assert isinstance(source, FromImage)
    try:
        with OtherImage(source, action.platform, world) as other:
            return [f"{source.image}: {_told(blob)}" for blob in other.missing(source.path)]
    except ScratchError:
        return []  # running tells what is wrong


def _told(blob: Descriptor) -> str:
    return f"{blob.digest} ({blob.size:,} bytes)"
