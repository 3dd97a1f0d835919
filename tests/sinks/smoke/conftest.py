"""The program, compiled once, and a bench with an empty store for each test."""

from pathlib import Path

import pytest

from scratchtasks.core.platform import host_platform

from .images import Bench, compile_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`program.go` for this machine."""
    return compile_program(tmp_path_factory.mktemp("program") / "api", host_platform())


@pytest.fixture
def bench(tmp_path: Path, program: bytes) -> Bench:
    """A bench whose images are for this machine."""
    return Bench(tmp_path, program)
