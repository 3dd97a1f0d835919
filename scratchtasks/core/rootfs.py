"""A root file system that is ready for an image, before anybody compresses it."""

from collections.abc import Mapping
from typing import Any

from .descriptor import Descriptor, descriptor_from_json
from .digest import DiffID, Json, parse_digest
from .frozen import dataclass
from .platform import Platform, parse_platform


@dataclass(frozen=True, slots=True)
class PlainLayer:
    """A layer whose tar has *size* bytes and the digest *diff_id*.

    *source* is what the tar comes from: a recipe (the entries, whose content lies in the store),
    or the tar itself, plain or as gzip.  *kind* says what is in it (`certs`, `binary`, …).
    """

    source: Descriptor
    diff_id: DiffID
    size: int
    kind: str = ""

    def to_json(self) -> dict[str, Json]:
        return {
            "source": self.source.to_json(),
            "diffID": self.diff_id,
            "size": self.size,
            "kind": self.kind,
        }


def plain_layer_from_json(value: Mapping[str, Any]) -> PlainLayer:
    """The inverse of PlainLayer.to_json.  Raises: KeyError, TypeError, StoreError if damaged."""
    source = descriptor_from_json(value["source"])
    diff_id = DiffID(parse_digest(value["diffID"]))
    return PlainLayer(source, diff_id, int(value["size"]), str(value["kind"]))


@dataclass(frozen=True, slots=True)
class Rootfs:
    """The *layers* of an image for *platform*, lowest first, and the *config* that names them.

    That is all an engine needs; the digest of *config* is Docker's classic image id.
    """

    platform: Platform
    config: Descriptor
    layers: tuple[PlainLayer, ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "platform": str(self.platform),
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


def rootfs_from_json(value: Mapping[str, Any]) -> Rootfs:
    """The inverse of Rootfs.to_json.  Raises: KeyError, TypeError, ScratchError if damaged."""
    return Rootfs(
        parse_platform(value["platform"]),
        descriptor_from_json(value["config"]),
        tuple(plain_layer_from_json(layer) for layer in value["layers"]),
    )
