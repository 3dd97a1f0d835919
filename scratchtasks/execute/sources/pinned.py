"""What all sources share: their parameters, their pins, and how a mismatch is put."""

from collections.abc import Mapping
from typing import Any

from scratchtasks.core.action import Action
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import NotInStore, StageError
from scratchtasks.core.source import FromDebian, FromImage, FromMachine, pin_name
from scratchtasks.core.target import Pin

from ..operation import World

LOCK = "scratch.lock"
OCTETS = "application/octet-stream"
WHEELS: Mapping[str, str] = {"certs": "certifi", "zoneinfo": "tzdata"}
"""The wheel that a kind of essential is made from, unless another source is named."""


def source_of(params: Mapping[str, Any]) -> FromImage | FromMachine | FromDebian:
    """The source that a fetch action's *params* describe; `rules/fetch.py` writes them."""
    match params["kind"]:
        case "image":
            return FromImage(image=params["image"], path=params["path"])
        case "machine":
            return FromMachine(path=params["path"])
        case _:
            return FromDebian(package=params["package"])


def pins_of(action: Action) -> tuple[str, ...]:
    """The names of the pins that *action* itself needs."""
    params: Mapping[str, Any] = action.params
    if action.op == "fetch":
        return (pin_name(source_of(params)),)
    if action.op == "essentials" and "source" not in params and params.get("public", True):
        return tuple(WHEELS[kind] for kind in [params["kind"]] if kind in WHEELS)
    return ()


def is_pin_outdated(action: Action, pin: Pin) -> bool:
    """Whether *pin* is not what the user's configuration asks for any more.

    Only an image that is named by its digest can tell; tags move, which is what pins are for.
    """
    params: Mapping[str, Any] = action.params
    _, at, digest = str(params.get("image", "")).partition("@")
    return bool(at) and digest != f"sha256:{pin.sha256}"


def locked(name: str, world: World) -> Pin:
    """The pin called *name*.  Raises: StageError when scratch.lock has none."""
    pin = world.pins.get(name)
    if pin is None:
        raise StageError(LOCK, f"has no pin for {name}", "the first build that needs it writes it")
    return pin


def blob_of(pin: Pin, media_type: str = OCTETS) -> Descriptor:
    """The bytes that *pin* stands for."""
    return Descriptor(media_type, Digest(f"sha256:{pin.sha256}"), pin.size)


def mismatch(pin: Pin, got: str, how: str, hint: str = "") -> StageError:
    """The error for bytes with the digest *got* (`sha256:…`), obtained as *how* says."""
    return StageError(
        shown(pin), f"digest mismatch: {LOCK} says sha256:{pin.sha256}, {how} {got}", hint
    )


def offline(what: str) -> NotInStore:
    """The error for something that is not in the store, while nothing may be fetched."""
    return NotInStore(
        what, "is not in the store, and --offline forbids to fetch it", "run once without --offline"
    )


def shown(pin: Pin) -> str:
    """*pin* as messages name it."""
    return pin.name if pin.kind == "image" else f"{pin.name} {pin.version}"
