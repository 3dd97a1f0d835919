"""Images to push, and a place in the registry for each test."""

from pathlib import Path

import pytest

from .bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def team(request: pytest.FixtureRequest) -> str:
    """A repository path that no other test uses."""
    name: str = request.node.name
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")
