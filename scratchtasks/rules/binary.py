"""What the rules for binaries share: what they are given, and what they give."""

from collections.abc import Callable

from scratchtasks.core.action import Action
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One binary of *service* for *platform*; *label* is the action's that makes it.

    *expand* replaces `{git.*} {env.*} {name}`; *source* resolves a path or label of the service
    to a path below the root, or to the genrule action and output behind it.
    """

    service: Service
    label: Label
    platform: Platform
    expand: Callable[[str], str]
    source: "Callable[[str], Source]"

    def probe_label(self, name: str) -> Label:
        """The label of an analysis step that belongs to this binary."""
        return Label(self.label.package, f"{self.label.name}#{name}")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the workspace (*path*, root-relative), or *output* of the action *action*."""

    path: str = ""
    action: str = ""
    output: str = ""


Actions = tuple[Action, ...]
"""In order; the last one makes the binary, those before it are its probes."""
