"""Layers of roots and zones made from every source, and what must be among the roots."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from scratchtasks.analysis import ActionGraph, analyze
from scratchtasks.config.service import parse_service
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.action import ActionResult
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Declared, Genrule
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import World
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.execute.sources.resolve import resolve_pin
from tests.execute.test_essentials_certs import certificate

from .debian_root import BUNDLE

HEAD = '[image]\nessentials = ["certs", "zoneinfo"]\nentrypoint = ["/a"]\n'


class Silent:
    """A listener that only counts."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def started(self, actions: Any, reason: str) -> None: ...

    def finished(self, action: Any, how: str, seconds: float, reason: str, size: int) -> None:
        if how == "ran":
            self.ran.append(action.mnemonic)


def graph_of(text: str, rules: tuple[Genrule, ...] = ()) -> ActionGraph:
    service = parse_service(
        HEAD + text,
        origin="services/api/service.toml",
        folder="services/api",
        defaults=WorkspaceDefaults(),
        host=Platform("linux", "amd64"),
    )
    return analyze(Declared(services=(service,), genrules=rules), lambda word, _: word)


def build(
    text: str, kind: str, world: World, rules: tuple[Genrule, ...] = ()
) -> tuple[ActionResult, Silent]:
    """The layer *kind* of the service *text*, all it needs pinned and built."""
    graph = graph_of(text, rules)
    (name,) = (name for name in graph.actions if name.startswith(f"//:{kind}-"))
    wanted = [*graph.actions[name].deps.values(), name]
    pins = dict(world.pins)
    for each in wanted:
        for pin in pins_of(graph.actions[each]):
            pins.setdefault(pin, resolve_pin(graph.actions[each], world)[0])
    listener = Silent()
    engine = Engine(replace(world, pins=pins), graph.actions, OPERATIONS, listener)
    for each in wanted:
        result = engine.build(each)
    return result, listener


def members(result: ActionResult, world: World) -> Mapping[str, bytes]:
    data = world.store.read(result.outputs["layer"].digest)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {info.name: archive.extractfile(info) for info in archive if info.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def refusal(text: str, kind: str, world: World) -> str:
    with pytest.raises(ScratchError) as caught:
        build(text, kind, world)
    return str(caught.value)


def test_roots_and_zones_of_an_image_are_those_of_the_image(
    host: str, debian: Path, world: World
) -> None:
    source = f'source = {{ image = "{host}/debian:12" }}\n'
    text = f"[certs]\n{source}[zoneinfo]\n{source}"
    made, listener = build(text, "certs", world)
    assert listener.ran == ["Fetch", "Stage"]
    bundle = members(made, world)[BUNDLE]

    def blocks(pem: bytes) -> set[bytes]:
        parts = pem.split(b"-----BEGIN CERTIFICATE-----\n")
        return {each.partition(b"-----END")[0] for each in parts}

    assert blocks(bundle) == blocks((debian / BUNDLE).read_bytes())
    assert made.facts["versions"] == {f"image:{host}/debian:12": "12"}
    zones, _ = build(text, "zoneinfo", world)
    files = members(zones, world)
    paris = "usr/share/zoneinfo/Europe/Paris"
    assert files[paris] == (debian / paris).read_bytes()
    assert "America/New_York" in zones.facts["zones"]
    again, listener = build(text, "zoneinfo", world)
    assert (again, listener.ran) == (zones, [])


def test_a_file_of_the_workspace_and_a_genrule_s_output_will_do(world: World) -> None:
    folder = Path(world.root, "certs")
    folder.mkdir()
    (folder / "roots.pem").write_bytes(certificate("a") + b"# a comment\n" + certificate("b"))
    made, _ = build('[certs]\nsource = "//certs:roots.pem"\n', "certs", world)
    assert members(made, world)[BUNDLE] == certificate("a") + certificate("b")
    (folder / "roots.pem").write_bytes(certificate("c"))
    world.files.forget_scan()
    moved, listener = build('[certs]\nsource = "//certs:roots.pem"\n', "certs", world)
    assert listener.ran == ["Stage"]
    assert members(moved, world)[BUNDLE] == certificate("c")


def test_garbage_between_certificates_is_refused_with_its_line(world: World) -> None:
    folder = Path(world.root, "certs")
    folder.mkdir()
    lines = len(certificate("a").splitlines())
    for data, what in (
        (certificate("a") + b"<html>\n" + certificate("b"),
         f"//certs:roots.pem: line {lines + 1}: text between "
         "certificates (wanted a PEM block, got '<html>')\n    hint: keep only -----BEGIN "
         "CERTIFICATE----- blocks and lines that start with #"),
        (b"-----BEGIN CERTIFICATE-----\nMAAB\n-----END CERTIFICATE-----\n",
         "//certs:roots.pem: certificate 1: is no whole DER sequence"),
    ):  # fmt: skip
        (folder / "roots.pem").write_bytes(data)
        world.files.forget_scan()
        assert refusal('[certs]\nsource = "//certs:roots.pem"\n', "certs", world) == what


def test_required_roots_are_found_by_name_subject_and_fingerprint(
    host: str, debian: Path, world: World
) -> None:
    x1 = (debian / "usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt").read_bytes()
    root = x509.load_pem_x509_certificate(x1)
    from cryptography.hazmat.primitives.hashes import SHA256

    fingerprint = root.fingerprint(SHA256()).hex(":").upper()
    source = f'source = {{ image = "{host}/debian:12" }}\n'
    good = f'["ISRG Root X1", "{root.subject.rfc4514_string()}", "sha256:{fingerprint}"]'
    build(f"[certs]\n{source}require = {good}\n", "certs", world)
    bad = f'["ISRG Root X1", "ISRG Root X9", "sha256:{"0" * 64}"]'
    assert refusal(f"[certs]\n{source}require = {bad}\n", "certs", world) == (
        f"certs.require: not among the roots of image:{host}/debian:12: 'ISRG Root X9', "
        f"'sha256:{'0' * 64}'\n    hint: take another source, add them as certs.extra, or require "
        "them no longer"
    )


def test_an_image_without_zones_says_so(host: str, world: World) -> None:
    source = f'source = {{ image = "{host}/debian:12", path = "/etc" }}'
    assert refusal(f"[zoneinfo]\n{source}\n", "zoneinfo", world) == (
        f"image:{host}/debian:12: has no zone UTC\n    hint: is this the folder of a tzdata?"
    )


def test_services_that_want_the_same_share_one_fetch_and_one_layer() -> None:
    text = '[certs]\nsource = "machine"\n[zoneinfo]\nsource = "machine"\n'
    graph = graph_of(text)
    assert [task for task in graph.tasks if task.startswith("fetch:")] == [
        "fetch:" + action.label.name for action in graph.actions.values() if action.op == "fetch"
    ]
    certs = next(task for name, task in graph.tasks.items() if name.startswith("layer:certs"))
    assert certs.deps == tuple(name for name in graph.tasks if name.startswith("fetch:roots-"))
    assert graph_of(text).actions.keys() == graph.actions.keys()


def test_what_a_genrule_makes_will_do_as_well(world: World) -> None:
    folder = Path(world.root, "certs")
    folder.mkdir()
    (folder / "a.pem").write_bytes(certificate("a"))
    rule = Genrule(
        label=Label("certs", "made"), cmd=("cp", "a.pem", "{out}/roots.pem"), srcs=("a.pem",),
        outs=("roots.pem",),
    )  # fmt: skip
    made, listener = build('[certs]\nsource = "//certs:made"\n', "certs", world, (rule,))
    assert listener.ran == ["Genrule", "Stage"]
    assert members(made, world)[BUNDLE] == certificate("a")
