"""Docker Engine: find it as the docker CLI does, load images that it lacks, run them."""

from .connect import connect
from .engine import Engine
from .load import How, Loadable, architectures_of, for_engine, image_id, load

__all__ = [
    "Engine",
    "How",
    "Loadable",
    "architectures_of",
    "connect",
    "for_engine",
    "image_id",
    "load",
]
