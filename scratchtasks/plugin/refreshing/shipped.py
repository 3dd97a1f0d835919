"""What finished images carry by their own word, beside what is pinned and what upstream has."""

import json
import os
from datetime import UTC, date, datetime
from typing import Any

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.policy import policy_of

from .contents import module_runner
from .parts import parts_of
from .propose import look_up

KINDS = {"certs": "certifi", "zoneinfo": "tzdata"}
PREFIX = "dev.scratchtasks."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """*what* (`certs`, `zoneinfo`) in *image*: what it *ships*, "" while not built.

    *locked* is what a build would ship now, *upstream* what refresh would move to ("" nothing).
    *released* is a day, "" while not known; *age_days* counts from there.
    """

    image: str
    what: str
    ships: str
    released: str
    age_days: int | None
    locked: str
    upstream: str

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        age = "?" if self.age_days is None else f"{self.age_days} days"
        locked = "the same" if self.locked == self.ships else self.locked
        ships = self.ships or "not built"
        return (self.image, self.what, ships, self.released or "?", age, locked,
                self.upstream or "nothing newer")  # fmt: skip

    def to_json(self) -> dict[str, object]:
        """Every field by its name."""
        return {name: getattr(self, name) for name in Shipped.__dataclass_fields__}


def shipped(session: Session, now: float) -> tuple[list[Shipped], str]:
    """A row for each image and pinned essential in it; and why upstream could not be asked, or "".

    *now* is seconds since 1970.
    """
    pins = session.world.pins
    run_module = module_runner(session.world)
    newer: dict[str, str] = {}
    days: dict[str, str] = {}
    fault = ""
    try:
        found = look_up(session, policy_of(session.declared.refresh), now, run_module)
        newer = {move.new.name: f"{move.new.name} {move.new.version}" for move in found.moves}
        days = {
            f"{name} {release.version}": release.date
            for name, releases in found.releases.items()
            for release in releases
        }
    except ScratchError as error:
        fault = str(error)
    rows = []
    for name in session.graph.services:
        image = session.graph.tasks[f"image:{name}"]
        parts = parts_of(session, name)
        built = _annotations(session.exports.layout_of(image))
        for kind, project in KINDS.items():
            layer = parts.get(f"layer:{kind}")
            if layer is None or layer.params.get("public") is False:
                continue
            source: Any = layer.params.get("source", {"name": project})
            pin = pins.get(source["name"])
            locked = source["name"] if pin is None else f"{pin.name} {pin.version}"
            ships = built.get(PREFIX + kind, "")
            what = ships or locked
            released = pin.date if pin is not None and what == locked else days.get(what, "")
            rows.append(
                Shipped(
                    image=name,
                    what=kind,
                    ships=ships,
                    released=released,
                    age_days=_age(released, now),
                    locked=locked,
                    upstream="unknown" if fault else newer.get(source["name"], ""),
                )
            )
    return rows, fault


def _annotations(layout: str) -> dict[str, str]:
    """The annotations of the first manifest in an OCI layout; none while it is not built."""
    try:
        manifest: Any = _json(os.path.join(layout, "index.json"))
        while "manifests" in manifest:
            algorithm, _, digits = manifest["manifests"][0]["digest"].partition(":")
            manifest = _json(os.path.join(layout, "blobs", algorithm, digits))
        return dict(manifest.get("annotations", {}))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return {}


def _json(path: str) -> Any:
    with open(path, "rb") as file:
        return json.load(file)


def _age(released: str, now: float) -> int | None:
    try:
        return (datetime.fromtimestamp(now, UTC).date() - date.fromisoformat(released)).days
    except ValueError:
        return None
