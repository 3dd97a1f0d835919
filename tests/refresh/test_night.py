"""One night in one process: locks that are not there yet, wishes, and private CAs that expire."""

import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scratchtasks.config.default_pins import DEFAULT_PINS
from scratchtasks.config.lockfile import format_lockfile
from scratchtasks.core.errors import ScratchError, StoreError
from scratchtasks.plugin.refreshing.night import CODES, Wishes
from scratchtasks.store import blobs

from .index_server import Index
from .nights import build_all, make_workspace, night
from .wheels import pin_of, wheel

PINNED = '[refresh]\ncertifi = "pinned"\ntzdata = "pinned"\n'


def test_a_workspace_without_a_lock_gets_one(tmp_path: Path, pip_env: dict[str, str]) -> None:
    root = make_workspace(tmp_path / "ws", None)
    (root / "scratch.toml").write_text(PINNED)
    proposal, outcome = night(root, pip_env, time.time())
    assert (outcome, proposal.is_new_lock, CODES[outcome]) == ("refreshed", True, 10)
    assert (root / "scratch.lock").read_text() == format_lockfile(DEFAULT_PINS)
    assert night(root, pip_env, time.time())[1] == "nothing"


def test_a_lock_that_lacks_a_pin_is_completed(tmp_path: Path, pip_env: dict[str, str]) -> None:
    root = make_workspace(tmp_path / "ws", {"tzdata": DEFAULT_PINS["tzdata"]})
    (root / "scratch.toml").write_text(PINNED)
    proposal, outcome = night(root, pip_env, time.time(), Wishes(check=True))
    assert (outcome, CODES[outcome]) == ("proposed", 10)
    assert [(move.old, move.new.name) for move in proposal.moves] == [(None, "certifi")]
    assert proposal.affected == ()
    assert night(root, pip_env, time.time())[1] == "refreshed"
    assert (root / "scratch.lock").read_text() == format_lockfile(DEFAULT_PINS)


def test_a_lock_that_several_workspaces_share_stays_a_link(
    tmp_path: Path, pip_env: dict[str, str]
) -> None:
    root, shared = make_workspace(tmp_path / "ws", None), tmp_path / "shared.lock"
    (root / "scratch.toml").write_text(PINNED)
    shared.write_text(format_lockfile({"tzdata": DEFAULT_PINS["tzdata"]}))
    (root / "scratch.lock").symlink_to("../shared.lock")
    assert night(root, pip_env, time.time())[1] == "refreshed"
    assert (root / "scratch.lock").readlink() == Path("../shared.lock")
    assert shared.read_text() == format_lockfile(DEFAULT_PINS)


@pytest.mark.parametrize("speaks_json", [True, False])
def test_an_old_index_is_enough(
    speaks_json: bool, index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    index.speaks_json = speaks_json
    for release in ("certifi-2026.7.22", "certifi-2026.10.18", "tzdata-2026.6"):
        index.add(wheel(release).name, wheel(release).read_bytes())
    pins = {"certifi": pin_of("certifi-2026.7.22"), "tzdata": pin_of("tzdata-2026.6")}
    root = make_workspace(tmp_path / "ws", pins, {"tls": 'essentials = ["certs"]\n'})
    (proposal, _) = night(root, pip_env, time.time())
    assert [move.new for move in proposal.moves] == [replace(pin_of("certifi-2026.10.18"), date="")]
    (tls,) = proposal.images
    assert tls.reasons == ("certs: certifi 2026.7.22 → certifi 2026.10.18",)
    assert (tls.old, tls.new, tls.is_sure) == ("", "", True)
    assert tls.unknown == "//s/tls:binary is not built yet"


def authority(end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corp")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(end - timedelta(days=900))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_private_ca_that_expires_is_told_of_every_night(
    tmp_path: Path, pip_env: dict[str, str]
) -> None:
    end = datetime.now(UTC) + timedelta(days=9)
    text = '[certs]\nextra = ["//:corp.pem", "//:late.pem"]\n'
    root = make_workspace(tmp_path / "ws", DEFAULT_PINS, {"api": text, "web": text, "alone": ""})
    (root / "scratch.toml").write_text(PINNED)
    (root / "corp.pem").write_bytes(authority(end))
    (root / "late.pem").write_bytes(authority(end + timedelta(days=300)))
    for wishes in (Wishes(check=True), Wishes()):
        proposal, outcome = night(root, pip_env, time.time(), wishes)
        assert outcome == "nothing"
        (found,) = proposal.expiring
        assert (found.path, found.root.subject, found.services) == (
            "corp.pem", "CN=corp", ("api", "web"),
        )  # fmt: skip
        assert found.root.days[1] == f"{end:%Y-%m-%d}"
    (root / "scratch.toml").write_text(PINNED + "warn_days = 5\n")
    assert night(root, pip_env, time.time())[0].expiring == ()
    (root / "corp.pem").write_text("damaged")  # the build says so
    assert night(root, pip_env, time.time())[0].expiring == ()
    (root / "corp.pem").unlink()
    os.mkfifo(root / "corp.pem")
    assert night(root, pip_env, time.time())[0].expiring == ()


def test_a_release_with_the_same_roots_moves_nothing_but_the_annotation(
    index: Index, pip_env: dict[str, str], tmp_path: Path
) -> None:
    """certifi 2026.10.19.post1 has the roots of 2026.10.18, to the byte."""
    for release in ("certifi-2026.10.18", "certifi-2026.10.19.post1", "tzdata-2026.6"):
        index.add(wheel(release).name, wheel(release).read_bytes())
    root = make_workspace(tmp_path / "ws", DEFAULT_PINS, {"tls": 'essentials = ["certs"]\n'})
    before = build_all(root)
    (proposal, _) = night(root, pip_env, time.time())
    assert proposal.roots == {}
    (fate,) = proposal.images
    assert fate.reasons == (
        "certs: the same files, now of certifi 2026.10.19.post1 (annotation only)",
    )
    assert {"tls": fate.old} == before
    assert {"tls": fate.new} == build_all(root)
    manifest = json.loads((root / "dist/tls/blobs" / fate.new.replace(":", "/")).read_text())
    annotations = manifest["annotations"]
    assert annotations["dev.scratchtasks.certs"] == "certifi 2026.10.19.post1"
    assert "dev.scratchtasks.zoneinfo" not in annotations


def test_a_full_disk_is_no_alarm(
    index: Index, pip_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("certifi-2026.7.22", "certifi-2026.10.18"):
        index.add(wheel(release).name, wheel(release).read_bytes())
    pins = {"certifi": pin_of("certifi-2026.7.22")}
    root = make_workspace(tmp_path / "ws", pins, {"tls": 'essentials = ["certs"]\n'})
    night(root, pip_env, time.time(), Wishes(check=True))  # from here on wheels are in the store
    for folder in ("actions", "refresh"):
        shutil.rmtree(root / ".scratch" / folder)
    monkeypatch.setattr(blobs, "create", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(StoreError) as caught:
        night(root, pip_env, time.time(), Wishes(accept=True))
    assert str(caught.value) == (
        f"{root}/.scratch/blobs: cannot be written: no space left on device\n"
        "    hint: free some space; `doit cache --collect` shrinks .scratch to its limit"
    )
    assert (root / "scratch.lock").read_text() == format_lockfile(pins)


def test_offline_there_is_nothing_to_ask(tmp_path: Path, pip_env: dict[str, str]) -> None:
    root = make_workspace(tmp_path / "ws", DEFAULT_PINS)
    with pytest.raises(ScratchError) as caught:
        night(root, {**pip_env, "SCRATCH_OFFLINE": "1"}, time.time())
    assert str(caught.value) == ("--offline: forbids to ask upstream, which is what refresh does")
