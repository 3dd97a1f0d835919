"""An index of one's own, and pip's configuration for it."""

import os
from collections.abc import Iterator

import pytest

from .index_server import Index, serving


@pytest.fixture
def index() -> Iterator[Index]:
    """An empty package index on loopback."""
    with serving() as index:
        yield index


@pytest.fixture
def pip_env(index: Index) -> dict[str, str]:
    """An environment in which pip knows that index and nothing else."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **theirs,
        "PATH": os.defpath,  # pip asks a rustc for its version whenever it makes a session
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.url,
        "PIP_RETRIES": "0",
    }
