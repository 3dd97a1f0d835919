"""A C compiler for crates that compile C, so that none fails for want of a musl gcc."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import field

from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ToolchainMissing
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.platform import Platform

from ..operation import World
from ..toolchains import find_program
from ..zig import find_zig, zig_env, zig_flags
from .toolchain import Target, cc_identity
from .wrappers import c_script, script


@dataclass(frozen=True, slots=True, kw_only=True)
class CTools:
    """*programs* are argv by the names of the crate `cc`: `CC`, `CXX`, `AR`."""

    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identity: Json = None
    env: Mapping[str, str] = field(default_factory=dict)
    is_zig: bool = False


def find_c_tools(world: World, target: Target, platform: Platform, need: str, where: str) -> CTools:
    """The tools for *target*; *need* is `yes`, `maybe` or "", as `c_need` says.

    Raises: ToolchainMissing when C has to be compiled and nothing can.
    """
    if not need:
        return CTools()
    if not target.is_musl:
        folder, name = os.path.split(target.cc)
        name = "c++" if name == "cc" else name.removesuffix("cc") + "++"
        cxx = find_program(os.path.join(folder, name), world)
        programs = {"CC": (target.cc,), **({"CXX": (cxx,)} if cxx else {})}
        identity = [target.identity, cc_identity(cxx, world) if cxx else None]
        return CTools(programs=programs, identity=identity)
    try:
        zig = find_zig(world, where)
    except ToolchainMissing:
        return _musl_gcc(world, target, platform, need, where)
    flags = zig_flags(platform)
    return CTools(
        programs={
            "CC": (zig.path, "cc", *flags),
            "CXX": (zig.path, "c++", *flags),
            "AR": (zig.path, "ar"),
        },
        identity=[zig.identity, *flags],
        env=zig_env(world),
        is_zig=True,
    )


def _musl_gcc(world: World, target: Target, platform: Platform, need: str, where: str) -> CTools:
    architecture = target.triple.partition("-")[0]
    gcc = find_program(f"{architecture}-linux-musl-gcc", world)
    if gcc is not None:
        return CTools(programs={"CC": (gcc,)}, identity=cc_identity(gcc, world))
    if need == "maybe":
        return CTools()
    raise ToolchainMissing(
        where,
        f"one of its crates compiles C, and there is no C compiler for {platform}",
        f"pip install 'scratchtasks[zig]', or install {architecture}-linux-musl-gcc (musl-tools)",
    )


def c_variables(world: World, target: Target, tools: CTools) -> dict[str, str]:
    """The environment that makes the crate `cc` use *tools*, by way of scripts."""
    suffix = target.triple.replace("-", "_")
    variables = dict(tools.env)
    for name, argv in tools.programs.items():
        kind = f"{name.lower()}-{target.triple}"
        path = (
            script(world, kind, f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
            if name == "AR"
            else c_script(world, kind, argv)
        )
        variables[f"{name}_{suffix}"] = path
    return variables
