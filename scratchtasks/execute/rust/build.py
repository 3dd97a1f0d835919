"""cargo_build: one cargo call for all stale binaries of a cargo workspace."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.errors import ActionFailed, ScratchError

from ..cc_tools import helper_programs
from ..elf import ship
from ..operation import Done, Job, Outcome, World
from ..toolchains import find_program, is_file
from ..zig import zig_at_work
from .cargo import CargoCall, Kit, Made
from .config import config_files, linkers, split_inputs
from .ctools import find_c_tools
from .depinfo import input_path
from .environment import cargo_home
from .metadata import crate_folder, feature_flags, package_inputs
from .sources import rivals
from .sysroot import compiler_digest
from .toolchain import find_rust, find_target
from .vendored import vendored_inputs

_SOURCE_NAMES = (".rs", "Cargo.toml")


class CargoBuild:
    """Compiles a Rust binary.

    params: those of `CargoMetadata`, `env` (templates filled in) and `name`.  deps: `metadata`,
    its answer, which is part of the key: versions and features of the whole closure.
    """

    version = 7

    def identity(self, job: Job, world: World) -> Json:
        kit = _kit(job, world)
        return {
            "rust": [kit.rust.identity, kit.digest],
            "triple": kit.target.triple,
            "linker": kit.target.identity,
            "linkers": _own_linkers(job, world),
            "c": kit.tools.identity,
            "epoch": world.epoch,
            "outside": _steering(job, world)[1],
        }

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        # The workspace's root manifest and Cargo.lock count by what of them is in the metadata.
        packages = (package_inputs(folder) for _, _, folder in _facts(job)["packages"])
        return (
            *_steering(job, world)[0],
            *(item for inputs in packages for item in inputs),
            *vendored_inputs(_facts(job)["vendored"], world),
        )

    def batch_key(self, job: Job, world: World) -> str:
        facts, params = _facts(job), job.action.params
        if facts["steered"] or params["features"] or not params["default_features"]:
            return ""
        kit = _kit(job, world)
        return key_of(facts["workspace"], kit.target.triple, kit.rust.sysroot, _env(job))

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for group in _groups(jobs):
            try:
                outcomes |= _run(group, world)
            except ScratchError as error:
                outcomes |= {job.action.name: error for job in group}
        return outcomes


def is_with_zig(job: Job, world: World) -> bool:
    """Whether zig compiles C of *job*'s crates.  Raises: ScratchError."""
    return _kit(job, world).tools.is_zig


def _facts(job: Job) -> Mapping[str, Any]:
    return job.deps["metadata"].facts


def _env(job: Job) -> dict[str, str]:
    env: Any = job.action.params["env"]
    return dict(env)


def _steering(job: Job, world: World) -> tuple[list[Input], list[Json]]:
    return split_inputs(config_files(crate_folder(job, world), cargo_home(world)), world)


def _own_linkers(job: Job, world: World) -> Json:
    """What cargo's configuration has link, be it for the host: the file says but its name."""
    files = config_files(crate_folder(job, world), cargo_home(world))
    found = world.files.once("\0".join(("linkers", *files)), lambda: linkers(files))
    programs = (path if os.path.isabs(path) else find_program(path, world) for path in found)
    return [helper_programs(path, world) for path in programs if path and is_file(path, world)]


def _kit(job: Job, world: World) -> Kit:
    where, platform = job.where, job.action.platform
    assert platform is not None
    rust = find_rust(world, crate_folder(job, world), where)
    target = find_target(world, rust, platform, where)
    tools = find_c_tools(world, target, platform, _facts(job)["c"], where)
    digest = compiler_digest(rust, target.triple, world)
    return Kit(rust=rust, digest=digest, target=target, tools=tools)


def _groups(jobs: Iterable[Job]) -> list[list[Job]]:
    """*jobs* in groups that one cargo call may build without changing any of the binaries."""
    groups: list[list[Job]] = []
    for job in jobs:
        for group in groups:
            if all(_go_together(job, other) for other in group):
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def _go_together(one: Job, other: Job) -> bool:
    """Whether cargo would build *one* and *other* together as it would each alone.

    It unites the features of shared packages, and `--bin` picks the name in every package.
    """
    first, second = _facts(one), _facts(other)
    if bool(first["c"]) != bool(second["c"]):
        return False
    if first["package"] == second["package"]:
        if first["bin"] == second["bin"] or first["version"] != second["version"]:
            return False
    elif first["bin"] in second["bins"] or second["bin"] in first["bins"]:
        return False
    mine, theirs = _features(first), _features(second)
    return all(mine[package] == theirs[package] for package in mine.keys() & theirs.keys())


def _features(facts: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, version, features in facts["features"]:
        found[name, version] = (*found.get((name, version), ()), features)
    return found


def _run(jobs: Sequence[Job], world: World) -> dict[str, Outcome]:
    crates = [_facts(job) for job in jobs]
    together = os.path.join(world.root, crates[0]["workspace"])
    cwd = crate_folder(jobs[0], world) if len(jobs) == 1 else together
    flags, env = feature_flags(jobs[0]), _env(jobs[0])
    kit = _kit(jobs[0], world)
    call = CargoCall(world, kit, crates, cwd, flags, env)
    with call.folder.locked(), zig_at_work(world) if kit.tools.is_zig else nullcontext():
        return {
            job.action.name: _outcome(job, made, world)
            for job, made in zip(jobs, call.run(), strict=True)
        }


def _outcome(job: Job, made: Made | None, world: World) -> Outcome:
    label, platform = job.where, job.action.platform
    assert platform is not None
    if made is None:
        return ActionFailed(label, "cargo build failed")
    try:
        blob = ship(made.executable, platform, label, world.store)
    except ScratchError as error:
        return error
    return Done(outputs={"binary": blob}, inputs=tuple(_read(made, world.root)))


def _read(made: Made, root: str) -> Iterator[Input]:
    yield from made.env
    for path in made.folders:
        yield Input("names", input_path(path, root), "*")
    looked: dict[str, set[str]] = {}
    names = [input_path(path, root) for path in made.files]
    for name in names:
        yield Input("file", name)
        if name.endswith(".rs"):
            looked.setdefault(os.path.dirname(name), set()).update(_SOURCE_NAMES)
    for rival in rivals(names):
        folder, last = os.path.split(rival)
        if not os.path.isdir(os.path.join(root, folder)):
            folder, last = os.path.split(folder)
        looked.setdefault(folder, set()).add(last)
    for folder, seen in looked.items():
        yield Input("names", folder, "|".join(sorted(seen)))
