"""Tasks: what a user can ask for by name or label."""

from collections.abc import Mapping

from .errors import GraphError, did_you_mean
from .frozen import dataclass
from .label import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What becomes one doit task: its *actions* in order, after the tasks in *deps*.

    *name* is doit's (`image:api`), *label* Bazel's (`//services/api:image`).  *parts* are the
    tasks, one for each platform, that do all of this one's work.
    """

    name: str
    label: Label
    doc: str
    actions: tuple[str, ...]
    deps: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def name_of_label(tasks: Mapping[str, Task], label: str) -> str:
    """The name of the one of *tasks* with *label*.  Raises: GraphError with the nearest label."""
    labels = {str(task.label): name for name, task in tasks.items()}
    if label not in labels:
        raise GraphError(label, "there is no such target", did_you_mean(label, list(labels)))
    return labels[label]
