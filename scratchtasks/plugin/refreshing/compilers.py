"""Compilers from PyPI: which are asked about, and what their pins become."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from scratchtasks.config.lockfile import toolchain_bytes
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import PROJECTS, packaged_toolchains
from scratchtasks.execute.packaged import wheel_for_host
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.policy import Policy, choose, has_rested
from scratchtasks.refresh.proposal import Move


def compilers_of(session: Session) -> dict[str, Pin]:
    """The pins of compilers by project: those in scratch.lock, and those that would be pinned for
    the workspace's binaries as they are installed, with a version only."""
    from importlib.metadata import PackageNotFoundError, version

    locked = session.declared.locked
    pins = session.declared.pins
    found = {name: pins[name] for name in PROJECTS if name in pins}
    session.world.files.forget_scan()
    actions = session.graph.actions
    # A pin of another version must not hide what is installed.
    world = replace(session.world, pins={})
    for project in packaged_toolchains(actions, actions, world):
        if project not in locked:
            try:
                installed = version(project)
            except PackageNotFoundError:
                continue  # that of another environment: nothing is known of it here
            found[project] = Pin(
                name=project, version=installed, sha256="", size=0, kind="toolchain"
            )
    return found


def compiler_moves(
    pins: Mapping[str, Pin],
    locked: Collection[str],
    releases: Mapping[str, Sequence[Release]],
    policy: Policy,
    now: float,
) -> tuple[list[Move], list[str]]:
    """What becomes of *pins*, those of compilers, of which *locked* are in scratch.lock; and notes
    of what waits, or is in no index.

    A pin names all wheels of its version; a version without one for this machine is none.

    Raises: ConfigError as `choose`.
    """
    moves: list[Move] = []
    notes: list[str] = []
    for project, pin in pins.items():
        fit = _for_host(releases[project])
        if not fit:
            what = "is in no index for this machine: left as it is"
            if project not in locked:
                what = "is installed, and in no index for this machine: not pinned"
            notes.append(f"{project} {pin.version} {what}")
            continue
        # In the policy it has the name that people give it.
        choice = choose(replace(pin, name=PROJECTS[project]), fit, policy, now)
        version = choice.release.version if choice.release else pin.version
        of_it = [each for each in fit if each.version == version]
        if not of_it:
            notes.append(f"{project} {version} is installed, and in no index: not pinned")
            continue
        notes += [choice.why] * bool(choice.why and not choice.release)
        if version == pin.version and pin.wheels:
            # Files that come later, to a release that was trusted, have a cooldown of their own.
            of_it = [each for each in of_it if has_rested(each, policy, now)]
        wheels = {each.filename: each.sha256 for each in of_it}
        if version == pin.version:
            wheels = {**pin.wheels, **wheels}
        new = _pin(project, version, wheels, fit)
        if project not in locked:
            more = f"; {pin.version} is installed, {choice.why}" if choice.release else ""
            moves.append(Move(None, new, f"was not in scratch.lock{more}"))
        elif new.sha256 != pin.sha256 or not pin.wheels:
            why = "its wheels are listed" if not pin.wheels else "more wheels of the same version"
            moves.append(Move(pin, new, choice.why if choice.release else why))
    return moves, notes


def _for_host(releases: Sequence[Release]) -> list[Release]:
    """All wheels of those versions that have one for this machine."""
    names: dict[str, list[str]] = {}
    for release in releases:
        names.setdefault(release.version, []).append(release.filename)
    fit = {version for version, files in names.items() if wheel_for_host(files)}
    return [release for release in releases if release.version in fit]


def _pin(project: str, version: str, wheels: Mapping[str, str], fit: Sequence[Release]) -> Pin:
    data = toolchain_bytes(wheels)
    dates = [each.date for each in fit if each.version == version and each.date]
    return Pin(
        name=project,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind="toolchain",
        date=min(dates, default=""),
        wheels=wheels,
    )
