"""Load images into a Docker Engine, classic or containerd store, in one streamed archive.

The archive is a hybrid: `manifest.json` for the classic store and `index.json` for the containerd
store, over the same blobs.  Source: moby's `docker image save` format; OCI image-spec v1.1,
image-layout.md.
"""

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import canonical_json, hex_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.image import PlatformImage
from scratchtasks.oci import media
from scratchtasks.oci.layout import LAYOUT_FILE
from scratchtasks.store.blobs import ContentStore

if TYPE_CHECKING:
    from docker import DockerClient

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Loadable:
    """An image for the engine's platform, and the reference (`NAME:latest`) it gets there."""

    reference: str
    image: PlatformImage


def connect(env: Mapping[str, str]) -> "DockerClient":
    """A client of the engine that *env*'s DOCKER_HOST names, or the local one.

    Raises: SinkError when there is none, or it does not answer.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(environment=dict(env))
        client.ping()
    except DockerException as error:
        raise SinkError(
            "docker",
            f"no engine answers: {_innermost(error)}",
            "start Docker, or set DOCKER_HOST",
        ) from None
    return client


def for_engine(
    images: Sequence[PlatformImage], client: "DockerClient", where: str
) -> PlatformImage:
    """The one of *images* that the engine can run natively.

    Raises: SinkError naming the platforms there are.
    """
    told = client.version()
    wanted = (told["Os"], told["Arch"])
    for image in images:
        if (image.platform.os, image.platform.architecture) == wanted:
            return image
    there = ", ".join(str(image.platform) for image in images)
    raise SinkError(
        where,
        f"the Docker Engine runs {'/'.join(wanted)}, the image is for {there}",
        "add the platform to image.platforms",
    )


def load(images: Sequence[Loadable], client: "DockerClient", store: ContentStore) -> list[str]:
    """Load those of *images* that the engine lacks, all in one archive; returns their references.

    Raises: SinkError when the engine refuses, or does not have an image after it said yes.
    """
    from docker.errors import APIError

    missing = [image for image in images if not is_loaded(image, client)]
    if not missing:
        return []
    try:
        answer = client.api.load_image(_archive(missing, store))  # type: ignore[no-untyped-call]
        said = list(answer)
    except APIError as error:
        raise SinkError("docker load", str(error.explanation or error)) from None
    for line in said:
        if "error" in line or "errorDetail" in line:
            raise SinkError("docker load", str(line.get("error") or line["errorDetail"]))
    for image in missing:
        if not is_loaded(image, client):
            # The containerd store answers 200 and leaves a broken tag when a blob was refused.
            text = " ".join(str(line.get("stream", "")).strip() for line in said)
            _untag(image, client)
            raise SinkError("docker load", f"{image.reference} did not arrive: {text}")
    return [image.reference for image in missing]


def is_loaded(image: Loadable, client: "DockerClient") -> bool:
    """Whether *image*'s reference means these very bytes in the engine.

    The classic store's image id is the config digest, the containerd store's the manifest's.
    """
    from docker.errors import ImageNotFound

    try:
        found: dict[str, Any] = client.api.inspect_image(image.reference)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return False
    return found["Id"] in (image.image.config.digest, image.image.manifest.digest)


def _untag(image: Loadable, client: "DockerClient") -> None:
    from docker.errors import APIError

    try:
        client.api.remove_image(image.reference, noprune=True)
    except APIError:
        return  # it never got a tag


def _archive(images: Sequence[Loadable], store: ContentStore) -> Iterator[bytes]:
    """The archive's bytes, chunk by chunk; each blob once, however many images share it."""
    blobs = {blob.digest: blob for each in images for blob in each.image.blobs}
    files = {
        "oci-layout": LAYOUT_FILE,
        "index.json": _index(images),
        "manifest.json": _docker_manifest(images),
    }
    for name, data in files.items():
        yield _header(name, len(data))
        yield from _padded([data])
    for blob in blobs.values():
        yield _header(_path(blob), blob.size)
        yield from _padded(_chunks(store, blob))
    yield b"\0" * 1024


def _chunks(store: ContentStore, blob: Descriptor) -> Iterator[bytes]:
    with store.open(blob.digest) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _path(blob: Descriptor) -> str:
    return f"blobs/sha256/{hex_of(blob.digest)}"


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _padded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        yield chunk
    yield b"\0" * (-size % 512)


def _index(images: Sequence[Loadable]) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": media.INDEX,
            "manifests": [
                {
                    **image.image.manifest.to_json(),
                    "annotations": {
                        "io.containerd.image.name": f"docker.io/library/{image.reference}",
                        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
                    },
                }
                for image in images
            ],
        }
    )


def _docker_manifest(images: Sequence[Loadable]) -> bytes:
    entries = [
        {
            "Config": _path(image.image.config),
            "RepoTags": [image.reference],
            "Layers": [_path(layer.blob) for layer in image.image.layers],
        }
        for image in images
    ]
    return json.dumps(entries, sort_keys=True).encode()


def _innermost(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
