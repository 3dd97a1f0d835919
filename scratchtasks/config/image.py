"""The field tables of `[image]` and of the small tables beside it."""

from collections.abc import Mapping
from typing import Any

from scratchtasks.core.target import (
    ESSENTIALS,
    Folder,
    Healthcheck,
    Push,
    Smoke,
)

from .fields import BOOLEAN, TEXT, Check, Field, array, integer, mapping, one_of, record
from .names import (
    ADDRESS,
    ENV,
    HOST_NAME,
    HTTP_PATH,
    LABELS,
    PLATFORM,
    PORT,
    REGEX,
    REPOSITORY,
    SIGNAL,
    TAG,
    ZONE,
)
from .paths import COMMAND, IMAGE_PATH, PROGRAM, SOURCE, WORKDIR
from .quantities import DURATION, MODE, OWNER, SECONDS, SIZE, USER
from .source import REQUIRED, ROOTS_SOURCE, STAGED, ZONES_SOURCE
from .spot import Spot

ALL_ESSENTIALS = (*ESSENTIALS, "services", "os-release")
"""Every essential, in the order in which images list them."""

_ESSENTIAL_SET = array(one_of("essential", ALL_ESSENTIALS), is_set=True)


def _essentials(value: object, spot: Spot) -> tuple[str, ...]:
    asked = _ESSENTIAL_SET.read(value, spot)
    return tuple(word for word in ALL_ESSENTIALS if word in asked)


def _entries(value: object, spot: Spot) -> Mapping[str, str]:
    entries = _ENTRIES.read(value, spot)
    seen: dict[str, str] = {}
    for name in entries:
        if name.lower() in seen:
            raise spot.key(name).fault(f"the same host as {spot.key(seen[name.lower()]).path}")
        seen[name.lower()] = name
    return entries


_ENTRIES = mapping(HOST_NAME, ADDRESS)


def _structure(value: object, spot: Spot) -> tuple[str, ...]:
    if isinstance(value, str):
        return (SOURCE.read(value, spot),)
    return array(SOURCE, is_full=True, is_set=True).read(value, spot)


HEALTHCHECK = (
    Field(key="command", check=COMMAND, required=True, wrong=["api", "health"],
          meaning="run in the container; exit code 0 is healthy"),
    Field(key="interval", check=DURATION, default="the engine's (30s)", wrong=30,
          meaning="time between two checks"),
    Field(key="timeout", check=DURATION, default="the engine's (30s)", wrong="fast",
          meaning="time after which a check has failed"),
    Field(key="start_period", check=DURATION, default="the engine's (0s)", wrong="5 s",
          meaning="time in which failures do not count"),
    Field(key="retries", check=integer(0, 1000), default="the engine's (3)", wrong="3",
          meaning="failures in a row that make it unhealthy"),
)  # fmt: skip

DIRS = (
    Field(key="path", check=IMAGE_PATH, required=True, wrong="/srv/../etc",
          meaning="an empty folder of the image"),
    Field(key="mode", check=MODE, default='"0755"', wrong="rwxr-xr-x", meaning="its mode"),
    Field(key="owner", check=OWNER, default="root", wrong="app:", meaning="who owns it"),
)  # fmt: skip

IMAGE = (
    Field(key="platforms", check=array(PLATFORM, is_full=True, is_set=True),
          default="linux on this machine's architecture", wrong=["linux/amd46"],
          meaning="what to build for"),
    Field(key="essentials", check=Check(_ESSENTIAL_SET.wants, _essentials),
          default=", ".join(ESSENTIALS), wrong=["cert"],
          meaning="what a program expects to find besides itself"),
    Field(key="user", check=USER, default='"nonroot:65532"', wrong="app",
          meaning="who runs the program; gid is the uid unless given"),
    Field(key="entrypoint", check=PROGRAM, default="the first binary's dest", wrong=["api"],
          meaning="the program and its fixed arguments"),
    Field(key="cmd", check=array(TEXT), default="[]", wrong="serve",
          meaning="arguments that `docker run` may replace"),
    Field(key="env", check=ENV, default="{}", wrong={"A B": "1"},
          meaning="environment variables"),
    Field(key="ports", check=array(PORT, is_set=True), default="[]", wrong=[8080],
          meaning="ports the program listens on"),
    Field(key="workdir", check=WORKDIR, default='"/"', wrong="srv", meaning="the current folder"),
    Field(key="volumes", check=array(IMAGE_PATH, is_set=True), default="[]", wrong=["/"],
          meaning="folders for data that outlives the container"),
    Field(key="stop_signal", check=SIGNAL, default="the engine's (SIGTERM)", wrong="SIGTREM",
          meaning="what asks the program to end"),
    Field(key="healthcheck", check=record(HEALTHCHECK, Healthcheck), default="none",
          wrong="api health", meaning="see below; Kubernetes ignores it"),
    Field(key="labels", check=LABELS, default="{}", wrong={"org": {"vendor": "Example"}},
          meaning="labels of the image"),
    Field(key="files", check=array(STAGED), default="[]", wrong="web/dist",
          meaning="files and folders to copy in, see below"),
    Field(key="dirs", check=array(record(DIRS, Folder)), default="[]", wrong=["/data"],
          meaning="empty folders to make, see below"),
    Field(key="max_size", check=SIZE, default="none", wrong="20 megabytes",
          meaning="limit for all compressed layers together"),
)  # fmt: skip

CERTS = (
    Field(key="extra", check=array(SOURCE), default="[]", wrong="//certs:corp.pem",
          meaning="PEM files of private CAs, added to the public roots"),
    Field(key="public", check=BOOLEAN, default="true", wrong="no",
          meaning="whether public roots are in"),
    Field(key="source", check=ROOTS_SOURCE, default='"certifi", or what the workspace says',
          wrong="certify", meaning="where the public roots are from, see below"),
    Field(key="require", check=array(REQUIRED, is_set=True), default="[]", wrong="ISRG Root X1",
          meaning="roots that must be shipped: by common name, whole subject or fingerprint"),
)  # fmt: skip

ZONEINFO = (
    Field(key="zones", check=array(ZONE, is_full=True), default='["*"], all of them',
          wrong=["/UTC"], meaning="zones to stage, by name or glob; aliases stay hard links"),
    Field(key="source", check=ZONES_SOURCE, default='"tzdata", or what the workspace says',
          wrong="tzdat", attribute="zone_source", meaning="where zones are from, see below"),
)  # fmt: skip

HOSTS = (
    Field(key="entries", check=Check(_ENTRIES.wants, _entries), default="{}",
          wrong={"db.internal": "10.0.0.256"},
          meaning="lines of /etc/hosts besides loopback.  Docker and Kubernetes mount a hosts file "
          "of their own over it: use `--add-host` or `hostAliases` there"),
)  # fmt: skip

SMOKE = (
    Field(key="command", check=COMMAND, default="the entrypoint", wrong=[],
          meaning="what to run in the finished image"),
    Field(key="args", check=array(TEXT), default="[]", wrong="--version",
          meaning="arguments added to it"),
    Field(key="env", check=ENV, default="{}", wrong={"LEVEL": 3}, meaning="variables set for it"),
    Field(key="exit_code", check=integer(0, 255), default="0", wrong=256,
          meaning="the exit code to end with"),
    Field(key="stdout", check=REGEX, default="anything", wrong="api (1",
          meaning="regular expression to be found in its output"),
    Field(key="stderr", check=REGEX, default="anything", wrong="*", meaning="the same for stderr"),
    Field(key="http_path", check=HTTP_PATH, default="none", wrong="health",
          meaning="ask the running image for this path; one that listens on loopback only is not"
          " reached"),
    Field(key="http_port", check=integer(1, 65535), default="the image's first tcp port", wrong=0,
          meaning="the port to ask"),
    Field(key="http_status", check=integer(100, 599), default="200", wrong=99,
          meaning="the status to be answered"),
    Field(key="timeout", check=SECONDS, default='"10s"', wrong=10, attribute="timeout_seconds",
          meaning="bound of the whole trial"),
    Field(key="read_only", check=BOOLEAN, default="false", wrong="yes",
          meaning="whether nothing but the image's volumes can be written to"),
    Field(key="structure_test", check=Check("a path or label, or an array of them", _structure),
          default="none", wrong=1,
          meaning="files of container-structure-test's; alone, nothing else is run"),
)  # fmt: skip

PUSH = (
    Field(key="repository", check=REPOSITORY, required=True, wrong="team/api",
          meaning="where `push:NAME` sends the image"),
    Field(key="tags", check=array(TAG, is_full=True, is_set=True), default='["latest"]',
          wrong=["v 1"],
          meaning="templates: `{git.describe}` `{git.short}` `{git.sha}` `{env.NAME}` `{name}`"),
    Field(key="smoke", check=BOOLEAN, default="false", wrong="yes",
          meaning="whether the image has to pass its smoke test first"),
)  # fmt: skip


CERTS_TABLE: Check[Mapping[str, Any]] = record(CERTS, lambda **values: values)
ZONEINFO_TABLE: Check[Mapping[str, Any]] = record(ZONEINFO, lambda **values: values)
HOSTS_TABLE: Check[Mapping[str, str]] = record(HOSTS, lambda entries={}: entries)
SMOKE_TABLE = record(SMOKE, Smoke)
PUSH_TABLE = record(PUSH, Push)
