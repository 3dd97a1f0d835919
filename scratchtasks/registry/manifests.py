"""Manifests in a registry, by tag and by digest.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Pushing Manifests".
"""

import json
from typing import Any

from scratchtasks.core.digest import Digest, digest_of, parse_digest
from scratchtasks.core.errors import StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.oci import media

from .client import NO_HEAD, Registry
from .errors import RegistryError
from .reference import Repository
from .transport import Answer, body_of, shown

_LIMIT = 8 << 20
"""Bytes. Registries must take manifests of 4 MiB; few take more."""

_IN_ITS_PLACE = "something before the registry may have answered in its place"

_ACCEPT = {
    "Accept": ", ".join(
        (
            media.INDEX,
            media.MANIFEST,
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        )
    )
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as a registry gave it: the exact bytes, and what it says they are."""

    media_type: str
    data: bytes


def digest_at(
    registry: Registry, repository: Repository, reference: str, tries: int | None = None
) -> Digest | None:
    """The digest of the manifest at *reference* (a tag or digest), None when there is none.

    One HEAD request; a GET more only if the registry does not tell the digest, or refuses HEAD.
    *tries* as in Registry.request.

    Raises: RegistryError, SinkError.
    """
    answer = registry.request(
        repository,
        "HEAD",
        f"manifests/{reference}",
        wanted=(200, 404, *NO_HEAD),
        headers=_ACCEPT,
        tries=tries,
    )
    if answer.status == 404:
        return None
    told = answer.headers.get("docker-content-digest", "") if answer.status == 200 else ""
    try:
        return parse_digest(told)
    except StoreError:
        found = fetch_manifest(registry, repository, reference)
        return digest_of(found.data) if found else None


def fetch_manifest(registry: Registry, repository: Repository, reference: str) -> Manifest | None:
    """The manifest at *reference*, None when there is none.

    Raises: RegistryError, also when what came is larger than any manifest or none at all, or
    *reference* is a digest and not that of it; SinkError.
    """
    answer = registry.request(
        repository,
        "GET",
        f"manifests/{reference}",
        wanted=(200, 404),
        headers=_ACCEPT,
        limit=_LIMIT,
    )
    if answer.status == 404:
        return None
    if answer.is_cut:
        raise RegistryError(
            shown("GET", answer.url), f"wanted a manifest of at most {_LIMIT} bytes, got more"
        )
    found = digest_of(answer.body)
    if reference.startswith("sha256:") and reference != found:
        raise RegistryError(
            f"{repository}@{reference}", f"digest mismatch: the registry sent {found}"
        )
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if not _is_manifest(answer.body):
        raise RegistryError(
            shown("GET", answer.url),
            f"answered 200, but with no manifest (got {media_type[:80]!r})",
            _IN_ITS_PLACE,
        )
    return Manifest(media_type, answer.body)


def _is_manifest(data: bytes) -> bool:
    """Whether *data* is what every manifest and index is: a JSON object with a `schemaVersion`."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "schemaVersion" in value


def put_manifest(
    registry: Registry,
    repository: Repository,
    manifest: Manifest,
    reference: str,
    tries: int | None = None,
) -> None:
    """Make *reference* (a tag or digest) mean *manifest*; *tries* as in Registry.request.

    Raises: RegistryError, also when the registry stored other bytes; SinkError.
    """
    answer = registry.request(
        repository,
        "PUT",
        f"manifests/{reference}",
        wanted=(200, 201, 202),
        headers={"Content-Type": manifest.media_type},
        body=body_of(manifest.data),
        tries=tries,
    )
    wanted = digest_of(manifest.data)
    check_stored(answer, "PUT", wanted)
    # Whatever stands before a registry (a page to log in at, say) may answer 200, too.
    if answer.status != 201 and "docker-content-digest" not in answer.headers:
        found = digest_at(registry, repository, reference)
        if found != wanted:
            raise RegistryError(
                shown("PUT", answer.url),
                f"answered {answer.status}, but did not store it "
                f"(wanted {wanted}, got {found or 'none'})",
                _IN_ITS_PLACE,
            )


def delete_manifest(registry: Registry, repository: Repository, reference: str) -> bool:
    """Delete *reference*, a tag or digest, if it is there; False when this registry does not.

    Whatever else of a manifest goes with it (its tags, or it with its tag) differs.

    Raises: RegistryError, SinkError.
    """
    answer = registry.request(
        repository, "DELETE", f"manifests/{reference}", wanted=(200, 202, 204, 400, 404, 405, 501)
    )
    return answer.status in (200, 202, 204, 404)


def check_stored(answer: Answer, method: str, wanted: Digest) -> None:
    """Raises: RegistryError when *answer* says that something else than *wanted* was stored."""
    told = answer.headers.get("docker-content-digest", "")
    if told and told != wanted:
        raise RegistryError(
            shown(method, answer.url),
            f"the registry says it stored {told[:80]!r} (wanted {wanted})",
            "the bytes were changed on the way, or the registry is broken",
        )
