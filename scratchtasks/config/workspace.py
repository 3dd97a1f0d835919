"""What holds for the whole workspace: scratch.toml, or `[tool.scratchtasks]` of pyproject.toml."""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from scratchtasks.core.frozen import dataclass
from scratchtasks.core.platform import Platform
from scratchtasks.core.source import DEBIAN, DebianMirror, Source
from scratchtasks.core.target import User

from .document import parse_toml
from .fields import Check, Field, array, read_fields, record
from .image import CERTS, IMAGE, ZONEINFO
from .names import REGISTRY
from .quantities import SIZE
from .refresh import REFRESH_TABLE
from .source import SOURCES_TABLE
from .spot import Spot

_ENGINE = re.compile(r"docker|podman|kind(?::[a-z0-9][a-z0-9.-]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceDefaults:
    """`[image]` of the workspace: what services get that do not say otherwise.

    *labels* and *env* are merged name by name, the service's first; the others are replaced.
    None means that the workspace says nothing.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    user: User | None = None
    platforms: tuple[Platform, ...] | None = None
    essentials: tuple[str, ...] | None = None
    roots_source: Source | None = None
    zone_source: Source | None = None
    require: tuple[str, ...] = ()
    """Roots that every service with certs must ship, besides those it names itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceConfig:
    """A workspace file; *refresh* is its table as written, *cache_limit* is bytes.

    *plain_http* are registries that are spoken to without TLS; *engine* is where `load` loads.
    """

    defaults: WorkspaceDefaults = field(default_factory=WorkspaceDefaults)
    refresh: Mapping[str, str | int] = field(default_factory=dict)
    cache_limit: int = 10 * 1024**3
    plain_http: tuple[str, ...] = ()
    engine: str = "docker"
    debian: DebianMirror = DEBIAN


def _engine(value: object, spot: Spot) -> str:
    if not isinstance(value, str) or not _ENGINE.fullmatch(value):
        raise spot.wanted(ENGINE.wants, value)
    return value


ENGINE = Check('"docker", "podman" or "kind:CLUSTER"', _engine)

WORKSPACE_IMAGE = tuple(
    field for field in IMAGE if field.key in ("labels", "user", "platforms", "essentials", "env")
)
CACHE = (
    Field(key="limit", check=SIZE, default='"10GiB"', wrong="10 gigs", attribute="cache_limit",
          meaning="what `.scratch/` may hold before `doit cache` collects"),
)  # fmt: skip
LOAD = (
    Field(key="engine", check=ENGINE, default='"docker"', wrong="containerd",
          meaning="where images are loaded; SCRATCH_ENGINE in the environment goes before it"),
)  # fmt: skip
WORKSPACE_PUSH = (
    Field(key="plain_http", check=array(REGISTRY, is_set=True), default="[]",
          wrong=["https://registry.example.com"],
          meaning="registries without TLS; this machine's loopback needs no mention"),
)  # fmt: skip


WORKSPACE_CERTS = tuple(field for field in CERTS if field.key in ("source", "require"))
WORKSPACE_ZONEINFO = tuple(field for field in ZONEINFO if field.key == "source")


def _as_written(**values: Any) -> Mapping[str, Any]:
    return values


WORKSPACE = (
    Field(key="image", check=record(WORKSPACE_IMAGE, WorkspaceDefaults), wrong=[], default="{}",
          attribute="defaults", meaning="defaults for every service's `[image]`"),
    Field(key="refresh", check=REFRESH_TABLE, wrong="daily", default="{}",
          meaning="policy per pin; for a source such as "
          "`\"image:docker.io/library/alpine:3\"`, `\"latest\"` or `\"pinned\"`"),
    Field(key="cache", check=record(CACHE, _as_written), wrong="10GiB", default="{}",
          meaning="the local cache"),
    Field(key="load", check=record(LOAD, _as_written), wrong="docker", default="{}",
          meaning="how images are loaded"),
    Field(key="push", check=record(WORKSPACE_PUSH, _as_written), wrong="registry.example.com",
          default="{}", meaning="how images are pushed"),
    Field(key="certs", check=record(WORKSPACE_CERTS, _as_written), wrong="machine", default="{}",
          meaning="where public roots are from, and which are required, in all services"),
    Field(key="zoneinfo", check=record(WORKSPACE_ZONEINFO, _as_written), wrong="machine",
          default="{}", meaning="where zones are from, in all services"),
    Field(key="sources", check=SOURCES_TABLE, wrong="http://deb.debian.org/debian", default="{}",
          attribute="debian", meaning="where sources are reached"),
)  # fmt: skip


IN_PYPROJECT = ("tool", "scratchtasks")
"""The table of pyproject.toml that stands for scratch.toml."""


def table_at(table_path: tuple[str, ...], text: str, origin: str) -> object:
    """What the TOML *text* of the file *origin* has at *table_path*, None for nothing.

    Raises: ConfigErrors for text that is not TOML.
    """
    table: object = parse_toml(text, origin)
    for key in table_path:
        if not isinstance(table, Mapping) or key not in table:
            return None
        table = table[key]
    return table


def parse_workspace(text: str, origin: str, table_path: tuple[str, ...] = ()) -> WorkspaceConfig:
    """The workspace settings in TOML *text*, below *table_path* (`("tool", "scratchtasks")`).

    A table that is not there means defaults.  *origin* is the file, for messages.

    Raises: ConfigErrors with every fault of the table.
    """
    table, spot = table_at(table_path, text, origin), Spot(origin)
    if table is None:
        return WorkspaceConfig()
    for key in table_path:
        spot = spot.key(key)
    values = dict(read_fields(table, spot, WORKSPACE).good)
    spot.raise_if_faulty()
    certs, zoneinfo = values.pop("certs", {}), values.pop("zoneinfo", {})
    values["defaults"] = replace(
        values.get("defaults", WorkspaceDefaults()),
        roots_source=certs.get("source"),
        require=certs.get("require", ()),
        zone_source=zoneinfo.get("zone_source"),
    )
    for name in ("cache", "load", "push"):
        values |= values.pop(name, {})
    return WorkspaceConfig(**values)
