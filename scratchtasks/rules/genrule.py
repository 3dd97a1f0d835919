"""genrule: a rule of the user's own, cached like ours (Bazel's name for it)."""

from collections.abc import Callable

from scratchtasks.core.action import Action
from scratchtasks.core.digest import Json
from scratchtasks.core.target import Genrule

from .binary import Source


def genrule(target: Genrule, source: Callable[[str], Source]) -> Action:
    """The action that runs *target*'s command; a label among its srcs may be another genrule.

    Its other srcs are globs relative to its folder, whose own name is no pattern.
    """
    deps: dict[str, str] = {}
    srcs: list[str] = []
    files: list[str] = []
    made: list[Json] = []
    for number, text in enumerate(target.srcs):
        found = source(text)
        if found.action:
            deps[f"src:{number}"] = found.action
            made.append({"dep": f"src:{number}", "output": found.output})
        elif text.startswith("//"):
            files.append(found.path)
        else:
            srcs.append(text)
    return Action(
        label=target.label,
        mnemonic="Genrule",
        op="genrule",
        params={
            "folder": target.label.package,
            "cmd": list(target.cmd),
            "srcs": srcs,
            "files": files,
            "made": made,
            "outs": list(target.outs),
            "env": dict(target.env),
        },
        deps=deps,
    )
