"""Mozilla's roots as Debian packages them, from the mirror that the workspace names.

The mirror is not trusted: the suite's InRelease is checked by gpgv against the keyring, it names
the digest of the package index, and that the digest of the package.  Without a keyring the first
fetch is believed, which a note says; from then on the lock holds the bytes.
Source: wiki.debian.org/DebianRepository/Format.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from urllib.parse import quote, urljoin, urlsplit

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import SinkError, StageError
from scratchtasks.core.source import FromDebian
from scratchtasks.core.target import Pin
from scratchtasks.oci.expand import CannotExpand, Expanded
from scratchtasks.registry.patience import Patience
from scratchtasks.registry.transport import NO_BODY, Answer, Limits, Transport
from scratchtasks.store.atomic import write_atomic

from ..operation import World, empty_folder
from ..toolchains import find_program
from .deb import built_on, read_deb
from .pinned import OCTETS, blob_of, mismatch, offline, shown

_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
)
_INDEXES = ("main/binary-all/Packages.xz", "main/binary-amd64/Packages.xz")
_MAX_RELEASE = 4 << 20
_MAX_PACKED = 64 << 20
_MAX_INDEX = 512 << 20
_MAX_PARAGRAPH = 1 << 20
_MAX_PACKAGE = 64 << 20
_ROOTS = "usr/share/ca-certificates/mozilla/"
_SUM = re.compile(r"^ ([0-9a-f]{64}) +(\d{1,15}) (\S+)$", re.MULTILINE)


def fetch_roots(pin: Pin, world: World) -> bytes:
    """The roots in the package that *pin* stands for, as one PEM bundle in the order of names.

    Raises: StageError when it cannot be fetched, or is not the pin's; SinkError, StoreError.
    """
    package = keep_package(pin, world)
    with world.store.open(package.digest) as file:
        files = read_deb(file, lambda path: path.startswith(_ROOTS), _MAX_PACKAGE, shown(pin))
    roots = [files[path] for path in sorted(files) if path.endswith(".crt")]
    if not roots:
        raise StageError(shown(pin), f"holds no certificate in /{_ROOTS}")
    return b"".join(root.rstrip() + b"\n" for root in roots)


def keep_package(pin: Pin, world: World) -> Descriptor:
    """The pinned package, in the store.  Raises: as fetch_roots."""
    blob = blob_of(pin)
    if world.store.has(blob):
        return blob
    if world.is_offline:
        raise offline(shown(pin))
    name = pin.name.partition(":")[2]
    path = f"pool/main/{_pool(name)}/{name}/{pin.filename}"
    data = _get(f"{world.debian.url}/{quote(path)}", _MAX_PACKAGE, world)
    got = "sha256:" + hashlib.sha256(data).hexdigest()
    if got != blob.digest:
        raise mismatch(pin, got, "the mirror sent")
    return world.store.put_bytes(data, OCTETS)


def resolve_debian(source: FromDebian, world: World) -> tuple[Pin, str]:
    """The pin for the package as the suite has it now, and a note when nothing vouches for it.

    Raises: StageError when it is not there or not signed; SinkError, StoreError.
    """
    base = f"{world.debian.url}/dists/{world.debian.suite}"
    signed = _get(f"{base}/InRelease", _MAX_RELEASE, world)
    release, note = _verified(signed, f"{base}/InRelease", world)
    sums = {path: (sha256, int(size)) for sha256, size, path in _SUM.findall(_sha256_part(release))}
    name = next((name for name in _INDEXES if name in sums), "")
    if not name:
        raise StageError(f"{base}/InRelease", f"names none of {', '.join(_INDEXES)}")
    sha256, size = sums[name]
    size = min(size, _MAX_PACKED)
    folder = name.rpartition("/")[0]
    try:
        packed = _get(f"{base}/{folder}/by-hash/SHA256/{sha256}", size, world)
    except SinkError:  # a mirror without by-hash
        packed = _get(f"{base}/{name}", size, world)
    _check(packed, sha256, f"{base}/{name}", "InRelease")
    found = _paragraph(packed, source.package, f"{base}/{name}")
    path = found["Filename"]
    data = _get(f"{world.debian.url}/{quote(path)}", _MAX_PACKAGE, world)
    _check(data, found["SHA256"], f"{world.debian.url}/{path}", name)
    world.store.put_bytes(data, OCTETS)
    pin = Pin(
        name=f"debian:{source.package}",
        version=found["Version"],
        sha256=found["SHA256"],
        size=len(data),
        kind="debian",
        filename=os.path.basename(path),
        date=built_on(data),
    )
    return pin, note


def _pool(name: str) -> str:
    return name[:4] if name.startswith("lib") else name[:1]


def _verified(signed: bytes, where: str, world: World) -> tuple[str, str]:
    """The text of an InRelease file that a key of the keyring has signed."""
    own = world.debian.keyring
    path = os.path.join(world.root, own) if own else ""
    keyring = path or next((each for each in _KEYRINGS if os.path.isfile(each)), "")
    gpgv = find_program("gpgv", world)
    if own and not os.path.isfile(path):
        raise StageError("sources.debian_keyring", f"there is no file {own!r}")
    if own and not gpgv:
        hint = "install gpgv, or leave the key out: then the first fetch is believed"
        raise StageError("sources.debian_keyring", "there is no gpgv to check with", hint)
    if not keyring or not gpgv:
        lacks = "no debian-archive-keyring" if gpgv else "no gpgv"
        return _unwrapped(signed), f"{where} was not verified: {lacks} on this machine"
    with empty_folder(world) as here:
        write_atomic(f"{here}/InRelease", signed)
        argv = [gpgv, "--homedir", here, "--keyring", os.path.abspath(keyring),
                "--output", f"{here}/Release", f"{here}/InRelease"]  # fmt: skip
        done = world.processes.run(argv, cwd=here, env=world.env, show_stderr=False)
        if done.code:
            raise StageError(
                where,
                f"is not signed by a key of {keyring}",
                "is it a mirror of Debian? [sources] debian_keyring names another keyring",
            )
        with open(f"{here}/Release", encoding="utf-8", errors="replace") as release:
            return release.read(), ""


def _unwrapped(signed: bytes) -> str:
    text = signed.decode("utf-8", "replace")
    if text.startswith("-----BEGIN PGP SIGNED MESSAGE-----"):
        text = text.partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE-----")[0]
    return text


def _sha256_part(release: str) -> str:
    part = release.partition("\nSHA256:")[2]
    end = re.search(r"^\S", part.lstrip("\n"), re.MULTILINE)
    return part[: end.start() + 1] if end else part


def _paragraph(packed: bytes, package: str, where: str) -> Mapping[str, str]:
    import io

    try:
        source = Expanded(io.BytesIO(packed), _MAX_INDEX)
        wanted = f"Package: {package}\n".encode()
        rest = b""
        while piece := source.read(1 << 20):
            *whole, rest = (rest + piece).split(b"\n\n")
            if len(rest) > _MAX_PARAGRAPH + len(piece):
                raise StageError(where, "is no index of packages")
            for text in whole:
                if text.lstrip().startswith(wanted):
                    return _fields(text.decode("utf-8", "replace"), package, where)
    except CannotExpand as error:
        raise StageError(where, str(error)) from None
    if rest.lstrip().startswith(wanted):
        return _fields(rest.decode("utf-8", "replace"), package, where)
    raise StageError(where, f"has no package {package}")


def _fields(text: str, package: str, where: str) -> Mapping[str, str]:
    found = dict(re.findall(r"^(\w+): (.*)$", text, re.MULTILINE))
    path = found.get("Filename", "")
    is_plain = re.fullmatch(r"pool/[A-Za-z0-9._+~/-]{1,300}\.deb", path) and ".." not in path
    is_whole = re.fullmatch(r"[0-9a-f]{64}", found.get("SHA256", "")) and found.get("Version")
    if not is_plain or not is_whole:
        raise StageError(where, f"does not say where {package} is, or what it is")
    return found


def _check(data: bytes, sha256: str, where: str, said: str) -> None:
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise StageError(
            where, f"digest mismatch: {said} says sha256:{sha256}, the mirror sent sha256:{got}"
        )


def _get(url: str, limit: int, world: World) -> bytes:
    """The body at *url*, redirects followed.  Raises: SinkError, also beyond *limit* bytes."""
    limits = Limits(attempts=3)
    patience = Patience(limits, "pull", lambda: world.processes.is_cancelled)
    transport = Transport(world.env, limits, lambda: patience.is_cancelled)
    try:
        for _ in range(5):
            asked = url

            def ask(asked: str = asked) -> Answer:
                return transport.exchange("GET", asked, {}, NO_BODY, limit)

            answer = patience.insist(ask)
            if answer.status not in (301, 302, 307, 308):
                break
            url = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(url).scheme not in ("http", "https"):
                break
    finally:
        transport.close()
    where = f"GET {urlsplit(asked).netloc.rpartition('@')[2]}{urlsplit(asked).path}"
    if answer.status != 200:
        hint = "`doit refresh` finds what the mirror has now" if answer.status == 404 else ""
        raise SinkError(where, f"answered {answer.status}", hint)
    if answer.is_cut:
        raise SinkError(where, f"wanted at most {limit} bytes, got more")
    return answer.body
