"""Text without meaning, from a seeded source: what fills the files that no compiler reads."""

import json
import random

_WORDS = [
    "account",
    "alert",
    "amount",
    "archive",
    "batch",
    "billing",
    "branch",
    "budget",
    "cache",
    "carrier",
    "catalog",
    "channel",
    "claim",
    "client",
    "cluster",
    "contract",
    "currency",
    "customer",
    "deadline",
    "delivery",
    "deposit",
    "depot",
    "device",
    "discount",
    "driver",
    "engine",
    "entry",
    "event",
    "export",
    "feature",
    "filter",
    "forecast",
    "freight",
    "gateway",
    "handler",
    "import",
    "index",
    "inventory",
    "invoice",
    "journal",
    "ledger",
    "limit",
    "location",
    "lookup",
    "message",
    "metric",
    "monitor",
    "order",
    "package",
    "partner",
    "payment",
    "period",
    "policy",
    "price",
    "profile",
    "queue",
    "quota",
    "rate",
    "record",
    "refund",
    "region",
    "report",
    "request",
    "retry",
    "route",
    "sample",
    "schedule",
    "sensor",
    "session",
    "settlement",
    "shipment",
    "signal",
    "source",
    "state",
    "stock",
    "stream",
    "supplier",
    "tariff",
    "tenant",
    "ticket",
    "token",
    "transfer",
    "user",
    "vehicle",
    "vendor",
    "window",
]


def _sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randrange(6, 16))).capitalize() + "."


def markdown(chance: random.Random, title: str) -> str:
    """A document of some paragraphs."""
    parts = [" ".join(_sentence(chance) for _ in range(3)) for _ in range(chance.randrange(1, 5))]
    return f"# {title}\n\n" + "\n\n".join(parts) + "\n"


def settings(chance: random.Random, title: str) -> str:
    """A YAML file of settings."""
    lines = [
        f"{chance.choice(_WORDS)}_{number}: {chance.randrange(10_000)}" for number in range(24)
    ]
    return f"name: {title}\n" + "\n".join(lines) + "\n"


def records(chance: random.Random, title: str) -> str:
    """A JSON file of records."""
    rows = [
        {"id": number, "name": chance.choice(_WORDS), "value": chance.randrange(100_000)}
        for number in range(12)
    ]
    return json.dumps({"title": title, "rows": rows}, indent=1) + "\n"
