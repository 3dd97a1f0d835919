"""Which compiler makes a binary: zig's, or the user's own, with all that those are made of."""

import os
from collections.abc import Iterable, Mapping

from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ConfigError, ToolchainMissing
from scratchtasks.core.frozen import dataclass

from ..cc_tools import helper_programs
from ..operation import Job, World
from ..toolchains import ask_tool, find_program, is_file, tool_digests
from ..zig import find_zig, zig_env, zig_flags
from .flags import read_flags

_CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".C", ".c++")
_SUFFIXES = (*_CXX_SUFFIXES, ".c", ".s", ".S", ".sx", ".i", ".ii", ".cp", ".CPP", ".m", ".mm")
"""Of others, compilers make no object, or a precompiled header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """*cc* and *cxx* start a compiler's argv; *home* is the folder of its own headers.

    *env* has none of the variables that add to what is searched, such as CPATH.
    """

    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    env: Mapping[str, str]
    identity: Json
    home: str = ""


def is_cxx(source: str) -> bool:
    """Whether *source* is C++."""
    return source.endswith(_CXX_SUFFIXES)


def is_source(path: str) -> bool:
    """Whether compilers make an object of *path* by its name alone."""
    return path.endswith(_SUFFIXES)


def compiler_of(job: Job, world: World, sources: Iterable[str]) -> Compiler:
    """The user's own compilers if any are named, else zig.  Raises: ScratchError."""
    label, params = str(job.action.label), job.action.params
    env = {name: world.env[name] for name in ("PATH", "HOME", "TMPDIR") if name in world.env}
    env |= {"LC_ALL": "C", "SOURCE_DATE_EPOCH": str(world.epoch)}
    if params["cc"] or params["cxx"]:
        return _own_compiler(job, world, env, sources)
    assert job.action.platform is not None
    zig = find_zig(world, label)
    flags = zig_flags(job.action.platform)
    return Compiler(
        cc=(zig.path, "cc", *flags),
        cxx=(zig.path, "c++", *flags),
        env={**env, **zig_env(world)},
        identity=[zig.identity, *flags],
        home=os.path.dirname(os.path.realpath(zig.path)),
    )


def _own_compiler(
    job: Job, world: World, env: Mapping[str, str], sources: Iterable[str]
) -> Compiler:
    label, params = str(job.action.label), job.action.params
    folder = os.path.join(world.root, str(params["folder"]))
    kinds = {is_cxx(source) for source in sources}
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
        path = os.path.join(folder, name) if "/" in name else find_program(name, world) or ""
        if not (path and is_file(path, world) and os.access(path, os.X_OK)):
            hint = f"install {name}, or leave {key} out to use zig"
            raise ToolchainMissing(label, f"{key} {name!r} was not found", hint)
        version = ask_tool([path, "--version"], env, tool_digests([path], world)[0], world)
        flags = read_flags([*_texts(params["cflags"]), *_texts(params["ldflags"])], folder)
        argvs.append((path,))
        identity.append([key, name, version, helper_programs(path, world, flags.words, folder)])
    return Compiler(cc=argvs[0], cxx=argvs[1], env=env, identity=identity)


def _texts(value: Json) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]
