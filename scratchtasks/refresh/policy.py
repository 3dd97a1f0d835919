"""Which release a pin is to move to: the user's policy against what upstream has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError, count_of
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Pin

from .index import Release

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """*rules* are texts by pin name: `latest`, `pinned`, a version, or a range (`>=2025`).

    A release younger than *cooldown_days* is not taken; certificates that end within *warn_days*
    are told of.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    cooldown_days: int = 0
    warn_days: int = 30

    def rule(self, name: str) -> str:
        """The rule for the pin *name*, by default `latest`."""
        return self.rules.get(name, "latest")


@dataclass(frozen=True, slots=True)
class Choice:
    """*release* is what to move to, None to stay; *why* is in words for people, "" without news."""

    release: Release | None
    why: str = ""


def policy_of(table: Mapping[str, str | int]) -> Policy:
    """The policy in `[refresh]` of the workspace file, which `config/` has checked already."""
    return Policy(
        rules={name: value for name, value in table.items() if isinstance(value, str)},
        cooldown_days=int(table.get("cooldown_days", 0)),
        warn_days=int(table.get("warn_days", 30)),
    )


def choose(pin: Pin, releases: Sequence[Release], policy: Policy, now: float) -> Choice:
    """The newest of *releases* that *policy* lets *pin* move to; *now* is seconds since 1970.

    Pre-releases count only if the policy names one.  A pin never moves to an older release,
    unless its own was withdrawn (yanked) or its policy no longer allows it.

    Raises: ConfigError when nothing upstream satisfies the policy, when upstream's hash of the
    pinned file is not the pin's, or without upload times where a cooldown needs them.
    """
    from packaging.version import InvalidVersion, Version

    current = _version_of(pin)
    rule = policy.rule(pin.name)
    if rule == "pinned":
        return Choice(None)
    _check_same(pin, releases)
    specifiers = _specifiers(rule)
    fit: dict[Version, Release] = {}
    for release in releases:
        try:
            version = Version(release.version)
        except InvalidVersion:
            continue  # pytz-style dates and other relics
        if _allows(specifiers, version) and (release.is_universal or pin.kind != "pypi"):
            # Of several wheels the last counts: a release is as young as its youngest file.
            known = fit.get(version)
            if known is None or (known.uploaded or 0) < (release.uploaded or 0):
                fit[version] = release
    own = [each for each in releases if each.version == pin.version]
    withdrawn = next((each for each in own if each.yanked), None)
    sound = {version: each for version, each in fit.items() if not each.yanked}
    if not sound:
        what = f"no release of {pin.name} satisfies {rule!r}"
        raise ConfigError(f"refresh.{pin.name}", what, _newest_hint(fit, releases))
    rested = {version: each for version, each in sound.items() if has_rested(each, policy, now)}
    best = max(rested, default=None)
    newest = max(sound)
    is_bound = withdrawn is not None or not specifiers.contains(current, prereleases=True)
    gone = f"{pin.version} was withdrawn ({withdrawn.yanked})" if withdrawn is not None else ""
    if best is None or best == current or (best < current and not is_bound):
        waits = _waiting(sound[newest], policy, now) if gone or newest > current else ""
        told = "; ".join(filter(None, (gone, waits)))
        return Choice(None, f"{pin.name} {told}" if told else "")
    why = f"the newest that {rule!r} allows" if rule != "latest" else "the newest release"
    if gone:
        why = gone
    elif best < current:
        why = f"{rule!r} does not allow {pin.version}"
    if newest > best:
        why += f"; {_waiting(sound[newest], policy, now)}"
    return Choice(rested[best], why)


def allows(rule: str, version: str) -> bool:
    """Whether *rule* of `[refresh]` allows *version*; `latest` and `pinned` allow any."""
    from packaging.version import InvalidVersion, Version

    if rule in ("latest", "pinned"):
        return True
    try:
        return _allows(_specifiers(rule), Version(version))
    except InvalidVersion:
        return False


def _specifiers(rule: str) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    if rule == "latest":
        return SpecifierSet()
    clauses = [clause.strip() for clause in rule.split(",")]
    return SpecifierSet(",".join(f"=={it}" if it[0].isdigit() else it for it in clauses))


def _version_of(pin: Pin) -> Version:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(pin.version)
    except InvalidVersion:
        where = f"scratch.lock: pins.{pin.name}.version"
        raise ConfigError(where, f"wanted a version (PEP 440), got {pin.version!a}") from None


def _allows(specifiers: SpecifierSet, version: Version) -> bool:
    """Whether *version* is among *specifiers*, which have to name pre-releases to get one."""
    if version.is_prerelease and not specifiers.prereleases:
        return False
    return specifiers.contains(version, prereleases=True)


def _check_same(pin: Pin, releases: Sequence[Release]) -> None:
    """Notice a lock that was edited, or a file that was replaced upstream."""
    ours = pin.wheels or {pin.filename: pin.sha256}
    for release in releases:
        sha256 = ours.get(release.filename, release.sha256)
        if release.sha256 != sha256:
            raise ConfigError(
                f"{pin.name} {pin.version}",
                f"digest mismatch: scratch.lock says sha256:{sha256}, "
                f"the index says sha256:{release.sha256}",
                "was scratch.lock edited by hand?",
            )


def has_rested(release: Release, policy: Policy, now: float) -> bool:
    """Whether *release* is older than *policy*'s cooldown at *now*.

    Raises: ConfigError where that cannot be told.
    """
    if not policy.cooldown_days:
        return True
    if release.uploaded is None:
        raise ConfigError(
            "refresh.cooldown_days",
            f"the index does not say when {release.filename} was uploaded",
            "use an index that does (PEP 700), or set cooldown_days = 0",
        )
    return now - release.uploaded >= policy.cooldown_days * _DAY


def _waiting(release: Release, policy: Policy, now: float) -> str:
    age = max(0, int((now - (release.uploaded or now)) // _DAY))
    old = count_of(age, "day")
    return f"{release.version} is {old} old and waits until day {policy.cooldown_days}"


def _newest_hint(fit: Mapping[Version, Release], releases: Sequence[Release]) -> str:
    if fit:
        return "all that would do were withdrawn"
    return f"the index has {len(releases)} files of it" if releases else "the index has none"
