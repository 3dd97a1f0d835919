"""Where roots, zones and single files come from when they do not lie in the repository.

Each source has a name in scratch.lock (`pin_name`), the same on every machine.
"""

from .frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """The data in the wheel of *project* (`certifi`, `tzdata`) on PyPI."""

    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromImage:
    """The file or folder *path* (absolute) in the image *image*, as the user names it."""

    image: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromMachine:
    """The file or folder *path* (absolute) of the machine that builds."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromDebian:
    """The Debian package *package*, from the mirror that the workspace names."""

    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromFile:
    """A file of the workspace, or a genrule's output, by its label *src*; it has no pin."""

    src: str


Source = Wheel | FromImage | FromMachine | FromDebian | FromFile

CERTIFI = Wheel(project="certifi")
TZDATA = Wheel(project="tzdata")
MACHINE_ROOTS = FromMachine(path="/etc/ssl/certs")
MACHINE_ZONES = FromMachine(path="/usr/share/zoneinfo")
DEBIAN_ROOTS = FromDebian(package="ca-certificates")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianMirror:
    """Where Debian packages come from: *url* without a slash at its end, and a suite of it.

    *keyring* is the file with the keys that may sign it, relative to the root or absolute; ""
    means the machine's own debian-archive-keyring, where it is installed.
    """

    url: str = "http://deb.debian.org/debian"
    suite: str = "stable"
    keyring: str = ""


DEBIAN = DebianMirror()


def pin_name(source: Source) -> str:
    """The name of *source*'s pin: `certifi`, `image:alpine:3`; "" for a file of the workspace."""
    match source:
        case Wheel():
            return source.project
        case FromImage():
            return f"image:{source.image}"
        case FromMachine():
            return f"machine:{source.path}"
        case FromDebian():
            return f"debian:{source.package}"
        case FromFile():
            return ""
