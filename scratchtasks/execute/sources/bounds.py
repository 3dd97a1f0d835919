"""How much is taken from others before it counts as an attack."""

from scratchtasks.core.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bytes: of a compressed *layer*, of one *expanded*, of a *file*, of a *folder* of files."""

    layer: int = 8 << 30
    expanded: int = 32 << 30
    file: int = 2 << 30
    folder: int = 32 << 20
