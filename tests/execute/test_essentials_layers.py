"""The operation on real wheels: its layers, unpacked and read by other people's tools."""

import json
import os
import ssl
import subprocess
import tarfile
import time
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificate

from scratchtasks.core.action import Action, Input
from scratchtasks.core.digest import DiffID
from scratchtasks.core.errors import StageError
from scratchtasks.core.label import Label
from scratchtasks.core.rootfs import plain_layer_from_json
from scratchtasks.core.target import Pin
from scratchtasks.core.tree import entry_from_json
from scratchtasks.execute.essentials import Essentials
from scratchtasks.execute.operation import Done, Job, Operation, Outcome, World
from scratchtasks.execute.pins import MEDIA_TYPE, pinned_wheel, read_folder, read_member

PINS = {
    "certifi": Pin(
        name="certifi",
        version="2026.10.18",
        sha256="73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62",
        size=134093,
    ),
    "tzdata": Pin(
        name="tzdata",
        version="2026.6",
        sha256="0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec",
        size=348210,
    ),
}
ETC = {
    "kind": "etc", "accounts": {"name": "app", "uid": 1001, "gid": 1001}, "nsswitch": True,
    "hosts": {"db.internal": "10.0.0.7"}, "tmp": True, "services": True, "os_release": True,
}  # fmt: skip
"""An etc layer with everything in it."""


@pytest.fixture
def worlds(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, world_at: Callable[..., World]
) -> Callable[..., World]:
    """Makes worlds that have the pins, the wheels fetched once for all tests."""
    shared = world_at(tmp_path_factory.getbasetemp() / "wheels")

    def make(root: Path | str = "ws", epoch: int = 0) -> World:
        world = replace(world_at(tmp_path / root), pins=PINS, epoch=epoch)
        for name in PINS:
            world.store.put_file(pinned_wheel(name, replace(shared, pins=PINS)), MEDIA_TYPE)
        return world

    return make


@cache
def certificate(name: str, days: int = 3650) -> bytes:
    """A new self-signed CA, as openssl writes it, for *days* from now."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", os.devnull, "-subj", f"/CN={name}",
            "-days", str(days)]  # fmt: skip
    return subprocess.run(argv, capture_output=True, check=True).stdout


def stage(world: World, params: Mapping[str, Any]) -> Outcome:
    operation: Operation = Essentials(clock=lambda: datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    action = Action(label=Label("", "x"), mnemonic="Stage", op="essentials", params=params)
    return operation.run([Job(action)], world)[action.name]


def done(world: World, params: Mapping[str, Any]) -> Done:
    outcome = stage(world, params)
    assert isinstance(outcome, Done), outcome
    return outcome


def unpack(world: World, result: Done, folder: Path) -> Path:
    with tarfile.open(world.store.path(result.outputs["layer"].digest)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # from 3.11.4 on
        archive.extractall(folder)
    return folder


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def test_the_bundle_is_mozillas_and_the_private_one(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    world = worlds()
    Path(world.root, "corp.pem").write_bytes(certificate("Corp"))
    result = done(world, {"kind": "certs", "public": True, "extra": ["corp.pem"]})
    root = unpack(world, result, tmp_path / "out")
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    wheel = pinned_wheel("certifi", world)
    public = read_member(wheel, "certifi/cacert.pem", 1 << 20).decode()

    context, expected = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
    context.load_verify_locations(cafile=str(bundle))
    expected.load_verify_locations(cadata=public + certificate("Corp").decode())
    assert set(context.get_ca_certs(binary_form=True)) == set(
        expected.get_ca_certs(binary_form=True)
    )
    assert bundle.read_text().count("-----BEGIN CERTIFICATE-----") == public.count("-----BEGIN") + 1
    assert "#" not in bundle.read_text()
    assert result.facts["versions"] == {"certifi": "2026.10.18"}
    for link in ("etc/ssl/cert.pem", "usr/lib/ssl/cert.pem", "usr/local/ssl/cert.pem",
                 "etc/pki/tls/cert.pem", "etc/pki/tls/certs/ca-bundle.crt"):  # fmt: skip
        assert (root / link).is_symlink()
        assert (root / link).resolve() == bundle.resolve()


def test_openssl_trusts_exactly_the_bundle(worlds: Callable[..., World], tmp_path: Path) -> None:
    world = worlds()
    private = Path(world.root, "corp.pem")
    private.write_bytes(certificate("Corp"))
    verified = []
    for extra in (["corp.pem"], []):
        result = done(world, {"kind": "certs", "public": True, "extra": extra})
        root = unpack(world, result, tmp_path / f"out{len(extra)}")
        bundle = str(root / "etc/ssl/certs/ca-certificates.crt")
        argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", bundle, str(private)]
        verified.append(subprocess.run(argv, capture_output=True, check=False).returncode == 0)
        shown = subprocess.run(
            f"openssl crl2pkcs7 -nocrl -certfile '{bundle}' | openssl pkcs7 -print_certs -noout",
            shell=True, capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip
        assert shown.count("subject=") == Path(bundle).read_text().count("BEGIN CERT") > 100
    assert verified == [True, False]


def test_private_roots_alone_need_no_pin(worlds: Callable[..., World]) -> None:
    world = replace(worlds(), pins={})
    Path(world.root, "corp.pem").write_bytes(certificate("Corp"))
    result = done(world, {"kind": "certs", "public": False, "extra": ["corp.pem"]})
    assert result.facts["versions"] == {}
    short = certificate("Short", days=7)
    Path(world.root, "two.pem").write_bytes(certificate("Long") + short)
    both = done(world, {"kind": "certs", "public": False, "extra": ["corp.pem", "two.pem"]})
    assert both.facts["expires"] == load_pem_x509_certificate(short).not_valid_after_utc.timestamp()
    assert both.facts["expires"] < result.facts["expires"]
    assert str(stage(world, {"kind": "certs", "public": True, "extra": []})) == (
        "scratch.lock: has no pin for certifi"
    )


def test_every_zone_tells_the_time_as_tzdata_does(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    world = worlds()
    result = done(world, {"kind": "zoneinfo", "zones": ["*"]})
    folder = unpack(world, result, tmp_path / "out") / "usr/share/zoneinfo"
    source = read_folder(pinned_wheel("tzdata", world), "tzdata/zoneinfo", 1 << 24)
    names = read_member(pinned_wheel("tzdata", world), "tzdata/zones", 1 << 20).decode().split()
    assert result.facts["zones"] == sorted(names)
    moments = [datetime(year, month, 3, 12, tzinfo=UTC) for year in (1950, 1999, 2026, 2050)
               for month in (1, 7)]  # fmt: skip
    for name in names:
        with open(folder / name, "rb") as file:
            zone = zoneinfo.ZoneInfo.from_file(file)
        expected = zoneinfo.ZoneInfo.from_file(BytesIO(source[name]))
        for moment in moments:
            ours, theirs = moment.astimezone(zone), moment.astimezone(expected)
            assert (ours.replace(tzinfo=None), ours.tzname(), ours.dst()) == (
                theirs.replace(tzinfo=None), theirs.tzname(), theirs.dst(),
            )  # fmt: skip
    assert os.stat(folder / "Europe/Monaco").st_ino == os.stat(folder / "Europe/Paris").st_ino
    assert (folder / "tzdata.zi").is_file()
    assert not list(folder.rglob("__init__.py"))


def test_the_c_library_finds_chosen_zones(worlds: Callable[..., World], tmp_path: Path) -> None:
    world = worlds()
    result = done(world, {"kind": "zoneinfo", "zones": ["Asia/Kolkata", "Europe/*"]})
    folder = unpack(world, result, tmp_path / "out") / "usr/share/zoneinfo"

    def offset(zone: str) -> str:
        env = {"TZ": zone, "TZDIR": str(folder), "PATH": os.environ["PATH"]}
        argv = ["date", "-d", "@1782000000", "+%z %Z"]
        return subprocess.run(argv, env=env, capture_output=True, check=True, text=True).stdout

    assert offset("Europe/Paris") == "+0200 CEST\n"
    assert offset("Asia/Kolkata") == "+0530 IST\n"
    assert offset("UTC") == "+0000 UTC\n"
    assert offset("Asia/Tokyo").startswith("+0000")
    assert not (folder / "tzdata.zi").exists()


def test_the_etc_layer_keeps_modes_and_owners(worlds: Callable[..., World]) -> None:
    world = worlds()
    result = done(world, ETC)
    with tarfile.open(world.store.path(result.outputs["layer"].digest)) as archive:
        found = {m.name: (f"{m.mode:o}", m.uid, m.gid) for m in archive.getmembers()}
    assert found == {
        "etc": ("755", 0, 0), "etc/group": ("644", 0, 0), "etc/hosts": ("644", 0, 0),
        "etc/nsswitch.conf": ("644", 0, 0), "etc/os-release": ("644", 0, 0),
        "etc/passwd": ("644", 0, 0), "etc/services": ("644", 0, 0), "home": ("755", 0, 0),
        "home/app": ("700", 1001, 1001), "tmp": ("1777", 0, 0), "var": ("755", 0, 0),
        "var/tmp": ("1777", 0, 0),
    }  # fmt: skip
    assert result.facts["users"] == {"root": [0, 0], "nobody": [65534, 65534], "app": [1001, 1001]}


def test_what_is_not_asked_for_is_not_there(worlds: Callable[..., World]) -> None:
    nothing = dict.fromkeys(ETC, False) | {"kind": "etc", "accounts": None, "hosts": None}
    world = worlds()
    result = done(world, {**nothing, "nsswitch": True})
    assert result.facts["users"] == {}
    tree = json.loads(world.store.read(result.outputs["tree"].digest))
    assert [entry_from_json(entry).path for entry in tree] == ["etc/nsswitch.conf"]


def test_outputs_and_facts_agree(worlds: Callable[..., World]) -> None:
    world = worlds()
    for params in (ETC, {"kind": "zoneinfo", "zones": ["Asia/*"]}, {"kind": "certs", "extra": []}):
        result = done(world, params)
        layer = plain_layer_from_json(result.facts["layer"])
        assert (layer.source, layer.kind) == (result.outputs["layer"], params["kind"])
        assert all(world.store.has(blob) for blob in result.outputs.values())
        tree = world.store.read(result.outputs["tree"].digest)
        entries = [entry_from_json(entry) for entry in json.loads(tree)]
        assert (layer.diff_id, layer.size) == (DiffID(layer.source.digest), layer.source.size)
        with tarfile.open(world.store.path(layer.source.digest)) as archive:
            assert {entry.path for entry in entries} <= set(archive.getnames())


def test_layers_do_not_depend_on_place_order_or_umask(worlds: Callable[..., World]) -> None:
    digests = []
    for root, mask, is_reversed in (("a", 0o022, False), ("b ü", 0o077, True)):
        with umask(mask):
            world = worlds(root)
            extra = [f"{name}.pem" for name in "abc"]
            for name in extra:
                Path(world.root, name).write_bytes(certificate(name))
            zones = ["UTC", "Europe/*", "Asia/*"]
            if is_reversed:
                extra.reverse()
                zones.reverse()
            results = [
                done(world, {"kind": "certs", "public": True, "extra": extra}),
                done(world, {"kind": "zoneinfo", "zones": zones}),
                done(world, dict(reversed(ETC.items()))),
            ]
            digests.append([result.outputs for result in results])
    assert digests[0] == digests[1]


def test_the_key_names_pins_epoch_and_files(worlds: Callable[..., World]) -> None:
    world = worlds()
    operation = Essentials()
    params: dict[str, Any] = {"kind": "certs", "public": True, "extra": ["b.pem", "a.pem"]}
    job = Job(Action(label=Label("", "x"), mnemonic="Stage", op="essentials", params=params))
    moved = replace(world, pins={**PINS, "certifi": replace(PINS["certifi"], sha256="0" * 64)})
    identities = [operation.identity(job, each) for each in (world, replace(world, epoch=5), moved)]
    assert len({repr(identity) for identity in identities}) == 3
    other = replace(world, pins={**PINS, "tzdata": replace(PINS["tzdata"], sha256="0" * 64)})
    assert operation.identity(job, other) == identities[0]
    assert operation.inputs(job, world) == [Input("file", "a.pem"), Input("file", "b.pem")]


def test_an_extra_that_expires_is_noticed_without_being_touched(
    worlds: Callable[..., World],
) -> None:
    world = worlds()
    for name in ("a.pem", "b.pem"):  # for ten years from now
        Path(world.root, name).write_bytes(certificate(name))
    params: dict[str, Any] = {"kind": "certs", "public": False, "extra": ["a.pem", "b.pem"]}
    job = Job(Action(label=Label("", "x"), mnemonic="Stage", op="essentials", params=params))
    today = time.time()
    keys = [
        Essentials(clock=lambda: now).identity(job, world)  # noqa: B023
        for now in (today, today + 9 * 365 * 86400, today + 11 * 365 * 86400)
    ]
    assert keys[0] == keys[1] != keys[2]
    outcome = Essentials(clock=lambda: today + 11 * 365 * 86400).run([job], world)[job.action.name]
    assert "expired on" in str(outcome)
    Path(world.root, "b.pem").write_text("damaged")
    assert Essentials(clock=lambda: today).identity(job, world) == keys[0]


@pytest.mark.parametrize("name", ["extra", "source"])
def test_a_certificate_behind_a_link_out_of_the_workspace_is_refused(
    name: str, worlds: Callable[..., World]
) -> None:
    world = replace(worlds(), pins={})
    root = Path(world.root)
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "corp.pem").write_bytes(certificate("Corp"))
    (root / "corp.pem").symlink_to(elsewhere / "corp.pem")
    (root / "certs").symlink_to(elsewhere)
    for path, link in (("corp.pem", "corp.pem"), ("certs/corp.pem", "certs")):
        given = {"extra": [path]} if name == "extra" else {"source": {"name": path, "path": path}}
        assert str(stage(world, {"kind": "certs", "public": name == "source", **given})) == (
            f"certs: cannot stage {path}: {link} is a link out of the workspace, "
            f"to {os.path.realpath(root / link)}\n"
            "    hint: copy what the image needs into the workspace"
        )
    (elsewhere / "service.toml").touch()  # it is a service that lies there
    done(world, {"kind": "certs", "public": False, "extra": ["certs/corp.pem"]})
    (root / "inside.pem").symlink_to("there.pem")
    (root / "there.pem").write_bytes(certificate("Corp"))
    done(world, {"kind": "certs", "public": False, "extra": ["inside.pem"]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: None,
            "corp.pem: cannot be read: no such file or directory\n"
            "    hint: [certs] names it: from the service's folder,"
            " or as //folder:file from the root",
        ),
        (os.mkdir, "corp.pem: wanted a PEM file, got a folder or a device"),
        (os.mkfifo, "corp.pem: wanted a PEM file, got a folder or a device"),
        (lambda path: Path(path).write_bytes(b"#" * (5 << 20)),
         "corp.pem: wanted at most 4194304 bytes of PEM"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_certificates(
    worlds: Callable[..., World], make: Callable[[str], object], message: str
) -> None:
    world = worlds()
    make(os.path.join(world.root, "corp.pem"))
    outcome = stage(world, {"kind": "certs", "public": False, "extra": ["corp.pem"]})
    assert isinstance(outcome, StageError)
    assert str(outcome) == message
