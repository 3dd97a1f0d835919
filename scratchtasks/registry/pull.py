"""Manifests and blobs from a registry into the content store: each once, and never other bytes.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Pulling blobs"; RFC 9110, section 14.
"""

import hashlib
from collections.abc import Callable

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import digest_of
from scratchtasks.store.blobs import BlobWriter, ContentStore

from .client import Registry
from .errors import RegistryError
from .manifests import Manifest, fetch_manifest
from .reference import Repository


def pull_manifest(
    registry: Registry, repository: Repository, blob: Descriptor, store: ContentStore
) -> bytes | None:
    """The bytes of the manifest or index *blob*: from *store*, else pulled into it.

    None when *repository* has none of that digest.

    Raises: RegistryError, also when the registry sends other bytes; SinkError, StoreError.
    """
    if store.has(blob):
        return store.read(blob.digest)
    found = fetch_manifest(registry, repository, blob.digest)
    if found is None:
        return None
    got = digest_of(found.data)
    if got != blob.digest:
        raise RegistryError(
            f"{repository}@{blob.digest}", f"digest mismatch: the registry sent {got}"
        )
    return keep_manifest(found, store).data


def keep_manifest(manifest: Manifest, store: ContentStore) -> Manifest:
    """*manifest*, which *store* has from now on.  Raises: StoreError."""
    store.put_bytes(manifest.data, manifest.media_type)
    return manifest


def pull_blob(
    registry: Registry,
    repository: Repository,
    blob: Descriptor,
    store: ContentStore,
    check: Callable[[], None] = lambda: None,
) -> None:
    """See to it that *store* has *blob*, by a download that goes on where it broke off.

    *check* is called between pieces and after faults; what it raises ends the download.

    Raises: RegistryError, also when the registry sends other bytes, more or fewer of them;
    SinkError, StoreError.
    """
    if store.has(blob):
        return
    with store.writer(blob.media_type) as writer:
        _Download(registry, repository, blob, writer, check).run()
        writer.commit()


class _Download:
    """One blob's way; only bytes that are new count as progress."""

    def __init__(
        self,
        registry: Registry,
        repository: Repository,
        blob: Descriptor,
        writer: BlobWriter,
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._registry = registry
        self._repository = repository
        self._blob = blob
        self._writer = writer
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._passed = 0

    def run(self) -> None:
        """Write the whole blob.  Raises: as pull_blob."""
        failures = 0
        while True:
            before = self._size
            self._check()
            try:
                self._ask()
                break
            except RegistryError as error:
                self._check()
                failures = 1 if self._size > before else failures + 1
                self._registry.patience.pause(error, failures)
        got = f"sha256:{self._sha256.hexdigest()}"
        if got != self._blob.digest:
            raise RegistryError(self._where, f"digest mismatch: the registry sent {got}")

    def _ask(self) -> None:
        self._registry.patience.check()
        self._passed = 0
        answer = self._registry.request(
            self._repository,
            "GET",
            f"blobs/{self._blob.digest}",
            wanted=(200, 206) if self._size else (200,),
            headers={"Range": f"bytes={self._size}-"} if self._size else {},
            limit=self._blob.size,
            tries=1,
            receive=self._take,
        )
        if answer.is_cut:
            raise self._wrong_size("more")
        if self._size < self._blob.size:
            # Whole by its own account, or cut where nobody told how long it would be.
            is_cut = "content-length" not in answer.headers
            raise self._wrong_size(f"{self._size} bytes", is_transient=is_cut)

    def _take(self, status: int, piece: bytes) -> None:
        self._check()
        if status == 200:
            # From the beginning, though the rest was asked for: what is known is passed over.
            known = max(0, min(len(piece), self._size - self._passed))
            self._passed += len(piece)
            piece = piece[known:]
        if self._size + len(piece) > self._blob.size:
            raise self._wrong_size("more")
        self._sha256.update(piece)
        self._writer.write(piece)
        self._size += len(piece)

    @property
    def _where(self) -> str:
        return f"{self._repository}@{self._blob.digest}"

    def _wrong_size(self, got: str, is_transient: bool = False) -> RegistryError:
        what = f"wanted {self._blob.size} bytes, the registry sent {got}"
        return RegistryError(self._where, what, is_transient=is_transient)
