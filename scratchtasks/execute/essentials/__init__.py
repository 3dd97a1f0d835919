"""Essentials: what a program needs to live in an empty root file system, as shared layers.

One operation for three kinds of layer (`certs`, `zoneinfo`, `etc`); content is made in memory
from pinned wheels and parameters, by one module per essential.
"""

import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from scratchtasks.core.action import Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Json, canonical_json, digest_of
from scratchtasks.core.errors import StageError
from scratchtasks.core.target import Pin, User

from ..inside import check_inside, service_folders
from ..layers import tar_identity, tar_layer
from ..operation import Done, Job, Outcome, World, each_alone
from ..pins import pin_of, pinned_wheel
from ..sources.pinned import pins_of
from ..sources.tree import unpack_files
from .accounts import accounts_tree, users_of
from .certs import bundle_of, certs_tree, check_certificates, check_required, expiry_of
from .etc_files import hosts_file, nsswitch_file, os_release_file, services_file, tmp_folders
from .made import Made
from .pem import read_pem
from .tree import TREE_MEDIA_TYPE
from .wheels import MAX_ROOTS, MAX_ZONES, roots_in, zones_in
from .zoneinfo import zoneinfo_tree

__all__ = ["TREE_MEDIA_TYPE", "Essentials"]


class Essentials:
    """Operation `essentials`: makes one layer; *clock* gives seconds since 1970.

    Outputs: `layer` (its tar: hundreds of small files are handier in one) and `tree`
    (TREE_MEDIA_TYPE).  Facts: `layer` (PlainLayer.to_json), `versions` of the pins used, `zones`
    (sorted ids, zoneinfo only), `users` (name → [uid, gid], etc only), `expires` (when the first
    private CA does, in seconds since 1970; only with private CAs).
    """

    version = 3

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def identity(self, job: Job, world: World) -> Json:
        """The pins used, the form of tars, and which private CAs have expired by now.

        Raises: StageError without a pin.
        """
        return {
            "pins": [[pin.name, pin.version, pin.sha256] for pin in _pins(job, world)],
            "tar": tar_identity(world),
            "expired": [path for path in _extra_of(job) if self._has_expired(path, world)],
        }

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        """The private CAs' PEM files, and that of the public roots if it is the user's own."""
        path = _source_of(job).get("path")
        return [Input("file", each) for each in [*_extra_of(job), *([path] if path else [])]]

    def batch_key(self, job: Job, world: World) -> str:
        """Each runs alone."""
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        """Make each layer."""
        return each_alone(jobs, lambda job: self._run(job, world))

    def _run(self, job: Job, world: World) -> Done:
        params: Mapping[str, Any] = job.action.params
        kind = params["kind"]
        facts: dict[str, Any] = {"versions": _versions(job, world)}
        if kind == "certs":
            path = _source_of(job).get("path")
            for each in [*_extra_of(job), *([path] if path else [])]:
                check_inside(each, "certs", service_folders(each, world), world)
            extras = {path: read_pem(path, world.root) for path in _extra_of(job)}
            made = self._certs(extras, job, world)
            if extras:
                facts["expires"] = int(min(map(expiry_of, extras.values(), extras)))
        elif kind == "zoneinfo":
            made, facts["zones"] = _zoneinfo(job, world)
        else:
            made, facts["users"] = _etc(params)
        return _layer(made, kind, facts, world)

    def _has_expired(self, path: str, world: World) -> bool:
        try:
            data = read_pem(path, world.root)
            # Parsed once for each content: what parses it takes long to import.
            key: Json = ["not after", digest_of(data)]
            expiry = world.files.probes.ask(key, lambda: repr(expiry_of(data, path)))
        except StageError:
            return False  # running tells what is wrong with it
        return float(expiry) < self._clock()

    def _certs(self, extras: Mapping[str, bytes], job: Job, world: World) -> list[Made]:
        public, origin = self._public(job, world)
        sources = " and ".join([origin, *extras] if origin else extras)
        tree = certs_tree(public, extras, self._clock(), sources)
        required: Any = job.action.params.get("require", ())
        check_required(required, bundle_of(tree), sources)
        return tree

    def _public(self, job: Job, world: World) -> tuple[bytes, str]:
        """The public roots as PEM, b"" for none, and where they are from."""
        for pin in _pins(job, world):
            wheel = pinned_wheel(pin.name, world)
            origin = f"{pin.name} {pin.version}"
            return roots_in(wheel), origin
        source = _source_of(job)
        if not source:
            return b"", ""
        if "path" in source:
            public = read_pem(source["path"], world.root)
        else:
            public = world.store.read(_given(job, MAX_ROOTS, source["name"]).digest)
        check_certificates(public, source["name"])
        return public, source["name"]


def _zoneinfo(job: Job, world: World) -> tuple[list[Made], list[str]]:
    params: Mapping[str, Any] = job.action.params
    source = _source_of(job)
    if source:
        with world.store.open(_given(job, 2 * MAX_ZONES, source["name"]).digest) as tree:
            files = unpack_files(tree, 2 * MAX_ZONES, source["name"])
        return zoneinfo_tree(files, params["zones"], source["name"])
    pin = pin_of("tzdata", world)
    files = zones_in(pinned_wheel("tzdata", world))
    return zoneinfo_tree(files, params["zones"], f"tzdata {pin.version}")


def _given(job: Job, limit: int, name: str) -> Descriptor:
    """What the source of the layer has given, at most *limit* bytes."""
    output = _source_of(job)["output"]
    blob = job.deps["source"].outputs[output]
    if blob.size > limit:
        raise StageError(name, f"has {blob.size} bytes (at most {limit})")
    return blob


def _versions(job: Job, world: World) -> dict[str, str]:
    """What is inside, by the names of pins, as far as it has a version."""
    versions = {pin.name: pin.version for pin in _pins(job, world)}
    source = _source_of(job)
    if source and "source" in job.deps and "version" in job.deps["source"].facts:
        versions[source["name"]] = str(job.deps["source"].facts["version"])
    return versions


def _source_of(job: Job) -> Mapping[str, str]:
    """Where the layer's content is from when not from a wheel: `rules/essentials.py` writes it."""
    return cast(Mapping[str, str], job.action.params.get("source", {}))


def _etc(params: Mapping[str, Any]) -> tuple[list[Made], dict[str, list[int]]]:
    made: list[Made] = []
    users: dict[str, list[int]] = {}
    if params["accounts"] is not None:
        user = User(**params["accounts"])
        users = {name: list(ids) for name, ids in users_of(user).items()}
        made += accounts_tree(user)
    if params["hosts"] is not None:
        made.append(hosts_file(params["hosts"]))
    if params["nsswitch"]:
        made.append(nsswitch_file())
    if params["services"]:
        made.append(services_file())
    if params["os_release"]:
        made.append(os_release_file())
    if params["tmp"]:
        made += tmp_folders()
    return made, users


def _layer(made: list[Made], kind: str, facts: dict[str, Any], world: World) -> Done:
    contents = {entry.digest: data for entry, data in made}
    entries = sorted((entry for entry, _ in made), key=lambda entry: entry.path)
    layer = tar_layer(world, entries, kind, lambda digest: io.BytesIO(contents[digest]))
    tree = canonical_json([entry.to_json() for entry in entries])
    outputs = {"layer": layer.source, "tree": world.store.put_bytes(tree, TREE_MEDIA_TYPE)}
    return Done(outputs=outputs, facts={**facts, "layer": layer.to_json()})


def _pins(job: Job, world: World) -> list[Pin]:
    return [pin_of(name, world) for name in pins_of(job.action)]


def _extra_of(job: Job) -> list[str]:
    extra: Any = job.action.params.get("extra", ())
    return sorted(set(extra))
