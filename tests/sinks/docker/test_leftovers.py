"""What a killed smoke run has left in an engine: only what is surely nobody's is removed."""

import pytest

from .conftest import Engine
from .leaving import swept_of

pytestmark = pytest.mark.docker


def test_only_those_of_the_dead_on_this_machine_are_removed(engine: Engine, name: str) -> None:
    engine.load(engine.made.named(name, "one"))
    assert swept_of(engine.client, name) == {"gone"}
    assert engine.read(name) == "one"
