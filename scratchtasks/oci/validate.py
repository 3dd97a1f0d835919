"""Recompute an image from its bytes and tell every mismatch, both sides and how each was got.

The bytes are hostile: sizes are bounded, JSON is taken apart by hand, nothing is extracted.
Source: OCI image-spec v1.1, descriptor.md, image-index.md, manifest.md, config.md, layer.md.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from scratchtasks.core.descriptor import Descriptor, descriptor_from_json
from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StoreError

from . import media
from .inflate import LayerReader
from .tar import OpenBlob
from .tarcheck import Seen, check_tar

MAX_DOCUMENT = 4 << 20
"""Bytes of a config, manifest or index; registries refuse more."""

MAX_LAYER = 64 << 30
"""Uncompressed bytes of one layer."""

_MAX_LAYERS = 127  # overlayfs in Docker's classic store
_MAX_MANIFESTS = 64
_MAX_FAULTS = 20

Object = Mapping[str, Any]


class _Unusable(Exception):
    """What a descriptor points to cannot be looked at any further."""


def validate(top: Descriptor, open_blob: OpenBlob) -> list[str]:
    """Every fault of the image below *top*, a manifest or an index; [] for a sound one.

    Digests and sizes of all blobs, DiffIDs by inflating, tar headers, counts, media types,
    platforms and paths are recomputed from the bytes that *open_blob* gives.  Layers are
    counted from 1, lowest first.
    """
    try:
        if top.media_type == media.INDEX:
            return _index_faults(_document(top, "index", open_blob), open_blob)
        return _manifest_faults(top, None, "", open_blob)
    except _Unusable as error:
        return [str(error)]


def _index_faults(index: Object, open_blob: OpenBlob) -> list[str]:
    faults = _kind_faults(index, media.INDEX, "index")
    platforms: set[str] = set()
    for number, item in enumerate(_list(index, "manifests", "index", _MAX_MANIFESTS), 1):
        where = f"manifest {number}"
        try:
            blob = _descriptor(item, where)
            platform = _object(item.get("platform"), f"{where}: platform")
            shown = "/".join(str(platform.get(k, "")) for k in ("os", "architecture", "variant"))
            if shown in platforms:
                faults.append(f"{where}: index has two images for {shown.rstrip('/')}")
            platforms.add(shown)
            faults += _manifest_faults(blob, platform, f"{shown.rstrip('/')}: ", open_blob)
        except _Unusable as error:
            faults.append(str(error))
    if not platforms:
        faults.append("index: names no manifests")
    return faults


def _manifest_faults(
    blob: Descriptor, platform: Object | None, prefix: str, open_blob: OpenBlob
) -> list[str]:
    where = f"{prefix}manifest"
    if blob.media_type != media.MANIFEST:
        return [f"{where}: media type: wanted {media.MANIFEST}, got {blob.media_type}"]
    manifest = _document(blob, where, open_blob)
    faults = _kind_faults(manifest, media.MANIFEST, where)
    layers = _list(manifest, "layers", where, _MAX_LAYERS)
    diff_ids: Sequence[Any] | None = None
    try:
        config_blob = _descriptor(manifest.get("config"), f"{where}: config")
        if config_blob.media_type != media.CONFIG:
            got = config_blob.media_type
            faults.append(f"{prefix}config: media type: wanted {media.CONFIG}, got {got}")
        config = _document(config_blob, f"{prefix}config", open_blob)
        faults += _config_faults(config, platform, len(layers), f"{prefix}config")
        rootfs = _object(config.get("rootfs"), f"{prefix}config: rootfs")
        diff_ids = _list(rootfs, "diff_ids", f"{prefix}config: rootfs", _MAX_LAYERS)
        if len(diff_ids) != len(layers):
            faults.append(
                f"{where}: layers: manifest has {len(layers)}, config has {len(diff_ids)} diff_ids"
            )
    except _Unusable as error:
        faults.append(str(error))
    seen: dict[str, Seen] = {}
    for number, item in enumerate(layers):
        diff_id = diff_ids[number] if diff_ids and number < len(diff_ids) else None
        faults += _layer_faults(item, diff_id, seen, f"{prefix}layer {number + 1}", open_blob)
    return faults


def _config_faults(config: Object, platform: Object | None, layers: int, where: str) -> list[str]:
    faults = []
    for key in ("os", "architecture", "variant"):
        said = config.get(key, "")
        wanted = platform.get(key, "") if platform is not None else said
        if said != wanted:
            faults.append(f"{where}: {key}: config says {said!r}, index says {wanted!r}")
        if not isinstance(said, str) or (not said and key != "variant"):
            faults.append(f"{where}: {key}: wanted a name, got {said!r}")
    if _object(config.get("rootfs"), f"{where}: rootfs").get("type") != "layers":
        faults.append(f"{where}: rootfs.type: wanted 'layers'")
    history = config.get("history", [])
    if not isinstance(history, list) or not all(isinstance(line, dict) for line in history):
        faults.append(f"{where}: history: wanted a list of objects")
    elif history:
        filled = sum(line.get("empty_layer") is not True for line in history)
        if filled != layers:
            faults.append(f"{where}: history: {filled} lines with a layer, {layers} layers")
    runtime = _object(config.get("config", {}), f"{where}: config")
    for key in ("Env", "Entrypoint", "Cmd"):
        words = runtime.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            faults.append(f"{where}: config.{key}: wanted a list of strings")
        elif key == "Env" and not all("=" in word[1:] for word in words):
            faults.append(f"{where}: config.Env: wanted NAME=VALUE")
    return faults


def _layer_faults(
    item: Any, diff_id: Any, seen: dict[str, Seen], where: str, open_blob: OpenBlob
) -> list[str]:
    try:
        blob = _descriptor(item, where)
        if blob.media_type not in (media.LAYER_GZIP, media.LAYER_TAR):
            wanted = f"{media.LAYER_GZIP} or {media.LAYER_TAR}"
            return [f"{where}: media type: wanted {wanted}, got {blob.media_type}"]
        with open_blob(blob.digest) as stream:
            is_gzip = blob.media_type == media.LAYER_GZIP
            reader = LayerReader(stream, is_gzip=is_gzip, size=blob.size, limit=MAX_LAYER)
            faults = list(islice(check_tar(reader.read, seen), _MAX_FAULTS))
            reader.drain()
    except (StoreError, OSError, _Unusable) as error:
        return [_as_fault(error, where)]
    faults = [f"{where}: {fault}" for fault in faults]
    if reader.fault:
        faults.insert(0, f"{where}: {reader.fault}")
    faults += _blob_faults(blob, reader.blob_digest, reader.blob_size, "manifest", where)
    if diff_id is not None and diff_id != reader.diff_id:
        faults.append(
            f"{where}: diff_id: config says {_short(diff_id)}, "
            f"sha256(uncompressed) is {reader.diff_id}"
        )
    return faults


def _document(blob: Descriptor, where: str, open_blob: OpenBlob) -> Object:
    """The JSON object that *blob* holds, once its bytes are proven to be the ones meant."""
    if blob.size > MAX_DOCUMENT:
        raise _Unusable(f"{where}: size: wanted at most {MAX_DOCUMENT} bytes, got {blob.size}")
    data = b""
    try:
        with open_blob(blob.digest) as stream:
            while len(data) <= blob.size and (more := stream.read(blob.size + 1 - len(data))):
                data += more
    except (StoreError, OSError) as error:
        raise _Unusable(_as_fault(error, where)) from None
    for fault in _blob_faults(blob, digest_of(data), len(data), "descriptor", where):
        raise _Unusable(fault)
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"{where}: not JSON: {error}") from None
    return _object(value, where)


def _blob_faults(blob: Descriptor, digest: str, size: int, source: str, where: str) -> list[str]:
    if size > blob.size:
        return [f"{where}: size: {source} says {blob.size}, there are more bytes"]
    if size != blob.size:
        return [f"{where}: size: {source} says {blob.size}, there are {size} bytes"]
    if digest != blob.digest:
        return [f"{where}: digest: {source} says {blob.digest}, sha256(bytes) is {digest}"]
    return []


def _kind_faults(document: Object, wanted: str, where: str) -> list[str]:
    faults = []
    if document.get("schemaVersion") != 2:
        faults.append(f"{where}: schemaVersion: wanted 2, got {document.get('schemaVersion')!r}")
    if document.get("mediaType") != wanted:
        got = document.get("mediaType")
        faults.append(f"{where}: mediaType: wanted {wanted}, got {_short(got)}")
    return faults


def _descriptor(value: Any, where: str) -> Descriptor:
    try:
        return descriptor_from_json(_object(value, where))
    except (KeyError, TypeError, StoreError) as error:
        raise _Unusable(f"{where}: not a descriptor: {error}") from None


def _object(value: Any, where: str) -> Object:
    if not isinstance(value, dict):
        raise _Unusable(f"{where}: wanted an object, got {_short(value)}")
    return value


def _list(document: Object, key: str, where: str, limit: int) -> Sequence[Any]:
    value = document.get(key)
    if not isinstance(value, list) or len(value) > limit:
        got = f"{len(value)} of them" if isinstance(value, list) else _short(value)
        raise _Unusable(f"{where}: {key}: wanted a list of at most {limit}, got {got}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object with one key twice")
    return value


def _as_fault(error: Exception, where: str) -> str:
    return str(error) if isinstance(error, _Unusable) else f"{where}: {error}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 100 else f"{value!r:.100}"
