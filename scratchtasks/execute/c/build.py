"""Compile and link one binary: CBuild, then `_Build`."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, ConfigError, ScratchError, StageError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all

from ..elf import ship
from ..globs import match
from ..operation import Done, Job, Outcome, World
from ..process import Finished
from ..rust.depinfo import parse_c_deps
from ..zig import uncached, zig_at_work
from .compiler import Compiler, compiler_of, is_cxx, is_source
from .flags import HEADER_FOLDERS, parse_libraries, parse_search, parse_trace, read_flags
from .inputs import Reads

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

    version = 3

    def identity(self, job: Job, world: World) -> Json:
        compiler = compiler_of(job, world, _sources(job, world)[0])
        return {"compiler": compiler.identity, "epoch": world.epoch}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return _sources(job, world)[1]

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return {job.action.name: _outcome(job, world) for job in jobs}


def _outcome(job: Job, world: World) -> Outcome:
    folder = os.path.join(world.scratch, "tmp")
    os.makedirs(folder, exist_ok=True)
    out = tempfile.mkdtemp(dir=folder)
    try:
        sources = _sources(job, world)[0]
        compiler = compiler_of(job, world, sources)
        with zig_at_work(world) if compiler.home else nullcontext():
            return _Build(job, world, compiler, sources, out).run()
    except ScratchError as error:
        return error
    finally:
        shutil.rmtree(out, ignore_errors=True)


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
    folder = params["folder"] or "."
    return [os.path.relpath(path, folder) for path in found.paths], found.inputs


@dataclass(frozen=True, slots=True)
class _Build:
    """One binary on its way; *out* is a folder of its own for objects and dep files."""

    job: Job
    world: World
    compiler: Compiler
    sources: Sequence[str]
    out: str

    def run(self) -> Done:
        """Raises: ActionFailed, ConfigError, NotStatic."""
        self._check_flags()
        codes = map_all(self._compile, range(len(self.sources)))
        failed = [name for name, code in zip(self.sources, codes, strict=True) if code]
        if failed:
            raise ActionFailed(self._label, f"{', '.join(failed)} did not compile")
        binary = os.path.join(self.out, "binary")
        traced = self._link(binary)
        inputs = self._inputs(traced)
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

    def _compile(self, number: int) -> int:
        source = self.sources[number]
        argv = [
            *self._compiler_for(is_cxx(source)),
            "-O2",
            # The first makes debug information and __FILE__ the same in every checkout, the
            # second the names that gcc makes up.
            f"-ffile-prefix-map={self.world.root}=/workspace",
            f"-frandom-seed={source}",
            *_fixed_timestamp(self.world.epoch),
            *self._flags("cflags"),
            *([uncached()] if self.compiler.home else []),
            *("-c", source, "-o", f"{self.out}/{number}.o"),
        ]
        if not source.endswith(".s"):  # which is not preprocessed
            argv += ["-MD", "-MT", "object", "-MF", f"{self.out}/{number}.d"]
        return self._start(argv).code

    def _link(self, binary: str) -> list[str]:
        """Link all objects to the file *binary* and return what else the linker says it read."""
        objects = [f"{self.out}/{number}.o" for number in range(len(self.sources))]
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
        lines = parse_trace(_text(done.stdout))
        return [path for path in lines if os.path.isfile(os.path.join(self._folder, path))]

    def _inputs(self, traced: Sequence[str]) -> tuple[Input, ...]:
        home = self.compiler.home
        own = (self.out, os.path.join(self.world.scratch, "zig"), *([home] if home else []))
        folder = str(self.job.action.params["folder"])
        reads = Reads(self.world.root, folder, self._label, own)
        cflags = read_flags(self._flags("cflags"), self._folder)
        ldflags = read_flags(self._flags("ldflags"), self._folder)
        found = reads.compiled(self._read(), self._searches(cflags.folders(HEADER_FOLDERS)), cflags)
        return tuple(sorted(found | reads.linked(traced, self._library_folders(), ldflags)))

    def _read(self) -> list[str]:
        """The sources, and every file that a dep file names."""
        names = dict.fromkeys(self.sources)
        for number, source in enumerate(self.sources):
            if not source.endswith(".s"):
                path = f"{self.out}/{number}.d"
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    names |= dict.fromkeys(parse_c_deps(file.read()))
        return list(names)

    def _searches(self, named: Iterable[str]) -> Iterator[list[str]]:
        """The folders searched for headers, for C and for C++: those that a compiler tells of,
        after those *named* by flags that are not among them."""
        for kind in sorted({is_cxx(source) for source in self.sources}):
            argv = [
                *self._compiler_for(kind),
                *("-x", "c++" if kind else "c", *self._flags("cflags"), "-E", "-v", os.devnull),
                *("-MD", "-MF", f"{self.out}/search.d", "-o", f"{self.out}/search.i"),
            ]
            searched, others = parse_search(_text(self._start(argv, is_shown=False).stderr))
            yield [*({*named, *others} - {*searched}), *searched]

    def _library_folders(self) -> list[str]:
        """The folders that a compiler of the user's own searches for libraries and crt1.o."""
        if self.compiler.home:
            return []
        argv = [*self._compiler_for(self._has_cxx), *self._flags("ldflags"), "-print-search-dirs"]
        return parse_libraries(_text(self._start(argv, is_shown=False).stdout))

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


def _fixed_timestamp(epoch: int) -> tuple[str, str]:
    """Makes `__TIMESTAMP__` the time of the build, as SOURCE_DATE_EPOCH does for `__DATE__`: gcc
    takes the source's own, which differs in every checkout."""
    said = time.asctime(time.gmtime(epoch))
    return "-Wno-builtin-macro-redefined", f'-D__TIMESTAMP__="{said}"'


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
