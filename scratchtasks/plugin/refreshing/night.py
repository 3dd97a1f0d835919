"""One night: propose, refuse or try out, and put the new lock in place last."""

from collections.abc import Callable

from scratchtasks.config.default_pins import effective_pins
from scratchtasks.core.errors import ConfigError
from scratchtasks.core.frozen import dataclass
from scratchtasks.plugin.lock_file import LockFile
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Proposal, pins_after
from scratchtasks.refresh.upstream import RunModule

from .contents import module_runner
from .propose import propose
from .trial import try_out

CODES = {"nothing": 0, "refreshed": 10, "proposed": 10, "refused": 20}
"""Exit codes by outcome."""

Show = Callable[[Proposal, str], None]
"""Is given the proposal and its outcome."""


def nobody(proposal: Proposal, outcome: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asked for: *check* changes nothing, *accept* overrules alarms."""

    check: bool = False
    accept: bool = False
    build: bool = False
    push: bool = False


def refresh(
    session: Session,
    wishes: Wishes,
    now: float,
    run_module: RunModule | None = None,
    on_trial: Show = nobody,
    on_ready: Show = nobody,
    dodo: str = "",
) -> tuple[Proposal, str]:
    """The proposal at *now* (seconds since 1970) and what came of it, a key of CODES.

    *on_trial* is told before images are built, *on_ready* before scratch.lock is replaced.  *dodo*
    is the file that doit reads, to build images by.

    Raises: ScratchError, also what those two raise; scratch.lock is then as it was.
    """
    if session.world.is_offline:
        raise ConfigError("--offline", "forbids to ask upstream, which is what refresh does")
    session.lock()
    lock = LockFile(session.world.root)
    if effective_pins(lock.pins) != session.world.pins:
        raise ConfigError("scratch.lock", "has just been changed", "run doit refresh again")
    proposal = propose(session, lock.pins, now, run_module or module_runner(session.world))
    if proposal.alarms and not wishes.accept:
        return proposal, "refused"
    if not proposal.is_news:
        return proposal, "nothing"
    if wishes.check:
        return proposal, "proposed"
    text = lock.with_pins(pins_after(lock.pins or {}, proposal.moves))
    if wishes.build or wishes.push:
        on_trial(proposal, "proposed")  # they may still fail, and the lock stays
        try_out(session, text, proposal.affected, push=wishes.push, dodo=dodo)
    lock.check()
    on_ready(proposal, "refreshed")
    lock.write(text)
    return proposal, "refreshed"
