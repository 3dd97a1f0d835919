"""Make one binary of its objects: CBuild, then `_Build`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, ConfigError, StageError
from scratchtasks.core.frozen import dataclass

from ..elf import ship
from ..globs import match
from ..operation import Done, Job, Outcome, World, each_alone, empty_folder
from ..process import Finished
from ..zig import zig_at_work
from .compiler import Compiler, compiler_of, is_cxx, is_source
from .flags import parse_libraries, parse_trace, read_flags, text_of
from .inputs import Reads
from .objects import compile_all, own_folders

_DEP_FILES = (
    "-M", "--dependencies", "--user-dependencies", "--write-dependencies",
    "--write-user-dependencies", "--print-missing-file-dependencies",
)  # fmt: skip
"""How flags for dep files start, gcc's long forms included; zig takes those, too."""


class CBuild:
    """Compiles and links one binary.

    params: `folder`, `srcs` (globs relative to it), `cflags`, `ldflags`, `cc`, `cxx` (empty
    both: zig), `name`.
    """

    version = 4

    def identity(self, job: Job, world: World) -> Json:
        compiler = compiler_of(job, world, _sources(job, world)[0])
        return {"compiler": compiler.identity, "epoch": world.epoch}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return _sources(job, world)[1]

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _run(job, world))


def _run(job: Job, world: World) -> Done:
    sources = _sources(job, world)[0]
    compiler = compiler_of(job, world, sources)
    cache = zig_at_work(world) if compiler.home else nullcontext()
    with empty_folder(world) as out, cache:
        return _Build(job, world, compiler, sources, out).run()


def _sources(job: Job, world: World) -> tuple[list[str], tuple[Input, ...]]:
    """The sources relative to the service's folder, sorted, and why it is those."""
    params: Mapping[str, Any] = job.action.params
    where = str(job.action.label)
    found = match(world.root, params["folder"], params["srcs"], where)
    is_told = any(flag.startswith("-x") for flag in params["cflags"])
    others = [path for path in found.paths if not is_told and not is_source(path)]
    if others:
        hint = "headers are found by #include; objects and libraries belong into ldflags"
        raise StageError(where, f"srcs: {others[0]!r} is no source of C, C++ or assembly", hint)
    names = [os.path.relpath(path, params["folder"] or ".") for path in found.paths]
    # Compilers take these signs for those of a flag and of a response file.
    return [f"./{name}" if name[0] in "-@" else name for name in names], found.inputs


@dataclass(frozen=True, slots=True)
class _Build:
    """One binary on its way; *out* is a folder of its own for its objects."""

    job: Job
    world: World
    compiler: Compiler
    sources: Sequence[str]
    out: str

    def run(self) -> Done:
        """Raises: ActionFailed, ConfigError, NotStatic."""
        self._check_flags()
        objects = compile_all(self.job, self.world, self.sources, self.out)
        binary = os.path.join(self.out, "binary")
        traced = self._link(objects.paths, binary)
        inputs = (*objects.inputs, *self._linked(traced))
        assert self.job.action.platform is not None
        blob = ship(binary, self.job.action.platform, self._label, self.world.store, moves=True)
        return Done(outputs={"binary": blob}, inputs=inputs)

    def _check_flags(self) -> None:
        """Of several flags for dep files the last may win, and leave out what is read."""
        for word in read_flags(self._flags("cflags"), self._folder).words:
            if word.startswith(_DEP_FILES) and not word.startswith("-Map"):
                raise ConfigError(
                    self._label,
                    f"cflags: a flag for dep files (wanted none, got {word!r})",
                    "leave it out: each source has its dep file, which decides what is compiled",
                )

    def _link(self, objects: Sequence[str], binary: str) -> list[str]:
        """Link *objects* to the file *binary* and return what else the linker says it read."""
        argv = [
            *self._compiler_for(self._has_cxx),
            # zig builds its libc for the link's level: without one, for debugging, and a small
            # program that looks up hosts has 318 KB, not 74.
            *("-O2", "-static", "-s", "-o", binary, *objects, *self._flags("ldflags")),
        ]
        # A system's libc.a changes with its packages; the one in zig is part of zig's identity.
        done = self._start([*argv, *([] if self.compiler.home else ["-Wl,--trace"])])
        if done.code:
            raise ActionFailed(self._label, f"linking {self.job.action.params['name']} failed")
        if not os.path.isfile(binary):
            hint = "leave `-o FILE`, and what only asks the linker, out of ldflags"
            raise ActionFailed(self._label, "what was linked is not where it should be", hint)
        lines = parse_trace(text_of(done.stdout))
        return [path for path in lines if os.path.isfile(os.path.join(self._folder, path))]

    def _linked(self, traced: Sequence[str]) -> set[Input]:
        own = own_folders(self.world, self.compiler, self.out)
        reads = Reads(self.world.root, str(self.job.action.params["folder"]), self._label, own)
        ldflags = read_flags(self._flags("ldflags"), self._folder)
        return reads.linked(traced, self._library_folders(), ldflags)

    def _library_folders(self) -> list[str]:
        """The folders that a compiler of the user's own searches for libraries and crt1.o."""
        if self.compiler.home:
            return []
        argv = [*self._compiler_for(self._has_cxx), *self._flags("ldflags"), "-print-search-dirs"]
        return parse_libraries(text_of(self._start(argv, is_shown=False).stdout))

    def _start(self, argv: Sequence[str], is_shown: bool = True) -> Finished:
        return self.world.processes.run(
            argv, cwd=self._folder, env=self.compiler.env, show_stderr=is_shown
        )

    def _compiler_for(self, is_cxx: bool) -> tuple[str, ...]:
        return self.compiler.cxx if is_cxx else self.compiler.cc

    def _flags(self, key: str) -> list[str]:
        params: Mapping[str, Any] = self.job.action.params
        return list(params[key])

    @property
    def _has_cxx(self) -> bool:
        return any(map(is_cxx, self.sources))

    @property
    def _folder(self) -> str:
        return os.path.join(self.world.root, str(self.job.action.params["folder"]))

    @property
    def _label(self) -> str:
        return str(self.job.action.label)
