"""The digest that an image would have, put together by the real operations without compiling."""

from collections.abc import Mapping

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import Done, Job, World
from scratchtasks.execute.operations import OPERATIONS

from .compiled import Compiled

Results = Mapping[str, ActionResult | ScratchError]


class _NotKnown(Exception):
    """Says why, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of actions in *world*: the *results* of those that pins touch, what is
    *compiled* otherwise than now, and of all others what *engine* finds."""

    engine: Engine
    world: World
    results: Results
    compiled: Mapping[str, Compiled]

    def digest(self, image: Action) -> tuple[str, str]:
        """The digest of *image* and ""; or "" and why it is not known, in words."""
        try:
            return self._made(image.name).outputs["top"].digest, ""
        except _NotKnown as why:
            return "", str(why)

    def digest_as_built(self, image: Action) -> tuple[str, str]:
        """The same for an *image* of which nothing is different: it need not be assembled."""
        try:
            return self._as_built(image).outputs["top"].digest, ""
        except _NotKnown as why:
            return "", str(why)

    def _made(self, name: str) -> ActionResult:
        action = self.engine.actions[name]
        if name in self.results:
            return _sound(self.results[name], action)
        if name in self.compiled:
            compiled = self.compiled[name]
            if compiled.result is None:
                what = "cannot be compiled" if compiled.error else "is not compiled yet"
                raise _NotKnown(f"{action.label} {what}")
            return compiled.result
        if action.op not in ("image", "rootfs"):
            return self._as_built(action)
        job = Job(action, {alias: self._made(dep) for alias, dep in action.deps.items()})
        outcome = OPERATIONS[action.op].run([job], self.world)[name]
        if isinstance(outcome, Done):
            return ActionResult(outputs=outcome.outputs, facts=outcome.facts)
        return _sound(outcome, action)

    def _as_built(self, action: Action) -> ActionResult:
        result = self.engine.verdict(action.name).result
        if result is None:
            raise _NotKnown(f"{action.label} is not built yet")
        return result


def _sound(result: ActionResult | ScratchError, action: Action) -> ActionResult:
    if isinstance(result, ScratchError):
        raise _NotKnown(f"{action.label} cannot be made")
    return result
