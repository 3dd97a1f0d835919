"""What comes from outside and is not as it should be: one clear error, the lock untouched."""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Pin
from scratchtasks.plugin.refreshing.contents import certificates_of, zones_of
from scratchtasks.refresh.roots import roots_of
from scratchtasks.refresh.zones import diff_zones

from .index_server import PORTAL, Index
from .nights import make_workspace, night, session_at
from .wheels import bundle, pin_of, wheel, zone_files

OLD = {"certifi": pin_of("certifi-2026.7.22"), "tzdata": pin_of("tzdata-2026.5")}
CERTIFI, TZDATA = "certifi-2027.1-py3-none-any.whl", "tzdata-2027.1-py3-none-any.whl"


@pytest.fixture
def root(index: Index, tmp_path: Path) -> Path:
    for release in ("certifi-2026.7.22", "tzdata-2026.5"):
        index.add(wheel(release).name, wheel(release).read_bytes())
    return make_workspace(tmp_path / "ws", OLD, {"api": ""})


def wheel_with(name: str, files: dict[str, bytes]) -> bytes:
    project, version = name.split("-")[:2]
    info = f"{project}-{version}.dist-info"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        about = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return stream.getvalue()


def refusal(root: Path, env: dict[str, str]) -> str:
    """What a night says that ends with an error and leaves all as it was."""
    before = (root / "scratch.lock").read_bytes()
    with pytest.raises(ScratchError) as caught:
        night(root, env, time.time())
    assert (root / "scratch.lock").read_bytes() == before
    assert not list((root / ".scratch").glob("tmp/*"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda text: text[:300], "scratch.lock: line 10, column 2: not TOML: "),
        (lambda text: text.replace("version = 1", "version = 2", 1),
         "scratch.lock: version: wanted version 1, got the integer 2\n"
         "    hint: written by a newer scratchtasks: update yours"),
        (lambda text: text.replace('kind = "pypi"', 'kind = "pipy"', 1),
         'scratch.lock: pins.certifi.kind: unknown kind of source "pipy"'),
        (lambda text: text.replace(OLD["certifi"].sha256, "0" * 64),
         f"certifi 2026.7.22: digest mismatch: scratch.lock says sha256:{'0' * 64}, "
         f"the index says sha256:{OLD['certifi'].sha256}\n"
         "    hint: was scratch.lock edited by hand?"),
    ],
    ids=["cut", "newer", "kind", "edited"],
)  # fmt: skip
def test_a_lock_that_is_damaged(
    edit: Callable[[str], str], error: str, root: Path, pip_env: dict[str, str]
) -> None:
    lock = root / "scratch.lock"
    lock.write_text(edit(lock.read_text()))
    before = lock.read_bytes()
    with pytest.raises(ScratchError) as caught:
        night(root, pip_env, time.time())
    assert str(caught.value).startswith(error)
    assert lock.read_bytes() == before


def test_a_captive_portal_on_the_page(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    index.answers["/simple/certifi/"] = lambda handler: handler.send(PORTAL, "text/html")
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(b"", "text/plain", 403)
    assert refusal(root, pip_env) == (
        f"{index.url}/certifi/: answers with a page that is no package index\n"
        "    hint: is there a captive portal, or a proxy that wants a login? open the address in a "
        "browser\n"
        f"{index.url}/tzdata/: answers 403\n"
        "    hint: pip takes credentials from netrc, keyring or its index-url"
    )


def test_a_captive_portal_on_the_file(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    good = wheel_with(CERTIFI, {"certifi/cacert.pem": bundle("certifi-2026.10.18")})
    file = index.add(CERTIFI, good)
    index.answers[f"/files/certifi/{CERTIFI}"] = lambda handler: handler.send(PORTAL, "text/html")
    assert refusal(root, pip_env).startswith(
        f"certifi 2027.1: digest mismatch: the pin says sha256:{file.digest()}, the downloaded "
        "file has sha256:"
    )


def test_half_a_download(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    good = wheel_with(CERTIFI, {"certifi/cacert.pem": bundle("certifi-2026.10.18")})
    index.add(CERTIFI, good)
    index.answers[f"/files/certifi/{CERTIFI}"] = lambda handler: handler.send(
        good[: len(good) // 2], "application/zip", length=len(good)
    )
    assert refusal(root, pip_env).startswith("certifi 2027.1: ")


def test_a_page_that_lies_about_the_hash(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    index.add(TZDATA, wheel_with(TZDATA, {}), sha256="f" * 64)
    assert refusal(root, pip_env).startswith(
        f"tzdata 2027.1: digest mismatch: the pin says sha256:{'f' * 64}, the downloaded file has"
    )


ZONES = {f"tzdata/zoneinfo/{name}": data for name, data in zone_files("tzdata-2026.6").items()}


@pytest.mark.parametrize(
    ("name", "files", "error"),
    [
        (TZDATA, {**ZONES, "tzdata/zoneinfo/../../../etc/passwd": b"TZif"},
         "tzdata 2027.1: wanted a path without '.', '..' or '//', got "
         "'/usr/share/zoneinfo/../../../etc/passwd'"),
        (TZDATA, {**ZONES, "tzdata/zoneinfo//etc/passwd": b"TZif"},
         "tzdata 2027.1: wanted a path without '.', '..' or '//', got "
         "'/usr/share/zoneinfo//etc/passwd'"),
        (TZDATA, {**ZONES, "tzdata/zoneinfo/bomb": bytes(17 << 20)},
         " is larger than "),
        (TZDATA, {**ZONES, "tzdata/zoneinfo/UTC": b"TZif2 and then nothing"},
         "UTC: is no sound TZif file (cut short)"),
        (TZDATA, {}, "tzdata 2027.1: has no zones"),
        (CERTIFI, {}, "has no member 'certifi/cacert.pem'"),
        (CERTIFI, {"certifi/cacert.pem": bytes(9 << 20)}, "'certifi/cacert.pem' is larger than"),
        (CERTIFI, {"certifi/cacert.pem": b"<html>log in</html>\n"},
         "certifi 2027.1: line 1: text between certificates (wanted a PEM block, got "),
        (CERTIFI, {"certifi/cacert.pem": bundle("certifi-2026.10.18") + b"\ngarbage\n"},
         ": text between certificates (wanted a PEM block, got 'garbage')"),
        (CERTIFI, {"certifi/cacert.pem": b"-----BEGIN CERTIFICATE-----\nMAA=\n"
                                         b"-----END CERTIFICATE-----\n"},
         "certifi 2027.1: certificate 1: cannot be parsed ("),
        (CERTIFI, {"certifi/cacert.pem": b"# no certificate\n"},
         "certifi 2027.1: holds no certificate"),
    ],
    ids=["dots", "absolute", "bomb", "tzif", "empty", "no bundle", "large bundle", "html",
         "garbage", "der", "comments"],
)  # fmt: skip
def test_hostile_archives(
    name: str, files: dict[str, bytes], error: str, root: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(wheel_with(name, files))
    project, version = name.split("-")[:2]
    sha256, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
    pin = Pin(name=project, version=version, sha256=sha256, size=size)
    session = session_at(root)
    session.world.store.put_file(str(path), "application/zip")

    def read() -> object:
        if project == "tzdata":
            return diff_zones(
                zone_files("tzdata-2026.6"), zones_of(pin, session.world), time.time()
            )
        return roots_of(certificates_of(pin, session.world), f"{project} {version}")

    with pytest.raises(ScratchError) as caught:
        read()
    session.close()
    assert error in str(caught.value)


def test_a_hostile_archive_from_an_index(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    index.add(TZDATA, wheel_with(TZDATA, {**ZONES, "tzdata/zoneinfo/../../../etc/passwd": b"x"}))
    assert refusal(root, pip_env).startswith("tzdata 2027.1: wanted a path without '.', '..'")


def test_a_file_that_claims_to_be_huge(root: Path, index: Index, pip_env: dict[str, str]) -> None:
    file = {"filename": TZDATA, "url": "x", "hashes": {"sha256": "a" * 64}, "size": 1 << 40}
    page = {"meta": {"api-version": "1.1"}, "name": "tzdata", "files": [file]}
    index.answers["/simple/tzdata/"] = lambda handler: handler.send(
        json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json"
    )
    assert refusal(root, pip_env) == (
        f"{TZDATA}: wanted at most 67108864 bytes, the index says 1099511627776"
    )


def test_no_network(root: Path, pip_env: dict[str, str]) -> None:
    pip_env["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple"
    text = refusal(root, pip_env)
    assert text.count("cannot be reached (ConnectionError: [Errno 111] Connection refused)") == 2


def test_somebody_edits_the_lock_meanwhile(
    root: Path, index: Index, pip_env: dict[str, str]
) -> None:
    release = wheel("certifi-2026.10.18")
    index.add(release.name, release.read_bytes())
    lock = root / "scratch.lock"

    def edited(handler: object) -> None:
        lock.write_text(lock.read_text() + "# mine\n")
        del index.answers["/simple/tzdata/"]
        handler.do_GET()  # type: ignore[attr-defined]

    index.answers["/simple/tzdata/"] = edited
    told: list[str] = []
    with pytest.raises(ScratchError) as caught:
        night(root, pip_env, time.time(), on_ready=lambda _, outcome: told.append(outcome))
    assert (told, str(caught.value)) == (
        [],
        "scratch.lock: was changed while refresh ran\n    hint: run it again",
    )
    assert lock.read_text().endswith("# mine\n")
