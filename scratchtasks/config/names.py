"""Values that name things outside: services, ports, hosts, signals, registries, zones, patterns."""

import re

from scratchtasks.core.errors import ConfigError, did_you_mean
from scratchtasks.core.hosts import plain_address
from scratchtasks.core.platform import KNOWN, Platform, parse_platform

from .fields import TEXT, Check, mapping, matching
from .paths import STAMPED, fill_templates
from .spot import Spot, quoted

# Patterns stay text: `re` compiles (and keeps) those that a run asks for, which are few.
SERVICE_NAME_PATTERN = r"[a-z0-9]+([._-][a-z0-9]+)*"
_RESERVED = ("images.json",)  # dist/images.json is the summary, dist/NAME a service's image

_PORT = re.compile(r"([1-9][0-9]{0,4})/(tcp|udp|sctp)")

_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = rf"(?=.{{1,253}}\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*"
_LOOPBACK = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")

# Linux's, spelled out: the signal module knows the names of the build machine only.
_SIGNALS = (
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL",
    "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD",
    "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ",
    "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS", "SIGRTMIN", "SIGRTMAX",
)  # fmt: skip
_REAL_TIME = r"SIGRTMIN\+([1-9]|1[0-5])|SIGRTMAX-([1-9]|1[0-4])"
_SIGNAL_NUMBER = r"[1-9]|[1-5][0-9]|6[0-4]"

_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NUMBER = (
    r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH_WANTS = "lower-case letters and digits, joined by '/', '.', '_' or '-'"
_HOST = rf"(?:{_DOMAIN}(?:\.{_DOMAIN})*|\[[0-9a-fA-F:.]+\])(?::{_NUMBER})?"
_REPOSITORY = rf"{_HOST}(?:/{_COMPONENT})+"
_IMAGE = (
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

_NOT_FOR_RUST = frozenset((
    # We set these, or cargo does for build scripts; in the last line what sh keeps for itself.
    "PATH", "HOME", "TMPDIR", "SOURCE_DATE_EPOCH", "SCRATCH_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTDOCFLAGS", "RUST_TARGET_PATH",
    "TARGET", "HOST", "OUT_DIR", "NUM_JOBS", "OPT_LEVEL", "PROFILE", "DEBUG", "MAKEFLAGS", "MFLAGS",
    "CC", "CXX", "AR",
    "PWD", "OLDPWD", "SHLVL", "IFS", "UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS",
))  # fmt: skip
_NOT_FOR_RUST_PREFIXES = (
    "CARGO_", "RUSTC_", "RUSTUP_", "DEP_", "LD_", "ZIG_", "CC_", "CXX_", "AR_",
)  # fmt: skip

_ZONE = r"[A-Za-z0-9_+*?\[\]!-]+(?:/[A-Za-z0-9_+*?\[\]!-]+)*"


def _service_name(value: object, spot: Spot) -> str:
    name = _PLAIN_NAME.read(value, spot)
    if name in _RESERVED:
        raise spot.fault(f"{quoted(name)} is taken by dist/{name}", "choose another name")
    if len(name) > 128:
        raise spot.fault(f"wanted at most 128 characters, got {len(name)}")
    return name


def _port(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(PORT.wants, value)
    match = _PORT.fullmatch(value)
    if match is None or int(match[1]) > 65535:
        raise spot.wanted(PORT.wants, value, _port_hint(value, match is not None))
    return value


def _port_hint(value: str, is_too_high: bool) -> str:
    if is_too_high:
        return "a port is at most 65535"
    port, slash, protocol = value.partition("/")
    if not _PORT.fullmatch(f"{port}/tcp"):
        return ""
    return did_you_mean(protocol[:40], ("tcp", "udp", "sctp")) if slash else f'write "{port}/tcp"'


def _platform(value: object, spot: Spot) -> Platform:
    if not isinstance(value, str):
        raise spot.wanted(PLATFORM.wants, value)
    if not value.isprintable():
        raise spot.wanted(PLATFORM.wants, value)
    try:
        return parse_platform(value)
    except ConfigError:
        raise spot.fault(
            f"unknown platform {quoted(value)}", spot.near(value[:80], KNOWN)
        ) from None


def _host_name(value: object, spot: Spot) -> str:
    name = TEXT.read(value, spot)
    if not re.fullmatch(_HOST_NAME, name):
        raise spot.fault(f"wanted a host name, got {quoted(name)}")
    if name.lower() in _LOOPBACK:
        raise spot.fault(f"{quoted(name)} always stands for loopback", "leave it out")
    return name


def _address(value: object, spot: Spot) -> str:
    if not isinstance(value, str) or "%" in value:
        raise spot.wanted(ADDRESS.wants, value)
    try:
        return plain_address(value)
    except ValueError:
        raise spot.wanted(ADDRESS.wants, value) from None


def _signal(value: object, spot: Spot) -> str:
    text = str(value) if type(value) is int and 1 <= value <= 64 else value
    if not isinstance(text, str):
        raise spot.wanted(SIGNAL.wants, value)
    if text in _SIGNALS or re.fullmatch(f"{_REAL_TIME}|{_SIGNAL_NUMBER}", text):
        return text
    raise spot.fault(f"unknown signal {quoted(text)}", spot.near("SIG" + text[:40].upper().
                     removeprefix("SIG"), _SIGNALS))  # fmt: skip


def _repository(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(REPOSITORY.wants, value)
    if "@" in value or "://" in value:
        # May hold a password: never repeated in a message.
        raise spot.fault(f"wanted {REPOSITORY.wants} without scheme, credentials or digest")
    host, _, path = value.partition("/")
    is_host = "." in host or ":" in host or host == "localhost"
    if is_host and re.fullmatch(_REPOSITORY, value) and len(value) <= 255:
        return value
    if ":" in path:
        hint = "tags go into push.tags"
    elif is_host and re.fullmatch(_HOST, host):
        hint = f"after the host comes a path: {_PATH_WANTS}"
    else:
        hint = "the registry's host comes first"
    raise spot.wanted(REPOSITORY.wants, value, hint)


def _image(value: object, spot: Spot) -> str:
    if not isinstance(value, str):
        raise spot.wanted(IMAGE_REFERENCE.wants, value)
    if not re.fullmatch(_IMAGE, value) or len(value) > 500:
        if "://" in value or "@" in value.partition("@sha256:")[0]:
            # May hold a password: never repeated in a message.
            raise spot.fault(f"wanted {IMAGE_REFERENCE.wants} without scheme and credentials")
        raise spot.wanted(IMAGE_REFERENCE.wants, value)
    return value


def _tag(value: object, spot: Spot) -> str:
    text = STAMPED.read(value, spot)
    if not _TAG.fullmatch(fill_templates(text, "x")):
        raise spot.wanted(TAG.wants, value)
    return text


def _regex(value: object, spot: Spot) -> str:
    import warnings

    text = TEXT.read(value, spot)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that a later Python may read otherwise
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise spot.fault(f"not a regular expression: {error}") from None
    return text


def _rust_env_name(value: object, spot: Spot) -> str:
    name = _RUST_ENV_WORD.read(value, spot)
    if name in _NOT_FOR_RUST or name.startswith(_NOT_FOR_RUST_PREFIXES):
        raise spot.fault(
            f"{quoted(name)} is not yours to set: cargo, compilers or scratchtasks rely on it",
            ".cargo/config.toml is the place for cargo's own settings",
        )
    return name


def _zone(value: object, spot: Spot) -> str:
    if not isinstance(value, str) or not re.fullmatch(_ZONE, value):
        raise spot.wanted(ZONE.wants, value)
    return value


_PLAIN_NAME = matching(
    "a name of lower-case letters and digits, joined by single '.', '_' or '-'",
    SERVICE_NAME_PATTERN,
)
SERVICE_NAME = Check(_PLAIN_NAME.wants, _service_name)
FILE_NAME = matching("a file name of letters, digits, '.', '_', '+' and '-'",
                     r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")  # fmt: skip
PORT = Check('"PORT/tcp"', _port, '"PORT/tcp" (or udp, sctp)')
PLATFORM = Check('a platform such as "linux/amd64"', _platform, f"platforms ({', '.join(KNOWN)})")
HOST_NAME = Check("a host name", _host_name)
ADDRESS = Check("an IPv4 or IPv6 address", _address, "host name = IPv4 or IPv6 address")
SIGNAL = Check('a signal such as "SIGTERM" or 15', _signal)
REGISTRY = matching('a registry such as "registry.example.com:5000"', _HOST)
REPOSITORY = Check('"registry.example.com/path"', _repository)
IMAGE_REFERENCE = Check('an image such as "docker.io/library/alpine:3"', _image)
TAG = Check("a tag of letters, digits, '.', '_' and '-', templates allowed", _tag,
            "tags, templates allowed")  # fmt: skip
REGEX = Check("a regular expression", _regex)
ZONE = Check('a zone or glob such as "UTC" or "Europe/*"', _zone, "zones and globs")

ENV_NAME = matching("a variable name of letters, digits, '_', '.' and '-'",
                    r"[A-Za-z_][A-Za-z0-9_.-]*")  # fmt: skip
# The script before rustc keeps names that begin with "_" for itself.
_RUST_ENV_WORD = matching("a variable name of letters, digits and '_', a letter first",
                          r"[A-Za-z][A-Za-z0-9_]*")  # fmt: skip
RUST_ENV_NAME = Check(_RUST_ENV_WORD.wants, _rust_env_name)
LABEL_NAME = matching("a label name without spaces", r"[!-~]+")
ENV = mapping(ENV_NAME, TEXT)
LABELS = mapping(LABEL_NAME, TEXT)
GO_TAG = matching(
    "a build tag of letters, digits, '_' and '.'", r"[A-Za-z0-9_.]+", many="build tags"
)
FEATURE = matching("a feature name", r"[A-Za-z0-9_][A-Za-z0-9_+./?-]*", many="feature names")
BIN = matching("the name of a binary target", r"[A-Za-z0-9_][A-Za-z0-9_-]*")
COMPILER = matching("a compiler's name or path", r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")
HTTP_PATH = matching('a path such as "/health"', r"/[!-~]*")
