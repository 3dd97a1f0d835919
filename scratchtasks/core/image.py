"""A finished image of one platform: the blobs that a registry, a layout or an engine needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from .descriptor import Descriptor, Layer, descriptor_from_json, layer_from_json
from .digest import Json
from .frozen import dataclass
from .platform import Platform, parse_platform


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """*layers* come from the lowest up; the digest of *config* is Docker's classic image id."""

    platform: Platform
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Layer, ...]

    @property
    def blobs(self) -> Iterator[Descriptor]:
        """Everything the image consists of."""
        yield self.manifest
        yield self.config
        for layer in self.layers:
            yield layer.blob

    def to_json(self) -> dict[str, Json]:
        return {
            "platform": str(self.platform),
            "manifest": self.manifest.to_json(),
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


def platform_image_from_json(value: Mapping[str, Any]) -> PlatformImage:
    """The inverse of PlatformImage.to_json.  Raises: KeyError, TypeError, ScratchError."""
    return PlatformImage(
        parse_platform(value["platform"]),
        descriptor_from_json(value["manifest"]),
        descriptor_from_json(value["config"]),
        tuple(layer_from_json(layer) for layer in value["layers"]),
    )
