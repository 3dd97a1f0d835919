"""Digest, DiffID and ActionKey: three sha256 values that must never be mixed up.

Source: OCI image-spec v1.1, descriptor.md#digests and config.md#layer-diffid.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NewType

from .errors import StoreError

Digest = NewType("Digest", str)
"""`sha256:<64 hex>` of the exact bytes of a blob."""

DiffID = NewType("DiffID", str)
"""`sha256:<64 hex>` of a layer's uncompressed tar."""

ActionKey = NewType("ActionKey", str)
"""64 hex digits that name everything an action's result depends on."""

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]
"""What canonical_json accepts. Floats are left out on purpose: their text varies."""

_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_digest(text: str, where: str = "digest") -> Digest:
    """*text* as a Digest.  Raises: StoreError when it is not `sha256:` and 64 hex digits."""
    if not _DIGEST.fullmatch(text):
        raise StoreError(where, f"wanted sha256:<64 hex digits>, got {text[:80]!r}")
    return Digest(text)


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """The Digest of *data*."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hex_of(digest: Digest | DiffID) -> str:
    """The 64 hex digits of *digest*: its file name in an OCI layout."""
    return digest.removeprefix("sha256:")


def canonical_json(value: Json) -> bytes:
    """One byte string for equal values: sorted keys, no spaces, UTF-8, no escapes beyond JSON's."""
    return _encode(value).encode("utf-8", "surrogateescape")


def key_of(*parts: Json) -> ActionKey:
    """The ActionKey of *parts*; order matters, and equal parts give equal keys anywhere."""
    return ActionKey(hashlib.sha256(canonical_json(parts)).hexdigest())
