"""Decide whether an action is fresh, and build it when it is not.

A verdict is the comparison of one key: the description of the action (op, params, toolchain,
results of its deps) and the observed values of everything it reads.  Fresh means that the stamp
holds that key and every blob it names is whole; a key that the cache knows is a hit; only the
rest is run.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, Protocol

from scratchtasks.core.action import Action, ActionResult, Input, InputRecord, key_with_inputs
from scratchtasks.core.digest import ActionKey, Digest, Json, canonical_json, digest_of, key_of
from scratchtasks.core.errors import ActionFailed, ScratchError, StoreError
from scratchtasks.core.span import span

from .changes import Changes
from .explain import why_stale
from .headstart import HeadStart
from .operation import Job, Operation, Outcome, World
from .stamp import Stamp, read_stamp, write_stamp
from .verdict import Verdict

_SCHEME = "v1"
_ATTEMPTS = 3

How = Literal["ran", "hit", "failed"]


class Listener(Protocol):
    """Told what happens to actions, on the thread that works on them: *size* is in bytes,
    *reason* why it ran or, of one that failed, the error."""

    def started(self, actions: Sequence[Action], reason: str) -> None: ...
    def finished(
        self, action: Action, how: How, seconds: float, reason: str, size: int
    ) -> None: ...


class Nobody:
    """A Listener that says nothing."""

    def started(self, actions: Sequence[Action], reason: str) -> None:
        """Nothing."""

    def finished(self, action: Action, how: How, seconds: float, reason: str, size: int) -> None:
        """Nothing."""


class Engine:
    """Verdicts and builds for one set of actions in one process; used from several threads."""

    def __init__(
        self,
        world: World,
        actions: Mapping[str, Action],
        operations: Mapping[str, Operation],
        listener: Listener,
    ) -> None:
        self.world = world
        self.actions = actions
        self._operations = operations
        self._listener = listener
        self._verdicts: dict[str, Verdict] = {}
        self._stale: dict[str, Verdict] = {}
        self._keeps_stale = False
        self._digests: dict[str, tuple[ActionResult, Digest]] = {}
        self._failures: dict[str, ScratchError] = {}
        self._told: dict[str, tuple[Input, ...]] = {}
        self._changes = Changes(world.root, world.scratch)
        self._lock = threading.RLock()

    def operation(self, action: Action) -> Operation:
        """The operation that *action* names."""
        return self._operations[action.op]

    def verdict(self, name: str) -> Verdict:
        """What is to be done about the action *name*, probes run as needed; never raises
        ScratchError."""
        with self._lock:
            verdict = self._verdicts.get(name) or self._stale.get(name)
        if verdict is None:
            with span(self.world.tell, "scan", name) as told:
                verdict = self._decide(self.actions[name])
                told |= {"verdict": verdict.word, "inputs": len(verdict.record)}
            # A stale one may be built by another process (doit's -P process): ask again.
            with self._lock:
                if verdict.fresh or verdict.error is not None:
                    self._verdicts[name] = verdict
                elif self._keeps_stale:
                    self._stale[name] = verdict
        return verdict

    @contextmanager
    def planning(self) -> Iterator[None]:
        """For a `with` block in which nobody else builds: what is stale is found out once."""
        self._keeps_stale = True
        try:
            yield
        finally:
            self._keeps_stale = False
            self._stale.clear()

    def known(self, name: str) -> Verdict | None:
        """What was already found out about the action *name*, if it is up to date."""
        with self._lock:
            verdict = self._verdicts.get(name)
        return verdict if verdict is not None and verdict.fresh else None

    def build(self, name: str) -> ActionResult:
        """The result of the action *name*: remembered, from the cache, or newly made.

        Its deps have to be built already, probes excepted.  Raises: ScratchError.
        """
        failure = self._failures.get(name)
        if failure is not None:
            raise failure
        for _ in range(_ATTEMPTS):
            verdict = self.verdict(name)
            if verdict.error is not None:
                raise verdict.error
            if verdict.fresh and verdict.result is not None:
                return verdict.result
            if verdict.result is not None:
                return self._restore(name, verdict)
            if verdict.job is None:
                raise ActionFailed(name, verdict.reason, "build that first, or run without -s")
            result = self._run({name: verdict}).get(name)
            if isinstance(result, ScratchError):
                raise result
            if result is not None:
                return result
        raise ActionFailed(
            name, "its inputs kept changing while it was built", "run doit again when they rest"
        )

    def run(self, names: Sequence[str]) -> dict[str, ActionResult | ScratchError]:
        """Run the stale actions *names*, which share one operation and batch key, in one go.

        An action whose inputs changed meanwhile is missing from the answer: its result was
        dropped, for it may hold a mixture.  Failures are remembered for `build`.
        """
        verdicts = {name: self.verdict(name) for name in names}
        stale = {name: each for name, each in verdicts.items() if each.job and not each.result}
        return self._run(stale) if stale else {}

    def _run(self, verdicts: Mapping[str, Verdict]) -> dict[str, ActionResult | ScratchError]:
        jobs = [verdict.job for verdict in verdicts.values() if verdict.job is not None]
        actions = [job.action for job in jobs]
        self._listener.started(
            actions, "; ".join(dict.fromkeys(v.reason for v in verdicts.values()))
        )
        ahead = self._begun_ahead(verdicts)
        began, clock = ahead.began if ahead else time.perf_counter(), 0
        outcomes: Mapping[str, Outcome]
        try:
            # What was written at that very moment counts for one that was begun before it was seen.
            clock = ahead.clock - 1 if ahead else self._changes.clock()
            outcomes = self.operation(actions[0]).run(jobs, self.world)
        except ScratchError as error:
            outcomes = {action.name: error for action in actions}
        seconds = time.perf_counter() - began
        self.world.files.forget_scan()  # what was seen before it ran may have changed meanwhile
        self._stale.clear()
        results: dict[str, ActionResult | ScratchError] = {}
        for job in jobs:
            name = job.action.name
            result = self._settle(name, verdicts[name], outcomes[name], clock)
            how: How = "failed" if isinstance(result, ScratchError) else "ran"
            reason, size = verdicts[name].reason, 0
            if isinstance(result, ScratchError):
                self._failures[name] = result
                reason = str(result)
            elif result is not None:
                size = result.size
            self._listener.finished(job.action, how, seconds, reason, size)
            if result is not None:
                results[name] = result
        return results

    def reset(self) -> None:
        """Forget every verdict and what was seen on disk: somebody else was at work."""
        self.world.files.forget_scan()
        with self._lock:
            self._verdicts.clear()
            self._stale.clear()
            self._failures.clear()

    def _decide(self, action: Action) -> Verdict:
        deps: dict[str, ActionResult] = {}
        for alias, dep in action.deps.items():
            try:
                result = self._result_of_dep(dep)
            except ScratchError as error:
                return Verdict(fresh=False, reason=str(error), error=error)
            if result is None:
                verdict = self.verdict(dep)
                reason = f"{dep} is to be rebuilt: {verdict.reason}"
                # One that waits for its own deps names the first cause already.
                return Verdict(fresh=False, reason=reason if verdict.job else verdict.reason)
            deps[alias] = result
        job, operation = Job(action, deps), self.operation(action)
        try:
            description = self._description(job, operation)
            known = tuple(operation.inputs(job, self.world))
            verdict = self._compare(job, description, known)
            is_made = verdict.result is not None
            return verdict if is_made else replace(verdict, behind=self._behind(verdict))
        except ScratchError as error:
            return Verdict(fresh=False, reason=str(error), error=error)

    def _behind(self, verdict: Verdict) -> InputRecord:
        """What the probes of the action of *verdict* observed, besides what it reads itself."""
        assert verdict.job is not None
        deps = verdict.job.action.deps.values()
        records = (self.verdict(dep).record for dep in deps if self.actions[dep].is_probe)
        return {
            item: value
            for record in records
            for item, value in record.items()
            if Input("file", item.path) not in verdict.record
        }

    def _result_of_dep(self, dep: str) -> ActionResult | None:
        verdict = self.verdict(dep)
        if verdict.error is not None:
            raise verdict.error
        if verdict.result is None and self.actions[dep].is_probe:
            return self.build(dep)
        return verdict.result

    def _description(self, job: Job, operation: Operation) -> dict[str, Json]:
        action = job.action
        return {
            "op": action.op,
            "version": operation.version,
            "params": action.params,
            "platform": str(action.platform or ""),
            "identity": operation.identity(job, self.world),
            # A dependency counts by what it gave, not by what it was made from: early cut-off.
            "deps": {
                alias: self._digest(action.deps[alias], result)
                for alias, result in job.deps.items()
            },
        }

    def _digest(self, name: str, result: ActionResult) -> Digest:
        """The digest of *result*, which the action *name* has given; many depend on essentials."""
        known = self._digests.get(name)
        if known is None or known[0] is not result:
            known = self._digests[name] = result, digest_of(canonical_json(result.to_json()))
        return known[1]

    def _compare(self, job: Job, description: dict[str, Json], known: tuple[Input, ...]) -> Verdict:
        stamp = read_stamp(self.world.scratch, job.action)
        base = key_of(_SCHEME, description)
        fault, first = "", None
        for inputs in self._input_sets(job.action.name, base, stamp):
            try:
                record = self.world.files.observe_all((*known, *inputs))
            except StoreError as error:
                if not inputs:
                    raise
                fault = fault or str(error)
                continue  # what cannot be read now is not what was read then
            key = key_with_inputs(base, record)
            verdict = Verdict(
                fresh=False,
                job=job,
                base=base,
                key=key,
                description=description,
                known=known,
                record=record,
            )
            first = first or verdict
            if stamp is not None and stamp.key == key:
                fault = self._fault(stamp.result)
                if not fault:
                    return replace(verdict, fresh=True, result=stamp.result)
            result = self.world.cache.get(key)
            if result is not None:
                reason = why_stale(stamp, description, first.record, fault, job)
                return replace(verdict, result=result, reason=reason)
            fault = fault or self.world.cache.why_missed(key)
        assert first is not None
        reason = why_stale(stamp, description, first.record, fault, job)
        return replace(first, reason=reason)

    def _input_sets(
        self, name: str, base: ActionKey, stamp: Stamp | None
    ) -> Iterator[tuple[Input, ...]]:
        # What it read when it was disturbed is observed ahead of the next try.
        if name in self._told:
            yield self._told[name]
        # The last set is nearly always the right one, and it is at hand in the stamp.
        if stamp is not None and stamp.base == base:
            yield tuple(stamp.record)
        yield from self.world.cache.input_sets(base)
        yield ()

    def _fault(self, result: ActionResult) -> str:
        for blob in result.outputs.values():
            fault = self.world.store.fault(blob)
            if fault:
                return fault
        return ""

    def _restore(self, name: str, verdict: Verdict) -> ActionResult:
        assert verdict.result is not None
        action, result = self.actions[name], verdict.result
        began = time.perf_counter()
        self._remember(action, verdict, verdict.key, verdict.record, result)
        seconds = time.perf_counter() - began
        self._listener.finished(action, "hit", seconds, verdict.reason, result.size)
        return result

    def _settle(
        self, name: str, verdict: Verdict, outcome: Outcome, clock: int
    ) -> ActionResult | ScratchError | None:
        if isinstance(outcome, ScratchError):
            return outcome
        inputs = {*verdict.known, *outcome.inputs}
        try:
            record = self.world.files.observe_all(inputs, fresh=True)
            before, is_free = verdict.record, outcome.is_free
            if (
                self._changes.are_in(name, before, record, clock, is_free=is_free)
                or self._is_disturbed_behind(name, verdict, clock)
                or not self._is_still(verdict)
            ):
                self._told[name] = tuple(outcome.inputs)
                self._forget(name)
                return None
            result = ActionResult(outputs=outcome.outputs, facts=outcome.facts)
            key = key_with_inputs(verdict.base, record)
            self.world.cache.put(key, result)
            if outcome.inputs:
                self.world.cache.add_input_set(verdict.base, inputs)
            self._remember(self.actions[name], verdict, key, record, result)
        except ScratchError as error:  # what cannot be read or kept is no neighbour's affair
            return error
        return result

    def _is_disturbed_behind(self, name: str, verdict: Verdict, clock: int) -> bool:
        # Not `fresh`: the scan is of after the run, and many have the same behind them.
        now = self.world.files.observe_all(verdict.behind)
        return self._changes.are_behind(name, verdict.behind, now, clock)

    def _is_still(self, verdict: Verdict) -> bool:
        """Whether the description still holds: a compiler may be upgraded while it is at work."""
        assert verdict.job is not None
        try:
            now = self._description(verdict.job, self.operation(verdict.job.action))
        except ScratchError:
            return False
        return now == verdict.description

    def _begun_ahead(self, verdicts: Mapping[str, Verdict]) -> HeadStart | None:
        """What was begun already of what is to be run for *verdicts*."""
        ahead = self.world.ahead
        if ahead is None or any(self.actions[name].op != ahead.op for name in verdicts):
            return None
        return ahead if ahead.agree([verdict.key for verdict in verdicts.values()]) else None

    def _remember(
        self,
        action: Action,
        verdict: Verdict,
        key: ActionKey,
        record: InputRecord,
        result: ActionResult,
    ) -> None:
        stamp = Stamp(
            key=key,
            base=verdict.base,
            description=verdict.description,
            record=record,
            result=result,
        )
        write_stamp(self.world.scratch, action, stamp)
        with self._lock:
            self._stale.clear()
            self._verdicts[action.name] = replace(
                verdict, fresh=True, result=result, key=key, record=record
            )

    def _forget(self, name: str) -> None:
        """Drop what is known of *name* and its probes: they are to be decided anew."""
        with self._lock:
            self._verdicts.pop(name, None)
            for dep in self.actions[name].deps.values():
                if self.actions[dep].is_probe:
                    self._verdicts.pop(dep, None)
