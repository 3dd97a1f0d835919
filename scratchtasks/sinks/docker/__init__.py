"""Docker Engine: find it as the docker CLI does, and load images that it lacks."""

from .connect import connect
from .load import How, Loadable, for_engine, image_id, load, platform_of

__all__ = ["How", "Loadable", "connect", "for_engine", "image_id", "load", "platform_of"]
