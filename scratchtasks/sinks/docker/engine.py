"""The requests to an engine that loading needs, and what the answers mean on each store."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.span import OnSpan, counted, span
from scratchtasks.oci.image import MADE_BY

from ..kernel import natives
from .endpoint import is_here
from .faults import reason_of

if TYPE_CHECKING:
    from docker import DockerClient

MARK = "scratchtasks.layers"
"""Annotation of what we load: its layers are in the engine as plain tars."""

_LOAD_TIMEOUT = 600
"""Seconds of silence: a slow disk may take minutes to unpack the layers of many images."""

_TELLS_CONTENT = (1, 48)
"""The first API version that says whether all of an image is there."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image in the engine; *layers* are DiffIDs from the lowest up.

    *is_whole*: it can run, as far as the engine can tell; *is_plain*: MARK was seen on it.
    """

    id: str
    tags: frozenset[str]
    layers: tuple[str, ...]
    is_whole: bool
    is_plain: bool


class ImageGone(SinkError):
    """What was to get a tag is not there any more."""


class Engine:
    """An engine reached by *client*; whatever fails is a SinkError.  *tell* hears of loads.

    What it says of itself is asked once.
    """

    def __init__(self, client: "DockerClient", tell: OnSpan | None = None) -> None:
        self._api = client.api
        self.is_here = is_here(client.api.base_url)
        self._tell = tell
        self._displaced: list[str] = []

    @cached_property
    def is_containerd(self) -> bool:
        """Whether images are in containerd's store: there, an image's id is its manifest's digest.

        In the classic store of graph drivers, and in podman, it is the config's.
        """
        status = _list(self._object("/info").get("DriverStatus"))
        return ["driver-type", "io.containerd.snapshotter.v1"] in status

    @cached_property
    def platform(self) -> tuple[str, str]:
        """Its operating system and architecture.  Raises: SinkError."""
        return str(self._version.get("Os")), str(self._version.get("Arch"))

    @cached_property
    def takes_parts(self) -> bool:
        """Whether an archive may leave out layers: not where nothing would tell of a lack."""
        if self.is_containerd:
            return self._tells_content
        components = map(_dict, _list(self._version.get("Components")))
        return all(part.get("Name") != "Podman Engine" for part in components)

    def find(self, name: str) -> Found | None:
        """The image with the id or reference *name*.  Raises: SinkError."""
        query = {"manifests": "1"} if self._tells_content else {}
        path = f"/images/{quote(name, safe='/:@')}/json"
        status, body = self._ask("GET", path, params=query)
        if status == 404:
            return None
        value = _parsed(path, status, body)
        annotations = _dict(_dict(value.get("Descriptor")).get("annotations"))
        return Found(
            id=str(value.get("Id")),
            tags=frozenset(familiar(str(tag)) for tag in _list(value.get("RepoTags"))),
            layers=tuple(map(str, _list(_dict(value.get("RootFS")).get("Layers")))),
            is_whole=all(map(self._is_there, map(_dict, _list(value.get("Manifests"))))),
            is_plain=MARK in annotations,
        )

    def ids(self) -> list[str]:
        """The ids of all images there, those that are of no time (ours, mostly) first, then the
        newest.  Raises: SinkError.
        """
        status, body = self._ask("GET", "/images/json")
        value = [_dict(each) for each in _parsed("/images/json", status, body, list)]
        value.sort(key=lambda each: _has_time(each.get("Created")))
        return [str(each["Id"]) for each in value if "Id" in each]

    def tag(self, image: str, reference: str) -> None:
        """Make *reference* mean the image with the id *image*.  Raises: SinkError, ImageGone."""
        if (before := self.find(reference)) is not None:
            self._displaced.append(before.id)
        repository, _, tag = reference.rpartition(":")
        path = f"/images/{quote(image, safe=':')}/tag"
        status, body = self._ask("POST", path, params={"repo": repository, "tag": tag})
        if status != 201:
            kind = ImageGone if status == 404 else SinkError
            raise kind("docker", f"cannot tag {reference}: {_message(status, body)}")

    def remove_broken(self, image: str) -> None:
        """Remove the image with the id *image* if it cannot run and has no tag.

        Raises: SinkError.
        """
        found = self.find(image)
        if found is not None and not found.is_whole and not found.tags:
            self._ask("DELETE", f"/images/{quote(image, safe=':')}")

    def remove_displaced(self) -> None:
        """Remove images of ours that `tag` has left without a name and no container is made of.

        Raises: SinkError.
        """
        for image in dict.fromkeys(self._displaced):
            found = self.find(image)
            if found is not None and not found.tags and self._is_ours(image):
                self._ask("DELETE", f"/images/{quote(image, safe=':')}")  # refused if in use

    def _is_ours(self, image: str) -> bool:
        path = f"/images/{quote(image, safe=':')}/history"
        steps = [_dict(step) for step in _parsed(path, *self._ask("GET", path), list)]
        return bool(steps) and all(str(s.get("CreatedBy")).startswith(MADE_BY) for s in steps)

    def load(self, archive: Iterable[bytes]) -> str:
        """Send *archive*; returns "" when the engine said nothing but that it was loaded.

        Raises: SinkError when the connection broke; whatever *archive* raises, and then the
        engine has taken nothing.
        """
        with span(self._tell, "load", "docker load") as told:
            data = counted(archive, told)
            status, body = self._ask("POST", "/images/load", data=data, timeout=_LOAD_TIMEOUT)
        if status != 200:
            return _message(status, body)
        return _complaint(body)

    @cached_property
    def _version(self) -> dict[str, Any]:
        return self._object("/version")

    @property
    def _tells_content(self) -> bool:
        major, _, minor = self._api.api_version.partition(".")
        return (int(major), int(minor)) >= _TELLS_CONTENT

    def _is_there(self, manifest: Mapping[str, Any]) -> bool:
        """Whether all that one of an image's manifests names is there, and unpacked.

        What is for another architecture is unpacked when a container is made of it.
        """
        if manifest.get("Kind") != "image":
            return True
        data = _dict(manifest.get("ImageData"))
        is_unpacked = bool(_dict(data.get("Size")).get("Unpacked"))
        architecture = str(_dict(data.get("Platform")).get("architecture"))
        return manifest.get("Available") is True and (
            is_unpacked or architecture not in natives(self.platform[1], is_here=False)
        )

    def _object(self, path: str) -> dict[str, Any]:
        value: dict[str, Any] = _parsed(path, *self._ask("GET", path))
        return value

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Iterable[bytes] | None = None,
        timeout: int = 0,
    ) -> tuple[int, bytes]:
        url = f"{self._api.base_url}/v{self._api.api_version}{path}"
        try:
            answer = self._api.request(
                method, url, params=params, data=data, timeout=timeout or self._api.timeout
            )
            return answer.status_code, answer.content
        except OSError as error:  # all that requests raises is one
            raise SinkError("docker", f"{method} {path}: {reason_of(error)}") from None


def familiar(reference: str) -> str:
    """*reference* as Docker shows it: podman spells Docker Hub's host out, users may."""
    short = reference.removeprefix("index.").removeprefix("docker.io/")
    return short.removeprefix("library/")


def _has_time(created: object) -> bool:
    """Whether *created*, in seconds since 1970, is a moment; without one it is before that."""
    return isinstance(created, int) and created > 0


def _parsed(path: str, status: int, body: bytes, kind: type = dict) -> Any:
    """The JSON of an answer to `GET` *path*; its outermost value is a *kind*."""
    if status != 200:
        raise SinkError("docker", f"GET {path}: {_message(status, body)}")
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise SinkError("docker", f"GET {path}: wanted JSON, got {_start(body)}")
    return value


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _complaint(body: bytes) -> str:
    """What the answer to a load says beside `Loaded image…`; errors come with status 200."""
    said = []
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            said.append(f"wanted JSON, got {_start(line)}")
        elif "error" in value or "errorDetail" in value:
            detail = _dict(value.get("errorDetail")).get("message")
            said.append(str(value.get("error") or detail or value))
        elif text := str(value.get("stream", "")).strip():
            # The containerd store reports a layer it could not unpack in the same form.
            said += [] if text.startswith("Loaded image") else [text]
    return "; ".join(said)


def _message(status: int, body: bytes) -> str:
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = _start(body)
    return f"{status} {text}"


def _start(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
