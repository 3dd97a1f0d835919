"""GoBuild: one `go build` for all stale programs that share a module, platform and flags."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json, canonical_json
from scratchtasks.core.errors import ActionFailed, ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all
from scratchtasks.core.platform import Platform

from ..operation import Done, Job, Outcome, World, empty_folder
from .environment import fit_to_show, go_env
from .index import WITHOUT, may_lie
from .library import look_at_packages
from .toolchain import find_go

_FLAGS = ("-trimpath", "-buildvcs=false", "-pgo=auto")
_LDFLAGS = ("-s", "-w")


class GoBuild:
    """Operation `go_build`: the static binary of what `go_list` found.

    params: `folder`, `package`, `tags`, `ldflags` (list, templates filled in), `name`.
    deps: `list`, the go_list of the same program.  outputs: `binary`.
    """

    version: int = 1

    def identity(self, job: Job, world: World) -> Json:
        """The toolchain and what we always pass.  Raises: ToolchainMissing."""
        go, platform = find_go(world), job.action.platform
        assert platform is not None
        look_at_packages(_facts(job)["standard"], go, platform.architecture, world)
        return {"go": go.identity, "flags": [*_FLAGS, *_LDFLAGS]}

    def inputs(self, job: Job, world: World) -> tuple[Input, ...]:
        """The local files of the program's closure."""
        return tuple(Input(*item) for item in job.deps["list"].facts["inputs"])

    def batch_key(self, job: Job, world: World) -> str:
        """One go command: same folder, go.work, platform, tags and ldflags."""
        call = _call_of(job)
        parts = [call.root, call.work, call.mod, str(call.platform), call.tags, call.ldflags]
        return canonical_json(parts).decode("utf-8", "surrogateescape")

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        """Build *jobs*, which share a batch key; one go command, unless two file names clash."""
        outcomes: dict[str, Outcome] = {}
        for group in _without_clashes(jobs):
            try:
                outcomes.update(_run_group(group, world))
            except ScratchError as error:
                outcomes.update(dict.fromkeys((job.action.name for job in group), error))
        return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What the go commands of a batch have in common."""

    root: str
    work: str
    mod: str
    platform: Platform
    tags: str
    ldflags: str


def _call_of(job: Job) -> _Call:
    facts, params, platform = _facts(job), job.action.params, job.action.platform
    assert platform is not None
    tags, ldflags = params["tags"], params["ldflags"]
    assert isinstance(tags, Sequence)
    assert isinstance(ldflags, Sequence)
    return _Call(
        root=facts["root"],
        work=facts["work"],
        mod=facts["mod"],
        platform=platform,
        tags=",".join(map(str, tags)),
        ldflags=" ".join([*_LDFLAGS, *map(str, ldflags)]),
    )


def _facts(job: Job) -> Mapping[str, Any]:
    return job.deps["list"].facts


def _without_clashes(jobs: Sequence[Job]) -> list[list[Job]]:
    """*jobs* in groups in which no two different packages give a file of one name.

    `go build -o folder/` would silently keep one of the two.
    """
    groups: list[tuple[dict[str, str], list[Job]]] = []
    for job in jobs:
        name, package = _facts(job)["exec_name"], _facts(job)["package_arg"]
        for names, group in groups:
            if names.setdefault(name, package) == package:
                group.append(job)
                break
        else:
            groups.append(({name: package}, [job]))
    return [group for _, group in groups]


def _run_group(jobs: Sequence[Job], world: World) -> dict[str, Outcome]:
    call = _call_of(jobs[0])
    packages = {_facts(job)["exec_name"]: _facts(job)["package_arg"] for job in jobs}
    sources = {path for job in jobs for _, path, _ in _facts(job)["inputs"]}
    env = WITHOUT if may_lie(os.path.join(world.root, os.path.dirname(p)) for p in sources) else {}
    with empty_folder(world) as folder:
        _build(call, packages, folder, env, world)
        return _ship_all(jobs, call.platform, folder, world)


def _build(
    call: _Call, packages: Mapping[str, str], folder: str, env: Mapping[str, str], world: World
) -> None:
    """Build *packages* (argument by file name) into *folder*; those that fail leave no file."""
    messages = [_go_build(call, tuple(packages.values()), folder, env, world)]
    if len(packages) > 1 and not _built(packages, folder):
        # An error found while loading, not compiling, keeps Go from building the others.
        alone = [_go_build(call, (package,), folder, env, world) for package in packages.values()]
        if _built(packages, folder):
            messages = alone
    for message in dict.fromkeys(messages):
        world.processes.show(fit_to_show(message, world))


def _go_build(
    call: _Call, packages: Sequence[str], folder: str, given: Mapping[str, str], world: World
) -> bytes:
    """Run `go build`; returns what it said on stderr.  Raises: ActionFailed if it was killed."""
    cwd = os.path.normpath(os.path.join(world.root, call.root))
    work = call.work if call.work == "off" else os.path.join(world.root, call.work)
    env = {**go_env(world, call.platform, call.mod, work, cwd), **given}
    # In one file system Go moves a finished binary to its place, so that none is ever cut off.
    env["GOTMPDIR"] = folder
    flags = [*_FLAGS, f"-tags={call.tags}", f"-ldflags={call.ldflags}", f"-o={folder}/out/"]
    argv = [find_go(world).path, "build", *flags, *packages]
    done = world.processes.run(argv, cwd=cwd, env=env, show_stderr=False)
    if done.code < 0:
        world.processes.show(fit_to_show(done.stderr, world))
        raise ActionFailed("go build", f"was ended by signal {-done.code}", "is memory short?")
    return done.stderr


def _built(names: Iterable[str], folder: str) -> bool:
    return any(os.path.isfile(f"{folder}/out/{name}") for name in names)


def _ship_all(
    jobs: Sequence[Job], platform: Platform, folder: str, world: World
) -> dict[str, Outcome]:
    """Ship what *jobs* wanted, several programs at a time: most of it is hashing."""
    programs: dict[str, list[Job]] = {}
    for job in jobs:
        programs.setdefault(_facts(job)["exec_name"], []).append(job)

    def ship_one(wanted: list[Job]) -> dict[str, Outcome]:
        # Several may want one program: the last of them takes it away.
        return {
            job.action.name: _ship(job, platform, folder, world, moves=job is wanted[-1])
            for job in wanted
        }

    return {
        name: outcome
        for shipped in map_all(ship_one, list(programs.values()))
        for name, outcome in shipped.items()
    }


def _ship(job: Job, platform: Platform, folder: str, world: World, *, moves: bool) -> Outcome:
    from ..elf import ship

    label, name = str(job.action.label), _facts(job)["exec_name"]
    if not _built([name], folder):
        return ActionFailed(label, f"go build failed ({platform})", "see the compiler's message")
    try:
        binary = ship(f"{folder}/out/{name}", platform, label, world.store, moves=moves)
    except ScratchError as error:
        return error
    return Done(outputs={"binary": binary})
