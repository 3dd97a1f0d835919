"""Tasks: what a user can ask for by name or label."""

from dataclasses import dataclass

from .label import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What becomes one doit task: its *actions* in order, after the tasks in *deps*.

    *name* is doit's (`image:api`), *label* Bazel's (`//services/api:image`).
    """

    name: str
    label: Label
    doc: str
    actions: tuple[str, ...]
    deps: tuple[str, ...] = ()
