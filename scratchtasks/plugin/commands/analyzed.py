"""The workspace as a command of ours finds it, once doit has loaded its tasks."""

from typing import TYPE_CHECKING, Any

from doit.exceptions import InvalidCommand

from scratchtasks.plugin.loader import ScratchLoader

if TYPE_CHECKING:
    from scratchtasks.plugin.session import Session


def session_of(loader: Any) -> "Session":
    """The session behind *loader*.  Raises: InvalidCommand when doit uses another loader."""
    session = loader.session if isinstance(loader, ScratchLoader) else None
    if session is None:
        raise InvalidCommand(
            'this command needs a Workspace in dodo.py and [tool.doit] loader = "scratch"'
        )
    return session
