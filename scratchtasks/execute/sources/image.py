"""Files from other images, as `COPY --from` takes them, without a daemon.

Source: OCI image-spec v1.1, image-index.md, manifest.md; distribution-spec v1.1.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scratchtasks.core.descriptor import Descriptor, descriptor_from_json
from scratchtasks.core.digest import hex_of
from scratchtasks.core.errors import StageError, StoreError, did_you_mean
from scratchtasks.core.links import TooManyLinks
from scratchtasks.core.platform import Platform
from scratchtasks.core.source import FromImage
from scratchtasks.oci import media
from scratchtasks.oci.expand import CannotExpand, Expanded
from scratchtasks.oci.lookup import Layers, Node
from scratchtasks.oci.untar import Malformed, Member, TarReader
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at
from scratchtasks.registry.pull import pull_blob, pull_manifest
from scratchtasks.registry.reference import parse_reference
from scratchtasks.store.lock import WorkspaceLock

from ..operation import World
from .bounds import Bounds
from .manifest import LISTS, choose_manifest, parse_manifest
from .pinned import OCTETS, blob_of, locked, mismatch, offline
from .tag import connect

_LAYERS = 1000
_PIECE = 256 * 1024


class _Lacking(Exception):
    """The way to a file leads over a blob that is not in the store."""


class OtherImage:
    """The image that *source* names, at its pin, for *platform* (None: any will do).

    A `with` block's, for it may hold connections.  What has been pulled is in the store.
    """

    def __init__(
        self,
        source: FromImage,
        platform: Platform | None,
        world: World,
        bounds: Bounds | None = None,
    ) -> None:
        self._pin = locked(f"image:{source.image}", world)
        self._where = f"image {source.image}"
        self._reference = parse_reference(source.image, self._where)
        self._platform = platform
        self._world = world
        self._bounds = bounds or Bounds()
        self._registry: Registry | None = None
        self._blobs: list[Descriptor] = []
        self._layers: Layers | None = None
        self._fetch = self._pull

    def __enter__(self) -> "OtherImage":
        return self

    def __exit__(self, *error: object) -> None:
        if self._registry is not None:
            self._registry.close()

    def keep_file(self, path: str) -> tuple[Descriptor, bool]:
        """The file *path* (absolute) in the store, and whether it is executable.

        Raises: StageError when it is missing, no file, or too large; SinkError, StoreError.
        """
        node = self._file(path)
        if node.member.size > self._bounds.file:
            raise self._fault(f"{path} has {node.member.size} bytes (at most {self._bounds.file})")
        with self._world.store.writer(OCTETS) as writer:
            for piece in self._content(node):
                writer.write(piece)
            return writer.commit(), bool(node.member.mode & 0o111)

    def read_files(self, folder: str, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The files below *folder* (absolute) by path, symlinks to files followed.

        *is_wanted* is asked about each path, and about that of each folder.

        Raises: StageError when there is no such folder, or too much in it; SinkError, StoreError.
        """
        top = self._find(folder)
        if top.member.kind != "dir":
            raise self._fault(f"{folder} is a {top.member.kind} (wanted a folder)")
        nodes: dict[str, Node] = {}
        self._gather(top.member.path, "", is_wanted, nodes)
        if sum(node.member.size for node in nodes.values()) > self._bounds.folder:
            raise self._fault(f"{folder} holds more than {self._bounds.folder} bytes")
        read = self._contents(set(nodes.values()))
        return {path: read[node] for path, node in nodes.items()}

    def missing(self, path: str) -> list[Descriptor]:
        """Blobs that the store lacks on the way to *path*; nothing is pulled.

        Raises: as keep_file.
        """
        lacking: list[Descriptor] = []
        store = self._world.store

        def pull(blob: Descriptor) -> None:
            lacking.append(blob)
            raise _Lacking

        self._fetch = pull
        try:
            self._find(path)
        except _Lacking:
            # Which layers it takes is known once they are read; none of them was, so far.
            lacking += [blob for blob in self._blobs if blob not in lacking and not store.has(blob)]
        return lacking

    def _gather(
        self, folder: str, below: str, is_wanted: Callable[[str], bool], nodes: dict[str, Node]
    ) -> None:
        for name in self._names(folder):
            path = f"{below}{name}"
            if not is_wanted(path):
                continue
            real = f"{folder}/{name}" if folder else name
            node = self._look(real)
            if node is None:
                continue
            if node.member.kind == "file":
                nodes[path] = node
            elif node.member.kind == "dir" and node.member.path == real:
                self._gather(real, f"{path}/", is_wanted, nodes)

    def _file(self, path: str) -> Node:
        node = self._find(path)
        if node.member.kind != "file":
            raise self._fault(
                f"{path} is a {'folder' if node.member.kind == 'dir' else node.member.kind} "
                "(wanted a file)"
            )
        return node

    def _find(self, path: str) -> Node:
        node = self._look(path)
        if node is None:
            near = self._look(posixpath.dirname(path))
            known = self._names(near.member.path) if near is not None else []
            if posixpath.basename(path) in known:
                raise self._fault(f"{path} is a symlink that leads to nothing")
            hint = did_you_mean(posixpath.basename(path), known[:10_000])
            raise self._fault(f"has no {path}", hint if hint.startswith("did") else "")
        return node

    def _look(self, path: str) -> Node | None:
        try:
            return self._tree().find(path)
        except TooManyLinks:
            raise self._fault("holds symlinks that lead in a circle") from None
        except Malformed as error:
            raise self._fault(f"a layer {error}") from None

    def _names(self, folder: str) -> list[str]:
        try:
            return self._tree().names(folder)
        except Malformed as error:
            raise self._fault(f"a layer {error}") from None

    def _content(self, node: Node) -> Iterator[bytes]:
        with self._world.store.open(self._blobs[node.layer].digest) as blob:
            reader = TarReader(Expanded(blob, self._bounds.expanded))
            for number, _ in enumerate(self._sound(reader.members())):
                if number == node.number:
                    while piece := self._sound_read(reader):
                        yield piece
                    return

    def _contents(self, nodes: set[Node]) -> dict[Node, bytes]:
        read: dict[Node, bytes] = {}
        for layer in sorted({node.layer for node in nodes}):
            wanted = {node.number: node for node in nodes if node.layer == layer}
            with self._world.store.open(self._blobs[layer].digest) as blob:
                reader = TarReader(Expanded(blob, self._bounds.expanded))
                for number, _ in enumerate(self._sound(reader.members())):
                    if number in wanted:
                        pieces = iter(lambda: self._sound_read(reader), b"")  # noqa: B023
                        read[wanted[number]] = b"".join(pieces)
        return read

    def _sound(self, members: Iterator[Member]) -> Iterator[Member]:
        try:
            yield from members
        except (Malformed, CannotExpand) as error:
            raise self._fault(f"a layer {error}") from None

    def _sound_read(self, reader: TarReader) -> bytes:
        try:
            return reader.read(_PIECE)
        except (Malformed, CannotExpand) as error:
            raise self._fault(f"a layer {error}") from None

    def _tree(self) -> Layers:
        if self._layers is None:
            manifest = self._manifest()
            try:
                blobs = [descriptor_from_json(layer) for layer in manifest["layers"]]
            except (KeyError, TypeError, StoreError):
                raise self._fault("its manifest has no sound list of layers") from None
            if len(blobs) > _LAYERS:
                raise self._fault(f"has {len(blobs)} layers (at most {_LAYERS})")
            self._blobs = blobs
            self._layers = Layers(len(blobs), self._list_layer)
        return self._layers

    def _list_layer(self, number: int) -> Iterator[Member]:
        blob = self._blobs[number]
        if "+encrypted" in blob.media_type:
            raise self._fault("has an encrypted layer")
        if blob.size > self._bounds.layer:
            raise self._fault(f"has a layer of {blob.size} bytes (at most {self._bounds.layer})")
        if not self._world.store.has(blob):
            self._fetch(blob)
        with self._world.store.open(blob.digest) as file:
            yield from self._sound(TarReader(Expanded(file, self._bounds.expanded)).members())

    def _manifest(self) -> Mapping[str, Any]:
        found = parse_manifest(self._top(), self._where)
        if "manifests" not in found:
            return found
        chosen = choose_manifest(found["manifests"], self._platform)
        if isinstance(chosen, list):
            raise StageError(
                f"{self._where}", f"has no image for {self._platform or 'linux'}",
                f"it has: {', '.join(chosen) or 'none'}",
            )  # fmt: skip
        try:
            blob = descriptor_from_json(chosen)
        except (KeyError, TypeError, StoreError):
            raise self._fault("its index is not sound") from None
        data = self._read_manifest(blob)
        if data is None:
            raise self._fault(f"its index names {blob.digest}, which the registry does not have")
        return parse_manifest(data, self._where)

    def _top(self) -> bytes:
        data = self._read_manifest(blob_of(self._pin, media.INDEX))
        if data is None:
            raise self._gone()
        if len(data) != self._pin.size:
            raise self._fault(
                f"size mismatch: scratch.lock says {self._pin.size} bytes, it has {len(data)}"
            )
        return data

    def _gone(self) -> StageError:
        """The registry has lost what is pinned, or the pin was edited: name both digests."""
        if self._reference.digest is not None:  # no tag, and no refresh, leads anywhere else
            return self._fault(f"sha256:{self._pin.sha256} is not in the registry")
        tag = self._reference.tag or "latest"
        registry = self._connected(blob_of(self._pin, media.INDEX))
        now = digest_at(registry, self._reference.repository, tag)
        if now is None:
            return self._fault(f"sha256:{self._pin.sha256} is not in the registry, nor is {tag}")
        hint = "`doit refresh` takes it"
        return mismatch(self._pin, now, "which the registry does not have; the tag now is", hint)

    def _read_manifest(self, blob: Descriptor) -> bytes | None:
        store = self._world.store
        if not store.has(blob):
            self._fetch(blob)
        return store.read(blob.digest) if store.has(blob) else None

    def _pull(self, blob: Descriptor) -> None:
        """Bring *blob* into the store; a manifest that the registry lacks stays absent."""
        registry, repository = self._connected(blob), self._reference.repository
        world = self._world
        if blob.media_type in LISTS:
            pull_manifest(registry, repository, blob, world.store)
            return
        # Another task may be after the same layer: it is not pulled twice.
        with WorkspaceLock(f"{world.scratch}/pulls/{hex_of(blob.digest)[:2]}") as turn:
            turn.acquire(lambda _: None)
            pull_blob(registry, repository, blob, world.store, world.processes.check)

    def _connected(self, blob: Descriptor) -> Registry:
        if self._world.is_offline:
            raise offline(f"{self._where}: {blob.digest}")
        if self._registry is None:
            self._registry = connect(self._world)
        return self._registry

    def _fault(self, what: str, hint: str = "") -> StageError:
        on = f" ({self._platform})" if self._platform else ""
        return StageError(f"{self._where}{on}", what, hint)
