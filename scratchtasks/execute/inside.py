"""What an image takes from the workspace lies in it: links that lead out are refused."""

import os
from collections.abc import Iterable

from scratchtasks.core.errors import StageError

from .operation import World


def check_inside(src: str, where: str, own: Iterable[str], world: World) -> None:
    """See to it that no link on the way to *src*, relative to the root, leads out of the workspace:
    it brings what another machine lacks, or has otherwise.

    Raises: StageError.  A service may lie outside itself: one of the folders *own* (relative) is a
    link then.
    """
    root = world.root

    def real_of(folder: str) -> str:
        return world.files.once(f"real {folder}", lambda: os.path.realpath(folder))

    inside = [real_of(root), *(real_of(os.path.join(root, folder)) for folder in own)]

    def is_inside(path: str) -> bool:
        real = os.path.realpath(path) if os.path.islink(path) else real_of(path)
        return any(f"{real}/".startswith(f"{base.rstrip('/')}/") for base in inside)

    full = os.path.join(root, src)
    if is_inside(full if os.path.islink(full) else os.path.dirname(full)):
        return
    names = src.split("/")
    ways = ("/".join(names[: number + 1]) for number in range(len(names)))
    link = next((way for way in ways if not is_inside(os.path.join(root, way))), src)
    leads_to = os.path.realpath(os.path.join(root, link))
    raise StageError(
        where,
        f"cannot stage {src}: {link} is a link out of the workspace, to {leads_to}",
        "copy what the image needs into the workspace",
    )


def service_folders(src: str, world: World) -> list[str]:
    """The folders above *src*, relative to the root, that a service.toml makes a service's."""
    names = src.split("/")[:-1]
    above = ["/".join(names[: number + 1]) for number in range(len(names))]
    return [each for each in above if os.path.isfile(f"{world.root}/{each}/service.toml")]
