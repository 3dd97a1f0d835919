"""Run a command of the user's own and keep the files it writes."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.errors import ActionFailed, StageError, ToolchainMissing

from .globs import match
from .operation import Done, Job, Outcome, World, each_alone, empty_folder
from .staging import plain_mode
from .toolchains import find_program, is_file, tool_digests

_MEDIA_TYPE = "application/octet-stream"


class Genrule:
    """op `genrule`: cmd in the rule's folder; `{out}` is a fresh folder for its files.

    Fact `modes`: 0755 or 0644 for each output, by name, for blobs have none.
    """

    version = 5

    def identity(self, job: Job, world: World) -> Json:
        """The bytes of the program, so that a new generator means new files."""
        return {"program": tool_digests([_program(job, world)], world)[0]}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        """The files that cmd names itself, such as a script after `python3` or after `--in=`."""
        params: Mapping[str, Any] = job.action.params
        words = [part for word in params["cmd"][1:] for part in (word, word.partition("=")[2])]
        for word in filter(None, words):
            path = os.path.normpath(os.path.join(world.root, params["folder"], word))
            if is_file(path, world):
                inside = path.startswith(os.path.join(world.root, ""))
                yield from _read(os.path.relpath(path, world.root) if inside else path)

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _run(job, world))


def _program(job: Job, world: World) -> str:
    params: Mapping[str, Any] = job.action.params
    name: str = params["cmd"][0]
    if "/" in name:
        return os.path.join(world.root, params["folder"], name)
    path = find_program(name, world)
    if path is None:
        raise ToolchainMissing(str(job.action.label), f"program {name!r} is not on PATH")
    return path


def _run(job: Job, world: World) -> Done:
    params: Mapping[str, Any] = job.action.params
    where = str(job.action.label)
    matches = match(world.root, params["folder"], params["srcs"], where)
    files: list[str] = params["files"]
    for name in files:
        if not os.path.isfile(os.path.join(world.root, name)):
            hint = "a label of what a genrule makes wants that rule in Workspace(rules=[…])"
            raise StageError(where, f"there is no file {name!r}", hint)
    paths = sorted({*matches.paths, *files})
    inputs = (*matches.inputs, *(item for path in paths for item in _read(path)))
    folder = os.path.join(world.root, params["folder"])
    with empty_folder(world) as out, _made_by_others(job, world, folder) as made:
        names = [os.path.relpath(os.path.join(world.root, path), folder) for path in paths]
        # No file is to be taken for a flag by its name.
        srcs = [*(f"./{name}" if name.startswith("-") else name for name in names), *made]
        argv = [_program(job, world), *_expanded(params["cmd"][1:], out, srcs)]
        env = {"PATH": world.env.get("PATH", os.defpath), **params["env"]}
        program = params["cmd"][0]
        try:
            finished = world.processes.run(argv, cwd=folder, env=env)
        except (ActionFailed, ToolchainMissing) as error:  # of many rules, it is this one's
            raise type(error)(where, f"{program} {error.what}", error.hint) from None
        if finished.code != 0:
            raise ActionFailed(where, f"{program} exited with {finished.code}")
        return _kept(where, params["outs"], out, inputs, world)


@contextmanager
def _made_by_others(job: Job, world: World, folder: str) -> Iterator[list[str]]:
    """What other rules made, by the names that those gave it, relative to *folder*; gone after
    the block.

    The rule alone says where: some programs write down what their sources are called.
    """
    import shutil

    wanted: Any = job.action.params["made"]
    place = os.path.join(world.scratch, "tmp", key_of(str(job.action.label))[:16])
    paths = [os.path.join(place, str(n), made["output"]) for n, made in enumerate(wanted)]
    try:
        for path, made in zip(paths, wanted, strict=True):
            world.store.link(job.deps[made["dep"]].outputs[made["output"]], path)
        start = os.path.realpath(folder)  # where `..` leads from
        yield [os.path.relpath(os.path.realpath(path), start) for path in paths]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _read(path: str) -> tuple[Input, Input]:
    """What counts of a file that cmd may copy: what it makes is executable where that was."""
    return Input("file", path), Input("mode", path)


def _expanded(cmd: Sequence[str], out: str, srcs: Sequence[str]) -> list[str]:
    argv: list[str] = []
    for word in cmd:
        if word == "{srcs}":
            argv += srcs
        else:
            argv.append(word.replace("{out}", out))
    return argv


def _kept(
    where: str, outs: Sequence[str], folder: str, inputs: tuple[Input, ...], world: World
) -> Done:
    kept: dict[str, Descriptor] = {}
    modes: dict[str, Json] = {}
    for name in outs:
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            raise ActionFailed(where, f"it did not write {name!r}", "write it into {out}")
        if os.path.islink(path) or not os.path.isfile(path):
            hint = "copy what a link leads to; name each file of a folder in outs"
            raise ActionFailed(where, f"what it wrote as {name!r} is no file", hint)
        modes[name] = plain_mode(os.stat(path).st_mode)
        kept[name] = world.store.put_file(path, _MEDIA_TYPE)
    return Done(outputs=kept, facts={"modes": modes}, inputs=inputs, is_free=True)
