"""What each image is put together from."""

from collections.abc import Mapping

from scratchtasks.core.action import Action
from scratchtasks.plugin.session import Session


def parts_of(session: Session, name: str) -> Mapping[str, Action]:
    """The actions that the root file system of service *name* is made from, by what it calls them:
    `layer:certs`, `binary:api@linux/amd64`, `file:0` and so on.
    """
    actions = session.graph.actions
    root = actions[session.graph.tasks[f"rootfs:{name}"].actions[-1]]
    return {alias: actions[dep] for alias, dep in root.deps.items()}
