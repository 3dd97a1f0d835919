"""c_binary: C and C++ sources, linked by one action, which knows the actions that compile them."""

from scratchtasks.core.action import Action
from scratchtasks.core.target import CBinary

from .binary import Actions, Request


def c_binary(target: CBinary, request: Request) -> Actions:
    """The compilation of *target*."""
    return (
        Action(
            label=request.label,
            mnemonic="CCompile",
            op="c_build",
            params={
                "folder": request.service.folder,
                "srcs": list(target.srcs),
                "cflags": [request.expand(flag) for flag in target.cflags],
                "ldflags": [request.expand(flag) for flag in target.ldflags],
                "cc": target.cc,
                "cxx": target.cxx,
                "name": target.name,
            },
            platform=request.platform,
        ),
    )
