"""GoBuild: one `go build` for all stale programs that share a module, platform and flags."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json, canonical_json
from scratchtasks.core.errors import ActionFailed, ScratchError
from scratchtasks.core.parallel import map_all
from scratchtasks.core.platform import Platform

from ..operation import Done, Job, Outcome, World, empty_folder
from ..process import Finished
from .command import FLAGS, LDFLAGS, Call, Command, call_of, command_of, index_env
from .environment import fit_to_show
from .library import look_at_packages
from .toolchain import find_go


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
        return {"go": go.identity, "flags": [*FLAGS, *LDFLAGS]}

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


def _call_of(job: Job) -> Call:
    assert job.action.platform is not None
    return call_of(_facts(job), job.action.params, job.action.platform)


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
    given = index_env({path for job in jobs for _, path, _ in _facts(job)["inputs"]}, world.root)

    def command(folder: str, *names: str) -> Command:
        go = find_go(world).path
        return command_of(call, names, folder, go=go, given=given, root=world.root, env=world.env)

    ahead = world.ahead
    if ahead is not None:
        done = ahead.finish(command(ahead.folder, *packages.values()))
        if done is not None:
            world.processes.show(fit_to_show(_said(done, world), world))
            return _ship_all(jobs, call.platform, ahead.folder, world)
    with empty_folder(world) as folder:
        _build(packages, folder, partial(command, folder), world)
        return _ship_all(jobs, call.platform, folder, world)


def _build(
    packages: Mapping[str, str], folder: str, command: Callable[..., Command], world: World
) -> None:
    """Build *packages* (argument by file name) into *folder*; those that fail leave no file."""
    messages = [_go_build(command(*packages.values()), world)]
    if len(packages) > 1 and not _built(packages, folder):
        # An error found while loading, not compiling, keeps Go from building the others.
        alone = [_go_build(command(package), world) for package in packages.values()]
        if _built(packages, folder):
            messages = alone
    for message in dict.fromkeys(messages):
        world.processes.show(fit_to_show(message, world))


def _go_build(command: Command, world: World) -> bytes:
    """Run *command*; returns what it said on stderr.  Raises: ActionFailed if it was killed."""
    argv, cwd, env = command
    return _said(world.processes.run(argv, cwd=cwd, env=env, show_stderr=False), world)


def _said(done: Finished, world: World) -> bytes:
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
