"""A content store for each test."""

from pathlib import Path

import pytest

from .disk import Disk, open_disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty one."""
    return open_disk(tmp_path)
