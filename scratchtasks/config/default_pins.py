"""The pins that hold until a workspace has a scratch.lock of its own."""

from collections.abc import Mapping

from scratchtasks.core.target import Pin

DEFAULT_PINS: Mapping[str, Pin] = {
    pin.name: pin
    for pin in (
        Pin(
            name="certifi",
            version="2026.10.18",
            sha256="73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62",
            size=134093,
            filename="certifi-2026.10.18-py3-none-any.whl",
            date="2026-10-18",
        ),
        Pin(
            name="tzdata",
            version="2026.6",
            sha256="0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec",
            size=348210,
            filename="tzdata-2026.6-py2.py3-none-any.whl",
            date="2026-10-28",
        ),
    )
}


def effective_pins(lock: Mapping[str, Pin] | None) -> Mapping[str, Pin]:
    """What is fetched: the pins of *lock*, and the built-in ones for what it does not name."""
    return {**DEFAULT_PINS, **(lock or {})}
