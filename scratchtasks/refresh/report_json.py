"""The report for scripts: one JSON object with every fact of a proposal."""

from dataclasses import asdict

from scratchtasks.core.digest import Json
from scratchtasks.core.target import Pin

from .proposal import Proposal
from .roots import Root, RootsDiff
from .zones import Difference, ZonesDiff


def json_report(proposal: Proposal, outcome: str) -> dict[str, Json]:
    """*proposal* as JSON; *outcome* is `nothing`, `refreshed`, `refused` or `proposed`.

    A digest that is not known is null, and `unknown` says why; an image that is affected and not
    `is_sure` may get a new one.  Moments are UTC seconds since 1970, offsets seconds east of UTC,
    hashes lower-case hex.
    """
    return {
        "outcome": outcome,
        "moves": [
            {"name": m.new.name, "old": _pin(m.old), "new": _pin(m.new), "why": m.why}
            for m in proposal.moves
        ],
        "notes": list(proposal.notes),
        "roots": [{"source": name, **_roots(diff)} for name, diff in proposal.roots.items()],
        "zones": [{"source": name, **_zones(diff)} for name, diff in proposal.zones.items()],
        "images": [
            {
                "name": image.name,
                "is_affected": bool(image.reasons),
                "is_sure": image.is_sure,
                "reasons": list(image.reasons),
                "old": image.old or None,
                "new": image.new or None,
                "unknown": image.unknown,
            }
            for image in proposal.images
        ],
        "expiring": [
            {"path": each.path, "services": list(each.services), **_root(each.root)}
            for each in proposal.expiring
        ],
        "alarms": [{"where": alarm.where, "what": alarm.what} for alarm in proposal.alarms],
    }


def _roots(roots: RootsDiff) -> dict[str, Json]:
    return {
        "added": [_root(root) for root in roots.added],
        "removed": [_root(root) for root in roots.removed],
        "expiring": [_root(root) for root in roots.expiring],
    }


def _zones(zones: ZonesDiff) -> dict[str, Json]:
    return {
        "added": list(zones.added),
        "removed": dict(zones.removed),
        "renamed": dict(zones.renamed),
        "changed": [
            {
                "zone": change.zone,
                "first": _difference(change.first),
                "coming": _difference(change.coming),
                "is_now": change.is_now,
                "same_as": change.same_as,
            }
            for change in zones.changed
        ],
        "rewritten": list(zones.rewritten),
    }


def _pin(pin: Pin | None) -> Json:
    return None if pin is None else asdict(pin)


def _root(root: Root) -> dict[str, Json]:
    return {
        "subject": root.subject,
        "sha256": root.sha256,
        "not_before": root.not_before,
        "not_after": root.not_after,
    }


def _difference(difference: Difference | None) -> Json:
    if difference is None:
        return None
    return {"moment": difference.moment, "old": difference.old, "new": difference.new}
