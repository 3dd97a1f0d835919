"""Essentials: the layers an image shares with all others that ask for the same."""

from collections.abc import Callable

from scratchtasks.core.action import Action
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.label import Label
from scratchtasks.core.target import Service

_ETC = ("accounts", "hosts", "nsswitch", "tmp", "services", "os-release")


def essential_layers(service: Service, path_of: Callable[[str], str]) -> dict[str, Action]:
    """The layers of *service* by kind, most stable first: zoneinfo, certs, etc.

    Equal wishes give equal actions, so that two services share one.  *path_of* turns a path or
    label of the service into a path below the root.
    """
    wanted = service.image.essentials
    layers: dict[str, dict[str, Json]] = {}
    if "zoneinfo" in wanted:
        layers["zoneinfo"] = {"zones": sorted(set(service.zones))}
    if "certs" in wanted:
        layers["certs"] = {
            "public": service.certs.public,
            "extra": sorted({path_of(item) for item in service.certs.extra}),
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
    return {kind: _layer(kind, params) for kind, params in layers.items()}


def _layer(kind: str, params: dict[str, Json]) -> Action:
    name = f"{kind}-{key_of(params)[:8]}"
    return Action(
        label=Label("", name),
        mnemonic="Stage",
        op="essentials",
        params={"kind": kind, **params},
    )
