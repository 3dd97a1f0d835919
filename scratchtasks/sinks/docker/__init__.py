"""Docker Engine: find it as the docker CLI does, load images that it lacks, run them."""

from .connect import connect
from .load import How, Loadable, for_engine, image_id, load, platform_of

__all__ = ["How", "Loadable", "connect", "for_engine", "image_id", "load", "platform_of"]
