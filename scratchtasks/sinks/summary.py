"""`dist/images.json`: every image that was built, for scripts and CI."""

import json
import os
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import Digest, Json
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.atomic import discard, read_regular, write_atomic


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


_HEAD, _TAIL = '{"images": [\n', "\n]}\n"
_KEYS = frozenset(
    {"name", "label", "digest", "image_id", "platforms", "size", "layers", "references"}
)


class Summary:
    """The summary file *path*; each state of it is parsed once.

    A damaged file counts as empty, and so does whatever else is there.  All raise StoreError when
    *path* cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._data = b""
        self._entries: dict[str, _Entry] = {}

    def entries(self) -> dict[str, dict[str, Any]]:
        """What is told of every image, by name."""
        self._read()
        return {name: entry.value for name, entry in self._entries.items()}

    def digests(self) -> dict[str, Digest]:
        """The digest of every image, by name."""
        return {name: entry["digest"] for name, entry in self.entries().items()}

    def write(
        self,
        images: Iterable[ImageSummary],
        known: Collection[str],
        sound: Collection[str] = (),
    ) -> list[str]:
        """Merge *images* into the file, in one step; sorted by name.

        An image replaces the entry of its name, but keeps its references while the digest stays
        and no other image gets them.
        Other entries stay if *known* (the names of all services) has them and their layout, a
        folder beside the file, still is of that digest (a killed run may have left a newer one);
        those of *sound* are known to be.  Bytes that would not change are not written; without
        images there is no file.  Returns the names of entries that did not stay for being unknown.

        Raises: StoreError when the file cannot be written.
        """
        self._read()
        gone = [name for name in self._entries if name not in known]
        folder = os.path.dirname(self.path)
        entries = {
            name: entry
            for name, entry in self._entries.items()
            if name in known
            and (name in sound or _is_there(os.path.join(folder, name), entry.value))
        }
        images = list(images)
        for image in images:
            entries[image.name] = _entry(_with_references(image.to_json(), entries.get(image.name)))
        moved = {reference: image.digest for image in images for reference in image.references}
        for name, (value, _) in entries.items() if moved else ():
            digest, told = value["digest"], value["references"]
            own = [reference for reference in told if moved.get(reference, digest) == digest]
            if own != told:
                entries[name] = _entry({**value, "references": own})
        # A line for each image: for people, and so that those that stay are only copied.
        lines = ",\n".join(entries[name].line for name in sorted(entries))
        data = f"{_HEAD}{lines}{_TAIL}".encode() if entries else b""
        if data != self._data:
            if data:
                write_atomic(self.path, data)
            else:
                discard(self.path)
            self._data, self._entries = data, entries
        return gone

    def _read(self) -> None:
        data = read_regular(self.path) or b""
        if data != self._data:
            self._data, self._entries = data, {entry.value["name"]: entry for entry in _parse(data)}


class _Entry(NamedTuple):
    """What is told of an image, and the line that tells it."""

    value: dict[str, Any]
    line: str


def _entry(value: dict[str, Any]) -> _Entry:
    return _Entry(value, f"  {json.dumps(value)}")


def _is_there(layout: str, entry: dict[str, Any]) -> bool:
    """Whether the OCI layout in the folder *layout* holds the image of *entry*."""
    try:
        index = json.loads(read_regular(os.path.join(layout, "index.json")) or b"")
        return bool(index["manifests"][0]["digest"] == entry["digest"])
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def _with_references(entry: dict[str, Any], before: _Entry | None) -> dict[str, Any]:
    if before is None or before.value["digest"] != entry["digest"]:
        return entry
    both = [*before.value["references"], *entry["references"]]
    return {**entry, "references": sorted(dict.fromkeys(map(str, both)))}


def _parse(data: bytes) -> list[_Entry]:
    """The entries of a summary as it was found: whatever is not one is left out."""
    try:
        text = data.decode()
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list):
        return []
    lines = text.removeprefix(_HEAD).removesuffix(_TAIL).split(",\n")
    if len(lines) != len(images):
        lines = [""] * len(images)  # somebody else has laid it out
    return [
        _Entry(image, _line(image, line))
        for image, line in zip(images, lines, strict=True)
        if isinstance(image, dict) and image.keys() == _KEYS and _is_sound(image)
    ]


def _is_sound(image: dict[str, Any]) -> bool:
    references = image["references"]
    are_texts = isinstance(references, list) and all(isinstance(it, str) for it in references)
    return are_texts and isinstance(image["name"], str)


def _line(image: dict[str, Any], found: str) -> str:
    """The line of *image*: the one that was *found*, if it is."""
    is_ours = found.startswith(f'  {{"name": {json.dumps(image["name"])}, ')
    return found if is_ours else f"  {json.dumps(image)}"
