"""`dist/images.json`: every image that was built, for scripts and CI."""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import Digest, Json
from scratchtasks.store.atomic import read_error, write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """One image as scripts see it.

    *digest* is that of the manifest or index, *image_id* that of the config (for several
    platforms: of the first).  *size* is bytes of all compressed layers.  *references* are the
    names it has elsewhere, such as `registry.example.com/team/api:1.2`.
    """

    name: str
    label: str
    digest: Digest
    image_id: Digest
    platforms: tuple[str, ...]
    size: int
    layers: tuple[Layer, ...]
    references: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The entry in the form that is documented; sizes in bytes."""
        return {
            "name": self.name,
            "label": self.label,
            "digest": self.digest,
            "image_id": self.image_id,
            "platforms": list(self.platforms),
            "size": self.size,
            "layers": [
                {
                    "digest": layer.blob.digest,
                    "diff_id": layer.diff_id,
                    "size": layer.blob.size,
                    "kind": layer.kind,
                }
                for layer in self.layers
            ],
            "references": list(self.references),
        }


_KEYS = frozenset(
    {"name", "label", "digest", "image_id", "platforms", "size", "layers", "references"}
)


def write_summary(
    path: str,
    images: Iterable[ImageSummary],
    known: Collection[str],
    sound: Collection[str] = (),
) -> None:
    """Merge *images* into the summary *path*, in one step; sorted by name.

    An image replaces the entry of its name, but keeps its references while the digest stays.
    Other entries stay if *known* (the names of all services) has them and their layout, a folder
    beside *path*, still is of that digest (a killed run may have left a newer one); those of
    *sound* are known to be.  A damaged file counts as empty.  Bytes that would not change are not
    written.

    Raises: StoreError when *path* cannot be read or written.
    """
    before = _read(path)
    folder = os.path.dirname(path)
    entries: dict[str, Any] = {
        entry["name"]: entry
        for entry in _entries(before)
        if entry["name"] in known
        and (entry["name"] in sound or _is_there(os.path.join(folder, entry["name"]), entry))
    }
    for image in images:
        entries[image.name] = _with_references(image.to_json(), entries.get(image.name))
    # A line for each image: for people, and because only without indent json is fast.
    lines = ",\n".join(f"  {json.dumps(entries[name])}" for name in sorted(entries))
    data = f'{{"images": [\n{lines}\n]}}\n'.encode()
    if data != before:
        write_atomic(path, data)


def _is_there(layout: str, entry: dict[str, Any]) -> bool:
    """Whether the OCI layout in the folder *layout* holds the image of *entry*."""
    try:
        index = json.loads(_read(os.path.join(layout, "index.json")))
        return bool(index["manifests"][0]["digest"] == entry["digest"])
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def _with_references(entry: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    if before is None or before["digest"] != entry["digest"]:
        return entry
    both = [*before["references"], *entry["references"]]
    return {**entry, "references": sorted(dict.fromkeys(map(str, both)))}


def read_digests(path: str) -> dict[str, str]:
    """The digest of every image in the summary *path*, by name; a damaged one counts as empty.

    Raises: StoreError when *path* cannot be read.
    """
    return {entry["name"]: entry["digest"] for entry in _entries(_read(path))}


def _entries(data: bytes) -> list[dict[str, Any]]:
    """The entries of a summary as it was found: whatever is not one is left out."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return []
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list):
        return []
    return [
        entry
        for entry in images
        if isinstance(entry, dict) and entry.keys() == _KEYS and isinstance(entry["name"], str)
    ]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise read_error(path, error) from error
