"""What was found out about an action: whether it has to be run, and why."""

from collections.abc import Mapping
from dataclasses import field

from scratchtasks.core.action import ActionResult, Input, InputRecord
from scratchtasks.core.digest import ActionKey, Json
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass

from .operation import Job

_NO_KEY = ActionKey("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """*fresh*: nothing to do.  Else *reason* says why; *result* is there on a cache hit.

    *error* is what kept the action from being decided (a toolchain is missing, say).
    *job* is None for that reason too, and while a dependency has still to be built.
    *behind* is what the probes of one that is to be run have observed.
    """

    fresh: bool
    reason: str = ""
    result: ActionResult | None = None
    error: ScratchError | None = None
    job: Job | None = None
    base: ActionKey = _NO_KEY
    key: ActionKey = _NO_KEY
    description: Mapping[str, Json] = field(default_factory=dict)
    known: tuple[Input, ...] = ()
    record: InputRecord = field(default_factory=dict)
    behind: InputRecord = field(default_factory=dict)

    @property
    def word(self) -> str:
        """What is to be done, in a word."""
        if self.error is not None:
            return "failed"
        return "fresh" if self.fresh else "stale" if self.result is None else "hit"
