"""service.toml becomes exactly the values it says, and the documented defaults."""

from dataclasses import replace

import pytest

from scratchtasks.config.service import parse_service, service_from_tables
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import (
    ESSENTIALS,
    CBinary,
    Certs,
    Folder,
    GoBinary,
    Healthcheck,
    Image,
    Prebuilt,
    Push,
    RustBinary,
    Service,
    Smoke,
    Staged,
    User,
)

HOST = Platform("linux", "riscv64")

DESIGN = """
name = "api"

[binary]
rule    = "go_binary"
package = "./cmd/api"
ldflags = ["-X main.version={git.describe}"]
tags    = []

[image]
platforms  = ["linux/amd64", "linux/arm64"]
essentials = ["certs", "zoneinfo", "accounts", "hosts", "nsswitch", "tmp"]
user       = "app:1001"
entrypoint = ["/usr/bin/api"]
cmd        = []
env        = { TZ = "Europe/Paris" }
ports      = ["8080/tcp"]
workdir    = "/"
volumes    = ["/var/lib/api"]
stop_signal = "SIGTERM"
healthcheck = { command = ["/usr/bin/api", "health"], interval = "30s", timeout = "5s", retries=3 }
labels     = { "org.opencontainers.image.source" = "…" }
files      = [{ src = "web/dist", dest = "/srv/www", mode = "0644" }]
dirs       = [{ path = "/var/lib/api", mode = "0700", owner = "app" }]
max_size   = "20MiB"

[certs]
extra = ["//certs:corp.pem"]
[zoneinfo]
zones = ["UTC", "Europe/*"]
[hosts]
entries = { "db.internal" = "10.0.0.7" }

[smoke]
command = ["/usr/bin/api", "--version"]
stdout  = "api 1."

[push]
repository = "registry.example.com/team/api"
tags       = ["{git.short}", "latest"]
"""


def parse(
    text: str, folder: str = "services/api", defaults: WorkspaceDefaults | None = None
) -> Service:
    return parse_service(
        text,
        origin=f"{folder}/service.toml",
        folder=folder,
        defaults=defaults or WorkspaceDefaults(),
        host=HOST,
    )


def test_the_design_s_file_is_read_to_the_last_key() -> None:
    assert parse(DESIGN) == Service(
        name="api",
        folder="services/api",
        binaries=(
            GoBinary(
                name="api",
                dest="/usr/bin/api",
                package="./cmd/api",
                ldflags=("-X main.version={git.describe}",),
            ),
        ),
        image=Image(
            platforms=(Platform("linux", "amd64"), Platform("linux", "arm64")),
            essentials=ESSENTIALS,
            user=User("app", 1001, 1001),
            entrypoint=("/usr/bin/api",),
            env={"TZ": "Europe/Paris"},
            ports=("8080/tcp",),
            workdir="/",
            volumes=("/var/lib/api",),
            stop_signal="SIGTERM",
            healthcheck=Healthcheck(
                command=("/usr/bin/api", "health"),
                interval=30_000_000_000,
                timeout=5_000_000_000,
                retries=3,
            ),
            labels={"org.opencontainers.image.source": "…"},
            files=(Staged(src="web/dist", dest="/srv/www", mode=0o644),),
            dirs=(Folder(path="/var/lib/api", mode=0o700, owner="app"),),
            max_size=20 * 1024**2,
        ),
        certs=Certs(extra=("//certs:corp.pem",)),
        zones=("UTC", "Europe/*"),
        hosts={"db.internal": "10.0.0.7"},
        smoke=Smoke(command=("/usr/bin/api", "--version"), stdout="api 1."),
        push=Push(repository="registry.example.com/team/api", tags=("{git.short}", "latest")),
    )


def test_everything_but_the_binary_has_a_default() -> None:
    service = parse('[binary]\nrule = "go_binary"')
    assert service == Service(
        name="api",
        folder="services/api",
        binaries=(GoBinary(name="api", dest="/usr/bin/api", package="."),),
        image=Image(
            platforms=(HOST,),
            user=User("nonroot", 65532, 65532),
            entrypoint=("/usr/bin/api",),
            essentials=("certs", "zoneinfo", "accounts", "hosts", "nsswitch", "tmp"),
        ),
    )
    assert service.origin == "services/api/service.toml"


def test_every_rule_has_its_own_keys() -> None:
    service = parse("""
        [[binary]]
        rule = "rust_binary"
        crate = "../worker"
        bin = "worker-cli"
        features = ["tls", "dep/json"]
        default_features = false
        env = { GIT_HASH = "{git.short}", CHANNEL = "stable" }
        [[binary]]
        rule = "c_binary"
        name = "probe"
        dest = "/probe"
        srcs = ["src/*.c"]
        cflags = ["-O2"]
        ldflags = ["-lm"]
        cc = "x86_64-linux-musl-gcc"
        cxx = "/opt/musl/bin/g++"
        [[binary]]
        rule = "prebuilt"
        name = "tool"
        path = "//tools:out/{os}-{architecture}{variant}/tool"
    """)
    assert service.binaries == (
        RustBinary(
            name="api",
            dest="/usr/bin/api",
            crate="../worker",
            bin="worker-cli",
            features=("tls", "dep/json"),
            default_features=False,
            env={"GIT_HASH": "{git.short}", "CHANNEL": "stable"},
        ),
        CBinary(
            name="probe",
            dest="/probe",
            srcs=("src/*.c",),
            cflags=("-O2",),
            ldflags=("-lm",),
            cc="x86_64-linux-musl-gcc",
            cxx="/opt/musl/bin/g++",
        ),
        Prebuilt(
            name="tool",
            dest="/usr/bin/tool",
            path="//tools:out/{os}-{architecture}{variant}/tool",
        ),
    )
    assert service.image.entrypoint == ("/usr/bin/api",)


def test_an_image_of_files_only_names_its_entrypoint() -> None:
    service = parse("""
        [image]
        entrypoint = ["/srv/run"]
        files = [{ src = "./run/", dest = "/srv/run/", owner = "1:2" }]
    """)
    assert service.binaries == ()
    assert service.image.files == (Staged(src="run", dest="/srv/run", owner="1:2"),)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("root", User("root", 0, 0)),
        ("root:0:0", User("root", 0, 0)),
        ("app:1001", User("app", 1001, 1001)),
        ("app:1001:0", User("app", 1001, 0)),
        ("_a.b-c:2147483647:7", User("_a.b-c", 2147483647, 7)),
        ("1001", User("user", 1001, 1001)),
        ("1001:1002", User("user", 1001, 1002)),
        ("65532", User("nonroot", 65532, 65532)),
        ("65534", User("nobody", 65534, 65534)),
        ("nobody:65534", User("nobody", 65534, 65534)),
    ],
)
def test_users_are_written_in_many_ways(text: str, user: User) -> None:
    assert parse(f'[binary]\nrule = "go_binary"\n[image]\nuser = "{text}"').image.user == user


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("30s", 30 * 10**9),
        ("1m30s", 90 * 10**9),
        ("500ms", 5 * 10**8),
        ("1h2m3s4ms", 3_723_004_000_000),
        ("1m500ms", 60_500_000_000),
    ],
)
def test_durations_are_nanoseconds(text: str, nanoseconds: int) -> None:
    check = f'healthcheck = {{ command = ["/h"], start_period = "{text}" }}'
    health = parse(f'[image]\nentrypoint = ["/h"]\n{check}').image.healthcheck
    assert health == Healthcheck(command=("/h",), start_period=nanoseconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("500kB", 500_000), ("500 KB", 500_000), ("2KiB", 2048), ("3GiB", 3 * 1024**3)],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse(f'[image]\nentrypoint = ["/h"]\nmax_size = "{text}"').image.max_size == size


def test_values_get_one_canonical_form() -> None:
    service = parse("""
        [image]
        entrypoint = []
        cmd = ["/srv/run"]
        essentials = ["os-release", "tmp", "hosts", "certs"]
        platforms = ["linux/arm64/v8"]
        stop_signal = 15
        volumes = ["/data/"]
        ports = ["53/udp", "80/tcp"]
        [hosts]
        entries = { v6 = "2001:0DB8::0001", v4 = "::ffff:a00:7" }
        [smoke]
        http_path = "/health"
        timeout = "2m"
        read_only = true
    """)
    assert service.image.essentials == ("certs", "hosts", "tmp", "os-release")
    assert service.image.platforms == (Platform("linux", "arm64"),)
    assert service.image.stop_signal == "15"
    assert service.image.volumes == ("/data",)
    assert service.hosts == {"v6": "2001:db8::1", "v4": "::ffff:10.0.0.7"}
    assert service.smoke == Smoke(
        http_path="/health", http_port=80, timeout_seconds=120, read_only=True
    )


def test_a_push_may_wait_for_the_smoke_test() -> None:
    text = '[binary]\nrule = "go_binary"\n[push]\nrepository = "registry.example.com/api"\n'
    push = Push(repository="registry.example.com/api", tags=("latest",), smoke=False)
    assert parse(text).push == parse(f"{text}smoke = false\n").push == push
    gated = parse(f"{text}smoke = true\n[smoke]\n")
    assert (gated.push, gated.smoke) == (replace(push, smoke=True), Smoke())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"cst.yaml"', ("cst.yaml",)),
        ('["tests/../cst.yaml", "//tests:all.yaml"]', ("cst.yaml", "//tests:all.yaml")),
    ],
)
def test_structure_tests_are_paths_and_labels(written: str, read: tuple[str, ...]) -> None:
    text = f'[binary]\nrule = "go_binary"\n[smoke]\nstructure_test = {written}\n'
    assert parse(text).smoke == Smoke(structure_test=read)


def test_the_workspace_s_image_is_the_default_and_maps_are_merged() -> None:
    defaults = WorkspaceDefaults(
        labels={"vendor": "Example", "tier": "back"},
        env={"TZ": "UTC", "LANG": "C.UTF-8"},
        user=User("app", 1001, 1001),
        platforms=(Platform("linux", "amd64"),),
        essentials=("accounts",),
    )
    rule = '[binary]\nrule = "go_binary"\n'
    bare = parse(rule, defaults=defaults).image
    assert (bare.labels, bare.env, bare.user, bare.platforms, bare.essentials) == (
        defaults.labels,
        defaults.env,
        defaults.user,
        defaults.platforms,
        defaults.essentials,
    )
    own = '[image]\nuser = "root"\nessentials = []\nlabels.tier = "front"\nenv.TZ = "Asia/Tokyo"'
    assert parse(rule + own, defaults=defaults).image == replace(
        bare,
        user=User("root", 0, 0),
        essentials=(),
        labels={"vendor": "Example", "tier": "front"},
        env={"TZ": "Asia/Tokyo", "LANG": "C.UTF-8"},
    )


def test_a_service_may_be_the_workspace_root() -> None:
    text = 'name = "api"\n[binary]\nrule = "go_binary"\npackage = "./cmd/a"'
    assert parse(text, folder="").folder == ""
    with pytest.raises(ConfigErrors) as caught:
        parse(text.replace("./cmd/a", "../a"), folder="")
    assert str(caught.value) == ('/service.toml: binary.package: "../a" leads out of the workspace')


def test_tables_from_python_may_hold_tuples_and_odd_folders_are_normal() -> None:
    tables = {"binary": ({"rule": "go_binary", "tags": ("a",)},)}
    service = service_from_tables(
        tables,
        origin="dodo.py",
        folder="./services//api/",
        defaults=WorkspaceDefaults(),
        host=HOST,
    )
    assert service.folder == "services/api"
    assert service.binaries == (GoBinary(name="api", dest="/usr/bin/api", tags=("a",)),)
    with pytest.raises(ConfigErrors) as caught:
        service_from_tables(
            {**tables, "name": "x"},
            origin="dodo.py",
            folder="../api",
            defaults=WorkspaceDefaults(),
            host=HOST,
        )
    assert str(caught.value) == (
        "dodo.py: folder: wanted a folder of the workspace, relative to its root, "
        'got the string "../api"'
    )
