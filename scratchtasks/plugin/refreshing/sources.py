"""Sources other than wheels: what each gives now, asked as a first build asks."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from scratchtasks.config.lockfile import toolchain_bytes
from scratchtasks.core.action import Action
from scratchtasks.core.errors import ConfigError, ConfigErrors, ScratchError
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import packaged_toolchains
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.policy import Policy, choose
from scratchtasks.refresh.proposal import Move


def used_pins(session: Session) -> frozenset[str]:
    """Names of the pins that the workspace's images are made from, and of its toolchains."""
    actions = session.graph.actions.values()
    used = {name for action in actions for name in pins_of(action)}
    return frozenset({*used, *toolchains(session)})


def toolchains(session: Session) -> list[str]:
    """The projects on PyPI that the compilers in use are from."""
    ops = {action.op for action in session.graph.actions.values()}
    return packaged_toolchains(ops, session.world)


def source_moves(
    session: Session, policy: Policy, locked: Mapping[str, Pin]
) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """Moves of images, Debian packages and the machine's own files; notes for people.

    Raises: ConfigErrors with every source that cannot be asked.
    """
    from scratchtasks.execute.sources.resolve import resolve_pin

    moves: list[Move] = []
    notes: list[str] = []
    faults: list[ConfigError] = []
    for name, action in _fetches(session).items():
        old = locked.get(name)
        if old is not None and policy.rule(name) == "pinned":
            continue
        try:
            new, note = resolve_pin(action, session.world)
        except ScratchError as error:
            faults.append(ConfigError(error.where, error.what, error.hint))
            continue
        notes += [note] * bool(note)
        if old is None or (old.version, old.sha256) != (new.version, new.sha256):
            moves.append(Move(old, new, "" if old is None else "what the source gives now"))
    if faults:
        raise ConfigErrors(tuple(faults))
    return tuple(moves), tuple(notes)


def _fetches(session: Session) -> dict[str, Action]:
    """One fetch action for each pin of another source than a wheel."""
    return {name: action for action, name in _fetched(session)}


def _fetched(session: Session) -> Iterator[tuple[Action, str]]:
    for action in session.graph.actions.values():
        if action.op == "fetch":
            for name in pins_of(action):
                yield action, name


def toolchain_moves(
    session: Session,
    policy: Policy,
    locked: Mapping[str, Pin],
    releases: Mapping[str, tuple[Release, ...]],
    now: float,
) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """Moves of compilers that are from PyPI; notes say what to install.

    One that `[refresh]` does not name stays: at its pin, or at what is installed when it is first
    pinned.  Raises: ConfigError as `choose`.
    """
    moves: list[Move] = []
    notes: list[str] = []
    for project in toolchains(session):
        if policy.rule(project) == "pinned" and project in locked:
            continue
        have, old = installed(project), locked.get(project)
        version, why = have if old is None else old.version, ""
        if policy.names(project):
            current = old or Pin(name=project, version=have, sha256="", size=1, kind="toolchain")
            choice = choose(current, releases[project], policy, now)
            notes += [choice.why] * (choice.release is None and bool(choice.why))
            if choice.release is not None:
                version, why = choice.release.version, choice.why
        if old is None or version != old.version:
            new = _toolchain_pin(project, version, releases[project])
            moves.append(Move(old, new, why))
        if version != have:
            notes.append(f"{project} {have} is installed: pip install '{project}=={version}'")
    return tuple(moves), tuple(notes)


def _toolchain_pin(project: str, version: str, releases: Sequence[Release]) -> Pin:
    wheels = [release for release in releases if release.version == version]
    if not wheels:
        raise ConfigError(f"{project} {version}", "is not in the index")
    data = toolchain_bytes({release.filename: release.sha256 for release in wheels})
    return Pin(
        name=project,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind="toolchain",
        date=max(release.date for release in wheels),
    )


def installed(project: str) -> str:
    """The version of *project* in this interpreter's environment."""
    from importlib.metadata import version

    return version(project)
