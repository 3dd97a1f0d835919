"""Builds for several platforms run at the same time, and one failure is no reason to end."""

import threading
from collections.abc import Sequence

import pytest

from scratchtasks.core.action import Action
from scratchtasks.core.errors import ActionFailed
from scratchtasks.core.label import Label
from scratchtasks.core.platform import parse_platform
from scratchtasks.plugin.platforms import build_side_by_side

PLATFORMS = ("linux/amd64", "linux/arm64")


class Recorder:
    """Stands for an engine: each first step waits until that of the other platform has begun."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.actions = {
            f"{step}@{platform}": Action(
                label=Label("api", "binary"),
                mnemonic="Step",
                op="step",
                params={},
                platform=parse_platform(platform),
            )
            for platform in PLATFORMS
            for step in ("list", "build")
        }
        self.built: list[str] = []
        self.failing = failing
        self.meeting = threading.Barrier(len(PLATFORMS), timeout=20)

    def build(self, name: str) -> None:
        if name.startswith("list"):
            self.meeting.wait()
        if name in self.failing:
            raise ActionFailed(name, "said no")
        self.built.append(name)


def test_platforms_are_built_at_once_and_each_in_order() -> None:
    engine = Recorder()
    build_side_by_side(engine, tuple(engine.actions))  # type: ignore[arg-type]
    assert sorted(engine.built) == sorted(engine.actions)
    for platform in PLATFORMS:
        mine = [name for name in engine.built if name.endswith(platform)]
        assert mine == [f"list@{platform}", f"build@{platform}"]


def test_a_failure_leaves_the_other_platforms_alone() -> None:
    engine = Recorder(failing=["list@linux/amd64"])
    with pytest.raises(ActionFailed, match="list@linux/amd64: said no"):
        build_side_by_side(engine, tuple(engine.actions))  # type: ignore[arg-type]
    assert engine.built == ["list@linux/arm64", "build@linux/arm64"]
