"""Descriptors: what OCI uses to point at bytes, and how ours are written to JSON and back.

Source: OCI image-spec v1.1, descriptor.md.
"""

from collections.abc import Mapping
from typing import Any

from .digest import DiffID, Digest, Json, parse_digest
from .frozen import dataclass


@dataclass(frozen=True, slots=True)
class Descriptor:
    """*size* in bytes of the blob *digest*, which holds *media_type*."""

    media_type: str
    digest: Digest
    size: int

    def to_json(self) -> dict[str, Json]:
        """The descriptor as the OCI spec spells it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed layer: *blob* is what registries store, *diff_id* hashes the uncompressed tar.

    *kind* says what is in it (`certs`, `zoneinfo`, `etc`, `files`, `binary`) for people.
    """

    blob: Descriptor
    diff_id: DiffID
    kind: str = ""

    def to_json(self) -> dict[str, Json]:
        return {**self.blob.to_json(), "diffID": self.diff_id, "kind": self.kind}


def descriptor_from_json(value: Mapping[str, Any]) -> Descriptor:
    """The inverse of Descriptor.to_json.  Raises: KeyError, TypeError, StoreError if damaged."""
    size = value["size"]
    if not isinstance(size, int) or size < 0:
        raise TypeError(f"size: wanted bytes, got {size!r}")
    return Descriptor(str(value["mediaType"]), parse_digest(value["digest"]), size)


def layer_from_json(value: Mapping[str, Any]) -> Layer:
    """The inverse of Layer.to_json.  Raises: KeyError, TypeError, StoreError if damaged."""
    return Layer(descriptor_from_json(value), DiffID(parse_digest(value["diffID"])), value["kind"])
