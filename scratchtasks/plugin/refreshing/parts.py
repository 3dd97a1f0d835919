"""What each image is put together from."""

from collections.abc import Mapping

from scratchtasks.core.action import Action
from scratchtasks.plugin.session import Session


def parts_of(session: Session, name: str) -> Mapping[str, Action]:
    """The actions that the root file systems of service *name* are made from, by what they call
    them: `layer:certs`, `binary:api@linux/amd64`, `file:0` and so on.
    """
    actions = session.graph.actions
    roots = [actions[each] for each in session.graph.tasks[f"rootfs:{name}"].actions]
    return {alias: actions[dep] for root in roots for alias, dep in root.deps.items()}
