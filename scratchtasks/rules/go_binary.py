"""go_binary: `go list` tells what the binary is made of, one `go build` makes many of them."""

from scratchtasks.core.action import Action
from scratchtasks.core.target import GoBinary

from .binary import Actions, Request


def go_binary(target: GoBinary, request: Request) -> Actions:
    """The closure probe and the compilation of *target*."""
    closure = Action(
        label=request.probe_label("list"),
        mnemonic="GoList",
        op="go_list",
        is_probe=True,
        params={
            "folder": request.service.folder,
            "package": target.package,
            "tags": list(target.tags),
        },
        platform=request.platform,
    )
    compiled = Action(
        label=request.label,
        mnemonic="GoCompile",
        op="go_build",
        params={
            **closure.params,
            "name": target.name,
            "ldflags": [request.expand(flag) for flag in target.ldflags],
        },
        platform=request.platform,
        deps={"list": closure.name},
    )
    return closure, compiled
