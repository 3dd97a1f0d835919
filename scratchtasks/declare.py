"""The rules as Python functions, for a dodo.py without any service.toml.

Each function stands for a table of service.toml and takes its keys; arguments that are left out
get the same defaults.  Nothing is checked here but by the very checks that TOML goes through:

    from scratchtasks import ca_certificates, files, genrule, go_binary, scratch_image, tmp

    schema = genrule(name="schema", folder="gen", cmd=["python3", "gen.py", "{out}"],
                     srcs=["gen.py"], outs=["schema.sql"])
    api = scratch_image("api", "services/api", binary=go_binary(package="./cmd/api"),
                        essentials=[ca_certificates(extra=["//certs:corp.pem"]), tmp()],
                        files=[files(src=schema, dest="/srv/schema.sql", mode="0444")])
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scratchtasks.config.genrule import genrule_from_table
from scratchtasks.config.service import service_from_tables
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Genrule, Service


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an image: the *table* of service.toml it stands for, and that table's keys."""

    table: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A service as declared in dodo.py, unchecked; *folder* is relative to the workspace root.

    *genrules* are those that its parts use as sources.
    """

    tables: Mapping[str, object]
    origin: str
    folder: str
    genrules: tuple[Genrule, ...] = ()

    def service(self, defaults: WorkspaceDefaults, host: Platform) -> Service:
        """The Service that this declares; *host* is the platform of images that name none.

        Raises: ConfigErrors with every fault of the declaration.
        """
        return service_from_tables(
            self.tables, origin=self.origin, folder=self.folder, defaults=defaults, host=host
        )


def go_binary(
    *,
    package: str | None = None,
    tags: Sequence[str] | None = None,
    ldflags: Sequence[str] | None = None,
    name: str | None = None,
    dest: str | None = None,
) -> Part:
    """A static binary from a Go main package: `go_binary(package="./cmd/api", tags=["slim"])`."""
    return _binary("go_binary", name=name, dest=dest, package=package, tags=tags, ldflags=ldflags)


def rust_binary(
    *,
    crate: str | None = None,
    bin: str | None = None,
    features: Sequence[str] | None = None,
    default_features: bool | None = None,
    env: Mapping[str, str] | None = None,
    name: str | None = None,
    dest: str | None = None,
) -> Part:
    """A static binary from a Cargo crate: `rust_binary(crate="worker", features=["tls"])`."""
    return _binary(
        "rust_binary",
        name=name,
        dest=dest,
        crate=crate,
        bin=bin,
        features=features,
        default_features=default_features,
        env=env,
    )


def c_binary(
    *,
    srcs: Sequence[str],
    cflags: Sequence[str] | None = None,
    ldflags: Sequence[str] | None = None,
    cc: str | None = None,
    cxx: str | None = None,
    name: str | None = None,
    dest: str | None = None,
) -> Part:
    """A static binary from C and C++ sources: `c_binary(srcs=["src/*.c"], cflags=["-O2"])`."""
    return _binary(
        "c_binary", name=name, dest=dest, srcs=srcs, cflags=cflags, ldflags=ldflags, cc=cc, cxx=cxx
    )


def prebuilt(*, path: str | Genrule, name: str | None = None, dest: str | None = None) -> Part:
    """A static binary built elsewhere: `prebuilt(path="out/{os}-{architecture}/api")`."""
    return _binary("prebuilt", name=name, dest=dest, path=path)


def ca_certificates(
    *,
    extra: Sequence[str] | None = None,
    public: bool | None = None,
    source: str | Mapping[str, str] | None = None,
    require: Sequence[str] | None = None,
) -> Part:
    """Public roots and private ones: `ca_certificates(extra=["//certs:corp.pem"])`.

    *source* is where the public ones are from: `source={"image": "docker.io/library/alpine:3"}`.
    """
    return Part("certs", _given(extra=extra, public=public, source=source, require=require))


def zoneinfo(
    *, zones: Sequence[str] | None = None, source: str | Mapping[str, str] | None = None
) -> Part:
    """Time zones, all or by name and glob: `zoneinfo(zones=["UTC", "Europe/*"])`.

    *source* is where they are from: `source="machine"`.
    """
    return Part("zoneinfo", _given(zones=zones, source=source))


def accounts(*, user: str | None = None) -> Part:
    """passwd, group and home folder; *user* is the image's: `accounts(user="app:1001")`."""
    return Part("accounts", _given(user=user))


def hosts(*, entries: Mapping[str, str] | None = None) -> Part:
    """/etc/hosts with loopback and *entries*: `hosts(entries={"db.internal": "10.0.0.7"})`."""
    return Part("hosts", _given(entries=entries))


def nsswitch() -> Part:
    """/etc/nsswitch.conf with `hosts: files dns`."""
    return Part("nsswitch", {})


def tmp() -> Part:
    """The folders /tmp and /var/tmp, mode 1777."""
    return Part("tmp", {})


def services_file() -> Part:
    """/etc/services, the essential `services`: names of well-known ports."""
    return Part("services", {})


def os_release() -> Part:
    """/etc/os-release, the essential `os-release`: scanners skip images without one."""
    return Part("os-release", {})


def files(
    *,
    src: str | Genrule,
    dest: str,
    mode: str | None = None,
    owner: str | None = None,
    from_: str | None = None,
) -> Part:
    """A file or folder to copy in: `files(src="web/dist", dest="/srv/www", mode="0644")`.

    *src* is a path, a label or a genrule with one output; *mode* is octal text, as in TOML.
    *from_* is TOML's `from`: `files(from_="image:alpine:3", src="/etc/mime.types", dest=…)`.
    """
    table = _given(src=src, dest=dest, mode=mode, owner=owner)
    return Part("files", table if from_ is None else {"from": from_, **table})


def folder(path: str, *, mode: str | None = None, owner: str | None = None) -> Part:
    """An empty folder: `folder("/var/lib/api", mode="0700", owner="app")`."""
    return Part("dirs", _given(path=path, mode=mode, owner=owner))


def scratch_image(
    name: str,
    folder: str = "",
    *,
    binary: Part | None = None,
    binaries: Sequence[Part] | None = None,
    essentials: Sequence[Part | str] | None = None,
    files: Sequence[Part] | None = None,
    platforms: Sequence[str] | None = None,
    user: str | None = None,
    entrypoint: Sequence[str] | None = None,
    cmd: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    ports: Sequence[str] | None = None,
    workdir: str | None = None,
    volumes: Sequence[str] | None = None,
    stop_signal: str | None = None,
    healthcheck: Mapping[str, object] | None = None,
    labels: Mapping[str, str] | None = None,
    max_size: str | None = None,
    smoke: Mapping[str, object] | None = None,
    push: Mapping[str, object] | None = None,
) -> Declaration:
    """A service and its image: `scratch_image("api", "services/api", binary=go_binary())`.

    *folder* is relative to the workspace root, and paths of the parts are relative to it.
    Several parts may come from a generator, and a single one without a list around it.
    *essentials* are parts or their names; *files* are `files(…)` and `folder(…)`; the other
    arguments are the keys of `[image]`, and *smoke* and *push* the tables of that name.

    Raises: ConfigErrors when one thing is given in two ways; `Declaration.service` checks the rest.
    """
    origin = f"dodo.py: scratch_image({name!r})"
    made = _several(binaries if binary is None else binary)
    wanted, copied = _several(essentials), _several(files)
    parts = [part for part in wanted if isinstance(part, Part)]
    users = [part.values["user"] for part in parts if "user" in part.values]
    if binary is not None and binaries is not None:
        raise _both(origin, "binary", "binaries")
    if user is not None and users:
        raise _both(origin, "user", "accounts(user=…)")
    staged, folders = _split(copied)
    image = _given(
        platforms=platforms,
        essentials=None if essentials is None else [_essential(part) for part in wanted],
        user=next(iter(users), user),
        entrypoint=entrypoint,
        cmd=cmd,
        env=env,
        ports=ports,
        workdir=workdir,
        volumes=volumes,
        stop_signal=stop_signal,
        healthcheck=healthcheck,
        labels=labels,
        files=staged,
        dirs=folders,
        max_size=max_size,
    )
    tables = _given(
        name=name,
        binary=[_keys(part, "binary") for part in made] or None,
        image=image,
        **{part.table: part.values for part in parts if part.table in _ESSENTIAL_TABLES},
        smoke=smoke,
        push=push,
    )
    return Declaration(tables, origin, folder, _genrules_of((*made, *copied)))


def genrule(
    *,
    name: str,
    cmd: Sequence[str],
    outs: Sequence[str],
    folder: str = "",
    srcs: Sequence[str | Genrule] | None = None,
    env: Mapping[str, str] | None = None,
) -> Genrule:
    """A rule of your own: *cmd* runs in *folder* and writes *outs* into `{out}`.

    The result is cached like any binary, and is a source: `files(src=rule, …)`, or as a label
    `"//folder:name"`, with several outs `"//folder:name/OUT"`.

        genrule(name="schema", folder="gen", srcs=["gen.py"], outs=["schema.sql"],
                cmd=["python3", "gen.py", "--into", "{out}"], env={"LANG": "C.UTF-8"})

    Raises: ConfigErrors with every fault of the call.
    """
    table = _given(name=name, folder=folder, cmd=cmd, srcs=srcs, outs=outs, env=env)
    return genrule_from_table(table, f"dodo.py: genrule({name!r})")


_ESSENTIAL_TABLES = ("certs", "zoneinfo", "hosts")


def _binary(rule: str, **keys: object) -> Part:
    return Part("binary", {"rule": rule, **_given(**keys)})


def _given(**keys: object) -> dict[str, object]:
    return {key: value for key, value in keys.items() if value is not None}


def _several(given: Any) -> list[Any]:
    """*given*, none, one or several, as a list; it is gone through once."""
    if given is None:
        return []
    is_one = isinstance(given, Part | str) or not isinstance(given, Iterable)
    return [given] if is_one else list(given)


def _keys(part: object, table: str) -> object:
    """The keys of *part* for *table*; what is no such part goes on to be refused there."""
    return part.values if isinstance(part, Part) and part.table == table else part


def _essential(part: Part | str) -> str:
    return part.table if isinstance(part, Part) else part


def _split(parts: Sequence[Part]) -> tuple[list[object] | None, list[object] | None]:
    """The tables for image.files and those for image.dirs, None for none."""
    folders = [part for part in parts if isinstance(part, Part) and part.table == "dirs"]
    others = [part for part in parts if part not in folders]
    return (
        [_keys(part, "files") for part in others] or None,
        [part.values for part in folders] or None,
    )


def _genrules_of(parts: Sequence[Part]) -> tuple[Genrule, ...]:
    sources = [value for part in parts if isinstance(part, Part) for value in part.values.values()]
    rules = {rule.label: rule for rule in sources if isinstance(rule, Genrule)}
    return tuple(rules.values())


def _both(origin: str, one: str, other: str) -> ConfigErrors:
    return ConfigErrors((ConfigError(origin, f"wanted {one} or {other}, got both"),))
