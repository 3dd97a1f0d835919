"""prebuilt: a binary made elsewhere, which still has to pass the ship gate."""

from scratchtasks.core.action import Action
from scratchtasks.core.target import Prebuilt

from .binary import Actions, Request


def prebuilt(target: Prebuilt, request: Request) -> Actions:
    """The check and copy of *target*; its path may name the platform's parts."""
    path = target.path
    for part in ("os", "architecture", "variant"):
        path = path.replace("{" + part + "}", getattr(request.platform, part))
    source = request.source(path)
    return (
        Action(
            label=request.label,
            mnemonic="Prebuilt",
            op="prebuilt",
            params={"output": source.output} if source.action else {"path": source.path},
            platform=request.platform,
            deps={"source": source.action} if source.action else {},
        ),
    )
