"""An operation that notes what it ran, over real files, a real store and a real cache."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scratchtasks.core.action import Action, Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, ScratchError
from scratchtasks.core.label import Label
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import Done, Job, Outcome, World


@dataclass
class Concat:
    """Joins its sources and its deps' outputs; params: `srcs`, `late` (found by running only).

    *batch* is each job's batch key, `{name}` in it its action's.  *ran* lists what ran, call by
    call; *during* is called in the middle of each.
    """

    version: int = 1
    toolchain: str = "cc 1"
    batch: str = ""
    ran: list[tuple[str, ...]] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    def identity(self, job: Job, world: World) -> Json:
        if not self.toolchain:
            raise ScratchError("cc", "is missing")
        return self.toolchain

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        params: Mapping[str, Any] = job.action.params
        return [Input("file", name) for name in params.get("srcs", ())]

    def batch_key(self, job: Job, world: World) -> str:
        return self.batch.format(name=job.action.name)

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        self.ran.append(tuple(job.action.name for job in jobs))
        outcomes = {job.action.name: self._join(job, world) for job in jobs}
        self.during()
        return outcomes

    def _join(self, job: Job, world: World) -> Outcome:
        params: Mapping[str, Any] = job.action.params
        late = params.get("late", ())
        text = ""
        for name in (*params.get("srcs", ()), *late):
            try:
                with open(f"{world.root}/{name}", encoding="utf-8") as file:
                    text += file.read()
            except FileNotFoundError:
                text += f"no {name}\n"
        for alias in sorted(job.deps):
            text += world.store.read(job.deps[alias].outputs["out"].digest).decode()
        if "error" in text:
            return ActionFailed(str(job.action.label), "found an error")
        blob = world.store.put_bytes(text.lower().encode(), "text/plain")
        return Done(outputs={"out": blob}, inputs=tuple(Input("file", name) for name in late))


@dataclass
class Notes:
    """A listener that keeps what it is told: (name, how, reason)."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def started(self, actions: Sequence[Action], reason: str) -> None:
        with self.lock:
            self.told += [(action.name, "started", reason) for action in actions]

    def finished(self, action: Action, how: str, seconds: float, reason: str, size: int) -> None:
        with self.lock:
            self.told.append((action.name, how, reason))


def action(
    name: str,
    *srcs: str,
    late: Sequence[str] = (),
    deps: Sequence[str] = (),
    op: str = "concat",
) -> Action:
    """The action `//:NAME` over files *srcs* and the results of the actions *deps*."""
    return Action(
        label=Label("", name),
        mnemonic="Concat",
        op=op,
        params={"srcs": list(srcs), "late": list(late)},
        deps={dep: f"//:{dep}" for dep in deps},
        is_probe=op == "probe",
    )


@dataclass
class Ledger:
    """Runs over one workspace: each `engine()` is a new process's."""

    world: World
    actions: list[Action]
    concat: Concat = field(default_factory=Concat)
    probe: Concat = field(default_factory=Concat)
    own: Concat = field(default_factory=Concat)
    notes: Notes = field(default_factory=Notes)

    def engine(self) -> Engine:
        """As a new run would make it: nothing of the disk is remembered."""
        self.world.files.forget_scan()
        self.notes.told.clear()
        self.concat.ran.clear()
        self.probe.ran.clear()
        actions = {each.name: each for each in self.actions}
        return Engine(
            self.world,
            actions,
            {
                "concat": self.concat,
                "c_build": self.concat,
                "go_build": self.concat,
                "probe": self.probe,
                "essentials": self.own,
                "prebuilt": self.own,
                "rootfs": self.own,
            },
            self.notes,
        )

    def build(self, *names: str) -> list[str]:
        """Build *names* in that order in a new run; the text of each result."""
        engine = self.engine()
        texts = []
        for name in names:
            result = engine.build(f"//:{name}")
            texts.append(self.world.store.read(result.outputs["out"].digest).decode())
        return texts

    def write(self, **files: str) -> None:
        """Write files by name, text by text."""
        for name, text in files.items():
            with open(f"{self.world.root}/{name}", "w", encoding="utf-8") as file:
                file.write(text)

    def with_actions(self, *actions: Action) -> "Ledger":
        """The same workspace with other actions."""
        return replace(self, actions=list(actions))
