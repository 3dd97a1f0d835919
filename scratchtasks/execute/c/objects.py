"""Each source compiled by an action of its own, so that an edit compiles what it reaches.

They are known only once the globs of `srcs` have matched, so the binary's action has an engine
for them: keys, what was read, and what changed meanwhile are as those of any action.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from scratchtasks.core.action import Action, Input
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.errors import ActionFailed
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.label import Label

from ..engine import Engine, Nobody
from ..operation import Done, Job, Outcome, World, each_beside, empty_folder
from ..process import Finished
from ..rust.depinfo import parse_c_deps
from ..zig import uncached
from .compiler import Compiler, compiler_of, is_cxx
from .flags import HEADER_FOLDERS, Flags, parse_search, read_flags, text_of
from .inputs import Reads
from .mentions import Texts

_MEDIA_TYPE = "application/vnd.scratchtasks.object"


class NotCompiled(ActionFailed):
    """The compiler refused a source; it has said why."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The *paths* of objects, in the order of their sources, and the *inputs* of them all."""

    paths: tuple[str, ...]
    inputs: frozenset[Input]


def compile_all(job: Job, world: World, sources: Sequence[str], folder: str) -> Objects:
    """Compile those *sources* of the binary *job* whose objects are not in the cache; all are
    in the absolute *folder* then, as links to the store.

    Raises: ActionFailed with the names of those that did not compile; ScratchError.
    """
    actions = [_action(job.action, source) for source in sources]
    names = [action.name for action in actions]
    by_name = dict(zip(names, actions, strict=True))
    engine = Engine(world, by_name, {"c_object": CObject()}, Nobody())
    engine.run(names)
    failed: list[str] = []
    paths: list[str] = []
    inputs: set[Input] = set()
    for number, (name, source) in enumerate(zip(names, sources, strict=True)):
        try:
            blob = engine.build(name).outputs["object"]
        except NotCompiled:
            failed.append(source)
            continue
        paths.append(f"{folder}/{number}.o")
        os.symlink(world.store.path(blob.digest), paths[-1])
        inputs.update(engine.verdict(name).record)
    if failed:
        raise ActionFailed(str(job.action.label), f"{', '.join(failed)} did not compile")
    return Objects(tuple(paths), frozenset(inputs))


def _action(binary: Action, source: str) -> Action:
    """What compiles *source* of *binary*; how it is linked is none of its business."""
    params = {key: binary.params[key] for key in ("folder", "cflags", "cc", "cxx")}
    # A source's path may have any signs, and leave the folder.
    name = f"{binary.label.name}#{key_of(source)[:16]}"
    return Action(
        label=Label(binary.label.package, name),
        mnemonic="CObject",
        op="c_object",
        params={**params, "ldflags": [], "source": source},
        platform=binary.platform,
    )


class CObject:
    """Operation `c_object`: the objects of sources, which are all of one binary.

    params: `folder`, `source` (relative to it), `cflags`, `ldflags` (none), `cc`, `cxx`.
    outputs: `object`.
    """

    version = 2  # CBuild's key has no part of it: raise that one, too

    def identity(self, job: Job, world: World) -> Json:
        compiler = compiler_of(job, world, [str(job.action.params["source"])])
        return {"compiler": compiler.identity, "epoch": world.epoch}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        params: Mapping[str, Any] = job.action.params
        return Reads(world.root, params["folder"], str(job.action.label), ()).file(params["source"])

    def batch_key(self, job: Job, world: World) -> str:
        return "c_object"

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        shared = _Shared()
        return each_beside(jobs, lambda job: _compile(job, world, shared))


@dataclass(frozen=True, slots=True)
class _Shared:
    """What sources of one binary that are compiled side by side have in common: the texts of
    headers, and the folders that are searched for them, in C and in C++."""

    texts: Texts = field(default_factory=Texts)
    searched: dict[bool, list[str]] = field(default_factory=dict)


def _compile(job: Job, world: World, shared: _Shared) -> Done:
    params: Mapping[str, Any] = job.action.params
    source, kind = params["source"], is_cxx(params["source"])
    compiler = compiler_of(job, world, [source])
    with empty_folder(world) as out:
        unit = _Unit(job, world, compiler, out)
        made = unit.compile()
        if kind not in shared.searched:  # two threads may ask twice
            shared.searched[kind] = unit.searched()
        own = own_folders(world, compiler, out)
        reads = Reads(world.root, params["folder"], str(job.action.label), own, shared.texts)
        inputs = reads.compiled(unit.read(), shared.searched[kind], unit.flags)
        blob = world.store.take_file(made, _MEDIA_TYPE)
    return Done(outputs={"object": blob}, inputs=tuple(inputs))


@dataclass(frozen=True, slots=True)
class _Unit:
    """One source on its way; *out* is a folder of its own for the object and its dep file."""

    job: Job
    world: World
    compiler: Compiler
    out: str

    def compile(self) -> str:
        """The path of the object.  Raises: NotCompiled."""
        made = f"{self.out}/0.o"
        argv = [
            *self._compiler,
            "-O2",
            # The first makes debug information and __FILE__ the same in every checkout, the
            # second the names that gcc makes up.
            f"-ffile-prefix-map={self.world.root}=/workspace",
            f"-frandom-seed={self._source}",
            *_fixed_timestamp(self.world.epoch),
            *self._cflags,
            *([uncached()] if self.compiler.home else []),
            *("-c", self._source, "-o", made),
        ]
        if self._has_dep_file:
            argv += ["-MD", "-MT", "object", "-MF", f"{self.out}/0.d"]
        if self._start(argv).code or not os.path.isfile(made):
            raise NotCompiled(self._source, "did not compile")
        return made

    def read(self) -> list[str]:
        """The source, and every file that its dep file names."""
        names = {self._source: None}
        if self._has_dep_file:
            with open(f"{self.out}/0.d", encoding="utf-8", errors="surrogateescape") as file:
                names |= dict.fromkeys(parse_c_deps(file.read()))
        return list(names)

    def searched(self) -> list[str]:
        """The folders searched for headers: those that the compiler tells of, after those named by
        flags that are not among them."""
        argv = [
            *self._compiler,
            *("-x", "c++" if is_cxx(self._source) else "c", *self._cflags, "-E", "-v", os.devnull),
            *("-MD", "-MF", f"{self.out}/search.d", "-o", f"{self.out}/search.i"),
        ]
        searched, others = parse_search(text_of(self._start(argv, is_shown=False).stderr))
        named = self.flags.folders(HEADER_FOLDERS)
        return [*({*named, *others} - {*searched}), *searched]

    @property
    def flags(self) -> Flags:
        return read_flags(self._cflags, self._folder)

    def _start(self, argv: Sequence[str], is_shown: bool = True) -> Finished:
        return self.world.processes.run(
            argv, cwd=self._folder, env=self.compiler.env, show_stderr=is_shown
        )

    @property
    def _compiler(self) -> tuple[str, ...]:
        return self.compiler.cxx if is_cxx(self._source) else self.compiler.cc

    @property
    def _has_dep_file(self) -> bool:
        return not self._source.endswith(".s")  # which is not preprocessed

    @property
    def _source(self) -> str:
        return str(self.job.action.params["source"])

    @property
    def _cflags(self) -> list[str]:
        params: Mapping[str, Any] = self.job.action.params
        return list(params["cflags"])

    @property
    def _folder(self) -> str:
        return os.path.join(self.world.root, str(self.job.action.params["folder"]))


def own_folders(world: World, compiler: Compiler, out: str) -> tuple[str, ...]:
    """What is no input: *out*, what *compiler* keeps, and what came with it."""
    home = (compiler.home,) if compiler.home else ()
    return (out, os.path.join(world.scratch, "zig"), *home)


def _fixed_timestamp(epoch: int) -> tuple[str, str]:
    """Makes `__TIMESTAMP__` the time of the build, as SOURCE_DATE_EPOCH does for `__DATE__`: gcc
    takes the source's own, which differs in every checkout."""
    said = time.asctime(time.gmtime(epoch))
    return "-Wno-builtin-macro-redefined", f'-D__TIMESTAMP__="{said}"'
