"""Essentials: the layers an image shares with all others that ask for the same."""

from collections.abc import Callable

from scratchtasks.core.action import Action
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.label import Label
from scratchtasks.core.target import Service

from .binary import Source

_ETC = ("accounts", "hosts", "nsswitch", "tmp", "services", "os-release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an essential is made from when that is no wheel: *name* is the source's, for people."""

    name: str
    source: Source


def essential_layers(
    service: Service,
    path_of: Callable[[str], str],
    roots: Given | None = None,
    zones: Given | None = None,
) -> dict[str, Action]:
    """The layers of *service* by kind, most stable first: zoneinfo, certs, etc.

    Equal wishes give equal actions, so that two services share one.  *path_of* turns a path or
    label of the service into a path below the root.  *roots* and *zones* stand in for the wheels.
    """
    wanted = service.image.essentials
    layers: dict[str, dict[str, Json]] = {}
    if "zoneinfo" in wanted:
        layers["zoneinfo"] = {"zones": sorted(set(service.zones)), **_given_params(zones)}
    if "certs" in wanted:
        layers["certs"] = {
            "public": service.certs.public,
            "extra": sorted({path_of(item) for item in service.certs.extra}),
            **({"require": sorted(set(service.certs.require))} if service.certs.require else {}),
            **_given_params(roots),
        }
    if any(item in wanted for item in _ETC):
        user = service.image.user
        layers["etc"] = {
            "accounts": {"name": user.name, "uid": user.uid, "gid": user.gid}
            if "accounts" in wanted
            else None,
            "hosts": dict(sorted(service.hosts.items())) if "hosts" in wanted else None,
            "nsswitch": "nsswitch" in wanted,
            "tmp": "tmp" in wanted,
            "services": "services" in wanted,
            "os_release": "os-release" in wanted,
        }
    given = {"zoneinfo": zones, "certs": roots}
    return {kind: _layer(kind, params, given.get(kind)) for kind, params in layers.items()}


def _given_params(given: Given | None) -> dict[str, Json]:
    if given is None:
        return {}
    place: dict[str, Json] = (
        {"action": given.source.action, "output": given.source.output}
        if given.source.action
        else {"path": given.source.path}
    )
    return {"source": {"name": given.name, **place}}


def _layer(kind: str, params: dict[str, Json], given: Given | None) -> Action:
    # Long enough that no two of a workspace share it: one image would get the other's layer.
    name = f"{kind}-{key_of(params)[:12]}"
    return Action(
        label=Label("", name),
        mnemonic="Stage",
        op="essentials",
        params={"kind": kind, **params},
        deps={"source": given.source.action} if given and given.source.action else {},
    )
