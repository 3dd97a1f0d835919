"""scratch.lock during a run: completed on first use, insisted on by --locked, enough for --offline.

`--locked` is never implied by `CI=…`: that variable is set in many places, and a repository
without a lock is to build there as it does on a desk.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scratchtasks.core.action import Action, Input
from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import (
    ConfigError,
    ConfigErrors,
    NotInStore,
    ScratchError,
    StoreError,
)
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import PROJECTS, packaged_toolchains
from scratchtasks.execute.operation import World
from scratchtasks.execute.plan import run_probes
from scratchtasks.execute.sources.pinned import is_pin_outdated, pins_of

from .lock_file import LockFile
from .switches import LOCK, is_set, lock_of

if TYPE_CHECKING:
    from .session import Session

_OFFLINE_ENV = {"CARGO_NET_OFFLINE": "true", "GOPROXY": "off", "PIP_NO_INDEX": "1"}
"""What keeps compilers and pip from the network; none of it is part of a key."""


class Pinning:
    """How strict a run is about its inputs; *session* is asked to take new pins."""

    def __init__(self, session: "Session", env: Mapping[str, str]) -> None:
        self._session = session
        self._lock = lock_of(env)
        self._turn = threading.Lock()  # tasks of one run may all find the same pin missing
        self.is_locked = is_set(env, "SCRATCH_LOCKED")
        self.is_offline = False
        if is_set(env, "SCRATCH_OFFLINE"):
            self.go_offline()

    def restrict(self, switches: Collection[str]) -> None:
        """Turn on `locked` and `offline`, those that *switches* name; none is turned off."""
        self.is_locked |= "locked" in switches
        if "offline" in switches:
            self.go_offline()

    def go_offline(self) -> None:
        """Fetch nothing from now on, and keep compilers from it."""
        if not self.is_offline:
            self.is_offline = True
            world = self._session.world
            env = {**world.env, **_OFFLINE_ENV}
            self._session.use_world(replace(world, is_offline=True, env=env))

    def heed_other_run(self) -> None:
        """Take scratch.lock as it is now: another run was at work.

        Raises: ConfigError where another file that declares the workspace has changed: what was
        read of it would be built with sources of today.
        """
        session = self._session
        for path, read in session.sources.items():
            now = session.world.files.observe(Input("file", path))
            if now == read:
                continue
            if path != self._lock:
                what = "was changed while another run was at work"
                raise ConfigError(path, what, "run doit again")
            pins = LockFile(self._world.root, self._lock).pins or {}
            session.adopt_pins(pins, self._lock, Digest(now))

    def settle(self, names: Sequence[str]) -> None:
        """See to it that all that the actions *names* fetch is pinned, and written down.

        Outside --locked a source is asked once for what it has, and scratch.lock remembers; what
        the store lacks is told all at once when nothing may be fetched.

        Raises: ConfigErrors (--locked, with all that is wrong); ScratchError of a source.
        """
        actions = [self._session.graph.actions[name] for name in names]
        with self._turn:
            self._settle(actions)

    def _settle(self, actions: Sequence[Action]) -> None:
        wanted = {pin: action for action in actions for pin in pins_of(action)}
        if self.is_locked:
            self._check_locked(wanted, actions)
        elif not self.is_offline:
            self._complete(wanted)
        if self.is_offline:
            self._check_store(actions)

    def _check_locked(self, wanted: Mapping[str, Action], actions: Sequence[Action]) -> None:
        declared = self._session.declared
        faults = []
        names = [action.name for action in actions]
        used = [*wanted, *packaged_toolchains(names, self._session.graph.actions, self._world)]
        hint = "`doit refresh` writes it; commit scratch.lock"
        for name in sorted(set(used) - declared.locked):
            faults.append(ConfigError(LOCK, f"has no pin for {name}, and --locked asks for one"))
        for name in sorted(declared.locked.intersection(wanted)):
            if is_pin_outdated(wanted[name], declared.pins[name]):
                faults.append(ConfigError(LOCK, _outdated(name, declared.pins[name])))
        for name in sorted(declared.locked.intersection(used)):
            rule = _rule_against(name, declared.pins[name], declared.refresh)
            if rule:
                what = f"pins {name} {declared.pins[name].version}, which [refresh] does not allow"
                faults.append(ConfigError(LOCK, f"{what} ({rule!r})"))
        if faults:
            last = faults.pop()
            raise ConfigErrors((*faults, ConfigError(last.where, last.what, hint)))

    def _complete(self, wanted: Mapping[str, Action]) -> None:
        known = self._session.declared.pins
        found: dict[str, Pin] = {}
        failures: list[ScratchError] = []
        for name, action in wanted.items():
            pin = known.get(name)
            if pin is not None and not is_pin_outdated(action, pin):
                continue
            from scratchtasks.execute.sources.resolve import resolve_pin

            try:
                found[name], note = resolve_pin(action, self._world)
            except ScratchError as error:
                failures.append(error)
                continue
            if note:
                self._tell(note)
        if failures:
            raise failures[0] if len(failures) == 1 else _together(failures)
        if found:
            # Built-in pins too: from here on the lock is all that counts.
            self._write({**{name: known[name] for name in wanted if name in known}, **found})
            for pin in found.values():
                self._tell(f"{LOCK}: {pin.name} is pinned to {pin.version}, sha256:{pin.sha256}")

    def _write(self, pins: Mapping[str, Pin]) -> None:
        lock = LockFile(self._world.root, self._lock)
        both = {**(lock.pins or {}), **pins}
        text = lock.with_pins(both)
        lock.write(text)
        self._session.adopt_pins(both, self._lock, digest_of(text.encode()))

    def _check_store(self, actions: Sequence[Action]) -> None:
        missing: dict[str, None] = {}
        engine = self._session.engine
        run_probes(engine, [action.name for action in actions])
        for action in actions:
            verdict = engine.verdict(action.name)
            if isinstance(verdict.error, NotInStore):  # a compiler, or what it would have to fetch
                missing[verdict.error.where] = None
            elif pins_of(action) and not verdict.fresh and verdict.result is None:
                from scratchtasks.execute.sources.resolve import missing_blobs

                missing |= dict.fromkeys(missing_blobs(action, self._world))
        if missing:
            what = "the store lacks\n  " + "\n  ".join(sorted(missing))
            raise StoreError("--offline", what, "run once without --offline")

    @property
    def _world(self) -> World:
        return self._session.world

    def _tell(self, text: str) -> None:
        self._session.events.show(f"{text}\n".encode("utf-8", "backslashreplace"))


def _rule_against(name: str, pin: Pin, rules: Mapping[str, str | int]) -> str:
    """The rule of `[refresh]` that does not allow *pin*, "" for none."""
    if not rules or pin.kind not in ("pypi", "toolchain"):
        return ""
    from scratchtasks.refresh.policy import allows

    rule = str(rules.get(PROJECTS.get(name, name), "latest"))
    return "" if allows(rule, pin.version) else rule


def _outdated(name: str, pin: Pin) -> str:
    return f"pins {name} to sha256:{pin.sha256}, which is not the digest in the name"


def _together(failures: Sequence[ScratchError]) -> ConfigErrors:
    return ConfigErrors(tuple(ConfigError(e.where, e.what, e.hint) for e in failures))
