"""Tasks of images that are known to be up to date, for doit to find the names it was given."""

from collections.abc import Iterable, Iterator
from typing import Any

from .reporter import META


def fresh_images(names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """An image task without anything to do for each of *names*."""
    for name in names:
        yield {"basename": "image", "name": name, "actions": None, "meta": {META: {}}}
