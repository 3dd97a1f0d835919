"""Where roots, zones and files of images come from: `source = …` and `from = "image:…"`."""

import re
from collections.abc import Mapping

from scratchtasks.core.source import (
    CERTIFI,
    DEBIAN_ROOTS,
    MACHINE_ROOTS,
    MACHINE_ZONES,
    TZDATA,
    DebianMirror,
    FromFile,
    FromImage,
    Source,
)
from scratchtasks.core.source import (
    DEBIAN as MIRROR,
)
from scratchtasks.core.target import Staged

from .fields import TEXT, Check, Field, matching, near_key, one_of, record, values_or_raise
from .names import IMAGE_REFERENCE
from .paths import IMAGE_PATH, SOURCE
from .quantities import MODE, OWNER
from .spot import Spot, quoted

_FINGERPRINT = re.compile(r"(?i)sha-?256:([0-9a-f]{2}(:?[0-9a-f]{2}){31})")
_PACKAGES = ("ca-certificates",)


def _image_fields(default: str) -> tuple[Field, ...]:
    return (
        Field(key="image", check=IMAGE_REFERENCE, required=True, wrong="https://example.com/a",
              meaning="another image, as `docker pull` names it; its digest is in scratch.lock"),
        Field(key="path", check=IMAGE_PATH, default=quoted(default), wrong="etc/ssl",
              meaning="where it is in that image"),
    )  # fmt: skip


ROOTS_IMAGE = _image_fields("/etc/ssl/certs/ca-certificates.crt")
ZONES_IMAGE = _image_fields("/usr/share/zoneinfo")
DEBIAN = (
    Field(key="debian", check=one_of("package", _PACKAGES), required=True, wrong="openssl",
          meaning="the Debian package, from the mirror of `[sources]`"),
)  # fmt: skip


def _roots_source(value: object, spot: Spot) -> Source:
    if isinstance(value, Mapping):
        if "debian" in value and "image" not in value:
            values_or_raise(value, spot, DEBIAN, near_key(("image", "path", "debian")))
            return DEBIAN_ROOTS
        return _from_image(value, spot, ROOTS_IMAGE, ("image", "path", "debian"))
    if isinstance(value, str) and value.startswith("//"):
        return FromFile(src=SOURCE.read(value, spot))
    return CERTIFI if _ROOTS_WORD.read(value, spot) == "certifi" else MACHINE_ROOTS


def _zones_source(value: object, spot: Spot) -> Source:
    if isinstance(value, Mapping):
        return _from_image(value, spot, ZONES_IMAGE, ("image", "path"))
    return TZDATA if _ZONES_WORD.read(value, spot) == "tzdata" else MACHINE_ZONES


def _from_image(
    value: Mapping[object, object], spot: Spot, fields: tuple[Field, ...], known: tuple[str, ...]
) -> FromImage:
    values = values_or_raise(value, spot, fields, near_key(known))
    return FromImage(image=values["image"], path=values.get("path") or _default_path(fields))


def _default_path(fields: tuple[Field, ...]) -> str:
    return next(field.default.strip('"') for field in fields if field.key == "path")


def _required(value: object, spot: Spot) -> str:
    text = TEXT.read(value, spot).strip()
    if not text or not text.isprintable():
        raise spot.wanted(REQUIRED.wants, value)
    if not text.lower().startswith(("sha256:", "sha-256:")):
        return text
    found = _FINGERPRINT.fullmatch(text)
    if not found:
        raise spot.wanted('"sha256:" and 64 hex digits', value)
    return "sha256:" + found[1].replace(":", "").lower()


def _image_source(value: object, spot: Spot) -> str:
    if not isinstance(value, str) or not value.startswith("image:"):
        hint = f'write "image:{value}"' if isinstance(value, str) and ":" in value[1:] else ""
        raise spot.wanted(FROM.wants, value, hint)
    return IMAGE_REFERENCE.read(value.removeprefix("image:"), spot)


def _staged(value: object, spot: Spot) -> Staged:
    is_fetched = isinstance(value, Mapping) and "from" in value
    known = tuple(field.key for field in IMAGE_FILES)
    fields = IMAGE_FILES if is_fetched else FILES
    return Staged(**values_or_raise(value, spot, fields, near_key(known)))


def _mirror(value: object, spot: Spot) -> str:
    return _URL.read(value, spot).rstrip("/")


_ROOTS_WORD = one_of("source", ("certifi", "machine"))
_ZONES_WORD = one_of("source", ("tzdata", "machine"))
_URL = matching('a URL such as "http://deb.debian.org/debian"', r"https?://[^\s/@?#]+(/[^\s@?#]*)?")

ROOTS_SOURCE = Check(
    '"certifi", "machine", { image = … }, { debian = … } or the "//folder:file" label of a PEM '
    "file",
    _roots_source,
)
ZONES_SOURCE = Check('"tzdata", "machine" or { image = … }', _zones_source)
REQUIRED = Check('a common name, a subject or "sha256:…"', _required,
                 'common names, subjects and "sha256:…" fingerprints')  # fmt: skip
FROM = Check('"image:" and the name of an image', _image_source)

FILES = (
    Field(key="src", check=SOURCE, required=True, wrong="/etc/motd",
          meaning="a file or folder, a label of a file, or of a genrule's output"),
    Field(key="dest", check=IMAGE_PATH, required=True, wrong="srv/www",
          meaning="the path of that very file or folder in the image"),
    Field(key="mode", check=MODE, default='"0755" if executable, else "0644"', wrong=644,
          meaning="of files; folders get 0755"),
    Field(key="owner", check=OWNER, default="root", wrong="1001", meaning="who owns it"),
)  # fmt: skip
IMAGE_FILES = (
    Field(key="from", check=FROM, required=True, wrong="docker.io/library/alpine:3",
          attribute="image", meaning="another image: `src` is a file in it, for each platform its "
          "own; the digest behind the name is in scratch.lock"),
    Field(key="src", check=IMAGE_PATH, required=True, wrong="etc/mime.types",
          meaning="one file of that image, links followed"),
    *FILES[1:],
)  # fmt: skip
STAGED = Check("a table", _staged, "tables")

SOURCES = (
    Field(key="debian", check=Check(_URL.wants, _mirror), wrong="deb.debian.org", attribute="url",
          default=quoted(MIRROR.url), meaning="the mirror that packages are fetched from"),
    Field(key="debian_suite", check=matching("a suite such as \"stable\"", r"[a-z][a-z0-9/.-]*"),
          wrong="Stable", attribute="suite", default=quoted(MIRROR.suite),
          meaning="the suite of it"),
    Field(key="debian_keyring", attribute="keyring", wrong="",
          check=matching("a path", r"[^\0\s]+"),
          default="the machine's debian-archive-keyring, if it has one",
          meaning="the keys that may sign the mirror, a file as gpgv takes it"),
)  # fmt: skip
SOURCES_TABLE = record(SOURCES, DebianMirror)
