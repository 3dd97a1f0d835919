"""Names of images in registries: `[host[:port]/]path[:tag][@digest]`.

Source: OCI distribution-spec v1.1, "Pulling manifests"; distribution's reference grammar for the
host, and for what a name without a host means.
"""

import re

from scratchtasks.core.digest import Digest, parse_digest
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.frozen import dataclass

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_API = "registry-1.docker.io"

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?")
_SEGMENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """*host* is `host[:port]` in lower case, `docker.io` for Docker Hub; *path* is what follows."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def api_host(self) -> str:
        """The `host[:port]` that answers requests."""
        return _HUB_API if self.host == DOCKER_HUB else self.host


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a repository; *tag* "" and *digest* None where the text had none."""

    repository: Repository
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str, where: str = "reference") -> Reference:
    """*text* as a Reference: `api` is `docker.io/library/api`, as everywhere.

    Raises: SinkError for anything the specifications do not allow.
    """
    name, at, digest_text = text.partition("@")
    digest = None
    if at:
        try:
            digest = parse_digest(digest_text)
        except StoreError as error:
            raise SinkError(where, f"{error.what} in {text[:200]!r}") from None
    tag = ""
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
        check_tag(tag, where)
    return Reference(_repository(name, text, where), tag, digest)


def parse_repository(text: str, where: str = "push.repository") -> Repository:
    """*text* as a Repository, so without tag and digest.  Raises: SinkError."""
    reference = parse_reference(text, where)
    if reference.tag or reference.digest:
        raise SinkError(
            where,
            f"wanted a repository without tag and digest, got {text!r}",
            "tags are given by push.tags",
        )
    return reference.repository


def check_tag(text: str, where: str = "push.tags") -> str:
    """*text* if it may be a tag.  Raises: SinkError."""
    if not _TAG.fullmatch(text):
        raise SinkError(
            where,
            "wanted a tag (letters, digits, '_', '.', '-', at most 128, not starting with "
            f"'.' or '-'), got {text[:200]!r}",
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` can only be this very machine, by name or address."""
    import ipaddress

    name = host_name(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """`host[:port]` without its port and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _repository(name: str, text: str, where: str) -> Repository:
    first, slash, rest = name.partition("/")
    is_host = first.lower() == "localhost" or any(c in first for c in ".:[")
    host, path = (first.lower(), rest) if slash and is_host else (DOCKER_HUB, name)
    if host in _HUB_NAMES:
        host = DOCKER_HUB
        path = path if "/" in path else f"library/{path}"
    if len(name) > _NAME_LIMIT:
        raise SinkError(where, f"wanted at most {_NAME_LIMIT} characters, got {len(name)}")
    found = _HOST.fullmatch(host)
    if not found or int(found[1] or 1) not in range(1, 65536):
        raise SinkError(
            where,
            f"wanted host[:port]/path, got the host {host!r} in {text!r}",
            "leave the scheme out" if "://" in text else "",
        )
    if not _PATH.fullmatch(path):
        hint = f"did you mean {text.lower()!r}?" if _PATH.fullmatch(path.lower()) else ""
        raise SinkError(
            where,
            "wanted a repository path of lower case letters and digits, separated by "
            f"'/', '.', '_', '__' or '-', got {text[:300]!r}",
            hint,
        )
    return Repository(host, path)
