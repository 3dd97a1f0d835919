"""Cargo: `metadata.py` finds out what a crate is made of, `build.py` compiles many at once."""

from .build import CargoBuild
from .metadata import CargoMetadata

__all__ = ["CargoBuild", "CargoMetadata"]
