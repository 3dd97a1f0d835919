"""c_binary: C, C++ and assembly, each source compiled on its own, then linked statically.

Reading order: CBuild, `_compiler_of` (which compiler), `_Build` (compile and link one binary).
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, ConfigError, ScratchError, ToolchainMissing
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all

from .elf import ship
from .globs import match
from .operation import Done, Job, Outcome, World
from .rust.depinfo import input_path, parse_c_deps
from .toolchains import ask_tool, find_program, is_file, tool_digests
from .zig import find_zig, uncached, zig_env, zig_target

_CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".C", ".c++")
_HEADERS = ".h|.hh|.hpp|.hxx|.inc|.inl|.ipp|.tcc|.def"
_INCBIN = re.compile(rb'\.incbin\b(?:\s*\\?"([^"\\\n]+))?')
_SEARCH_FLAGS = ("-I", "-iquote", "-isystem", "-idirafter", "-L")


class CBuild:
    """Compiles and links one binary.

    params: `folder`, `srcs` (globs relative to it), `cflags`, `ldflags`, `cc`, `cxx` (empty
    both: zig), `name`.
    """

    version = 1

    def identity(self, job: Job, world: World) -> Json:
        return {"compiler": _compiler_of(job, world).identity, "epoch": world.epoch}

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
        return _Build(job, world, _compiler_of(job, world), sources, out).run()
    except ScratchError as error:
        return error
    finally:
        shutil.rmtree(out, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiler:
    """*cc* and *cxx* start a compiler's argv; *home* is the folder of its own headers."""

    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    env: Mapping[str, str]
    identity: Json
    home: str = ""

    def of(self, source: str) -> tuple[str, ...]:
        return self.cxx if source.endswith(_CXX_SUFFIXES) else self.cc


def _compiler_of(job: Job, world: World) -> _Compiler:
    """The user's own compilers if any are named, else zig.  Raises: ScratchError."""
    label, params = str(job.action.label), job.action.params
    env = {name: world.env[name] for name in ("PATH", "HOME", "TMPDIR") if name in world.env}
    env |= {"LC_ALL": "C", "SOURCE_DATE_EPOCH": str(world.epoch)}
    if params["cc"] or params["cxx"]:
        return _own_compiler(job, world, env)
    assert job.action.platform is not None
    zig = find_zig(world, label)
    target = ("-target", zig_target(job.action.platform))
    return _Compiler(
        cc=(zig.path, "cc", *target),
        cxx=(zig.path, "c++", *target),
        env={**env, **zig_env(world)},
        identity=zig.identity,
        home=os.path.dirname(os.path.realpath(zig.path)),
    )


def _own_compiler(job: Job, world: World, env: Mapping[str, str]) -> _Compiler:
    label, params = str(job.action.label), job.action.params
    kinds = {source.endswith(_CXX_SUFFIXES) for source in _sources(job, world)[0]}
    argvs: list[tuple[str, ...]] = []
    identity: list[Json] = []
    for key, is_needed in (("cc", False in kinds), ("cxx", True in kinds)):
        name = str(params[key])
        if not name:
            if is_needed:
                what = "C++" if key == "cxx" else "C"
                other = "cc" if key == "cxx" else "cxx"
                raise ConfigError(
                    label,
                    f"{other} names a compiler of your own, but {key} does not",
                    f"there are {what} sources: name {key} too, or leave both to zig",
                )
            argvs.append(())
            continue
        if "/" in name:
            path = os.path.join(world.root, str(params["folder"]), name)
        else:
            path = find_program(name, world) or ""
        if not (path and is_file(path, world) and os.access(path, os.X_OK)):
            hint = f"install {name}, or leave {key} out to use zig"
            raise ToolchainMissing(label, f"{key} {name!r} was not found", hint)
        digest = tool_digests([path], world)[0]
        version = ask_tool([path, "--version"], env, digest, world)
        argvs.append((path,))
        identity.append([key, name, digest, version])
    return _Compiler(cc=argvs[0], cxx=argvs[1], env=env, identity=identity)


def _sources(job: Job, world: World) -> tuple[list[str], tuple[Input, ...]]:
    """The sources relative to the service's folder, sorted, and why it is those."""
    params: Mapping[str, Any] = job.action.params
    found = match(world.root, params["folder"], params["srcs"], str(job.action.label))
    folder = params["folder"] or "."
    return [os.path.relpath(path, folder) for path in found.paths], found.inputs


@dataclass(frozen=True, slots=True)
class _Build:
    """One binary on its way; *out* is a folder of its own for objects and dep files."""

    job: Job
    world: World
    compiler: _Compiler
    sources: Sequence[str]
    out: str

    def run(self) -> Done:
        """Raises: ActionFailed, NotStatic."""
        codes = map_all(self._compile, range(len(self.sources)))
        failed = [name for name, code in zip(self.sources, codes, strict=True) if code]
        if failed:
            raise ActionFailed(self._label, f"{', '.join(failed)} did not compile")
        binary = os.path.join(self.out, "binary")
        linked = self._link(binary)
        assert self.job.action.platform is not None
        blob = ship(binary, self.job.action.platform, self._label, self.world.store, moves=True)
        return Done(outputs={"binary": blob}, inputs=tuple(sorted({*self._read(), *linked})))

    def _compile(self, number: int) -> int:
        source = self.sources[number]
        argv = [
            *self.compiler.of(source),
            "-O2",
            # The first makes debug information and __FILE__ the same in every checkout, the
            # second the names that gcc makes up.
            f"-ffile-prefix-map={self.world.root}=/workspace",
            f"-frandom-seed={source}",
            *self._flags("cflags"),
            *([uncached()] if self.compiler.home else []),
            *("-c", source, "-o", f"{self.out}/{number}.o"),
            *("-MD", "-MT", "object", "-MF", f"{self.out}/{number}.d"),
        ]
        return self._start(argv)[0]

    def _link(self, binary: str) -> Iterator[Input]:
        """Link all objects to the file *binary* and return what else went into it."""
        is_cxx = any(source.endswith(_CXX_SUFFIXES) for source in self.sources)
        objects = [f"{self.out}/{number}.o" for number in range(len(self.sources))]
        argv = [
            *(self.compiler.cxx if is_cxx else self.compiler.cc),
            # zig builds its libc for the link's level: without one, for debugging, and a small
            # program that looks up hosts has 318 KB, not 74.
            *("-O2", "-static", "-s", "-o", binary, *objects, *self._flags("ldflags")),
        ]
        # A system's libc.a changes with its packages; the one in zig is part of zig's identity.
        code, stdout = self._start([*argv, *([] if self.compiler.home else ["-Wl,--trace"])])
        if code:
            raise ActionFailed(self._label, f"linking {self.job.action.params['name']} failed")
        return self._linked(stdout.decode("utf-8", "surrogateescape"))

    def _linked(self, trace: str) -> Iterator[Input]:
        for line in trace.splitlines():
            path = line.strip().strip("()").partition("(")[0]
            if path.startswith("/") and os.path.isfile(path) and not self._is_ours(path):
                yield self._input("file", path)
        flags = self._flags("ldflags")
        folders = list(_search_folders(flags))
        for flag in flags:
            if not flag.startswith("-"):
                yield self._input("file", flag)
            elif flag.startswith("-l"):
                yield from (self._input("file", f"{place}/lib{flag[2:]}.a") for place in folders)

    def _read(self) -> Iterator[Input]:
        """Every file that a dep file names, and the listings that a new header would change."""
        folders = {os.path.dirname(source) or "." for source in self.sources}
        folders |= set(_search_folders(self._flags("cflags")))
        incbins: set[str] = set()
        for number in range(len(self.sources)):
            with open(f"{self.out}/{number}.d", encoding="utf-8", errors="surrogateescape") as file:
                names = parse_c_deps(file.read())
            for name in names:
                if not self._is_ours(name):
                    yield self._input("file", name)
                    incbins.update(_incbins(os.path.join(self._folder, name)))
                    if not os.path.isabs(name):
                        folders.add(os.path.dirname(name) or ".")
        for folder in folders:
            yield self._input("names", folder, _HEADERS)
        if incbins:
            yield from self._below()
        for place in (".", *_search_folders(self._flags("cflags"))):
            yield from (self._input("file", os.path.join(place, name)) for name in incbins if name)

    def _below(self) -> Iterator[Input]:
        """All that is in the service's folder: `.incbin` shows in no dep file, and its name may
        be put together by macros."""
        folder = str(self.job.action.params["folder"])
        yield from match(self.world.root, folder, ["**"], self._label).inputs

    def _is_ours(self, path: str) -> bool:
        """Whether *path* came with the compiler, or was made by this very build."""
        places = (self.out, self.compiler.home, os.path.join(self.world.scratch, "zig"))
        return path.startswith(tuple(f"{place}/" for place in places if place))

    def _input(self, kind: Any, path: str, pattern: str = "") -> Input:
        return Input(kind, input_path(os.path.join(self._folder, path), self.world.root), pattern)

    def _start(self, argv: Sequence[str]) -> tuple[int, bytes]:
        done = self.world.processes.run(argv, cwd=self._folder, env=self.compiler.env)
        return done.code, done.stdout

    def _flags(self, key: str) -> list[str]:
        params: Mapping[str, Any] = self.job.action.params
        return list(params[key])

    @property
    def _folder(self) -> str:
        return os.path.join(self.world.root, str(self.job.action.params["folder"]))

    @property
    def _label(self) -> str:
        return str(self.job.action.label)


def _incbins(path: str) -> list[str]:
    """The names that the source or header *path* gives to `.incbin`; "" where one is made up."""
    with open(path, "rb") as file:
        return [os.fsdecode(name) for name in _INCBIN.findall(file.read())]


def _search_folders(flags: Sequence[str]) -> Iterator[str]:
    """The folders that *flags* add to a search path: `-Iinclude`, `-isystem` `vendor`, …"""
    rest = iter(flags)
    for flag in rest:
        for start in _SEARCH_FLAGS:
            if flag == start:
                yield next(rest, ".")
            elif flag.startswith(start):
                yield flag.removeprefix(start)
            else:
                continue
            break
