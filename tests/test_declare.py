"""The Python functions say what service.toml says, through the same checks."""

import pytest

import scratchtasks
from scratchtasks.config.service import parse_service
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Genrule, Prebuilt, Service, Staged, User
from scratchtasks.declare import (
    Declaration,
    accounts,
    c_binary,
    ca_certificates,
    files,
    folder,
    genrule,
    go_binary,
    hosts,
    nsswitch,
    os_release,
    prebuilt,
    rust_binary,
    scratch_image,
    services_file,
    tmp,
    zoneinfo,
)

HOST = Platform("linux", "amd64")

TOML = """
name = "api"
[[binary]]
rule = "go_binary"
package = "./cmd/api"
tags = ["slim"]
ldflags = ["-X main.v={git.sha}"]
[[binary]]
rule = "rust_binary"
name = "worker"
crate = "worker"
bin = "w"
features = ["tls"]
default_features = false
env = { GIT_HASH = "{git.short}" }
[[binary]]
rule = "c_binary"
name = "probe"
dest = "/probe"
srcs = ["src/*.c"]
cflags = ["-O2"]
ldflags = ["-lm"]
cc = "cc"
cxx = "c++"
[[binary]]
rule = "prebuilt"
name = "tool"
path = "out/{os}/tool"
[image]
platforms = ["linux/amd64", "linux/arm64"]
essentials = ["certs", "zoneinfo", "accounts", "hosts", "nsswitch", "tmp", "services", "os-release"]
user = "app:1001"
entrypoint = ["/usr/bin/api"]
cmd = ["serve"]
env = { TZ = "UTC" }
ports = ["8080/tcp"]
workdir = "/srv"
volumes = ["/var/lib/api"]
stop_signal = "SIGINT"
healthcheck = { command = ["/probe"], interval = "30s" }
labels = { a = "b" }
files = [{ src = "web/dist", dest = "/srv/www", mode = "0444", owner = "app" }]
dirs = [{ path = "/var/lib/api", mode = "0700", owner = "app" }]
max_size = "20MiB"
[certs]
extra = ["//certs:corp.pem"]
public = false
[zoneinfo]
zones = ["UTC"]
[hosts]
entries = { db = "10.0.0.7" }
[smoke]
args = ["--version"]
[push]
repository = "registry.example.com/api"
"""


def service(declaration: Declaration) -> Service:
    return declaration.service(WorkspaceDefaults(), HOST)


def faults(declaration: Declaration) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        service(declaration)
    return [str(error) for error in caught.value.errors]


def test_every_key_of_toml_has_its_argument() -> None:
    declared = scratch_image(
        "api",
        "services/api",
        binaries=[
            go_binary(package="./cmd/api", tags=["slim"], ldflags=["-X main.v={git.sha}"]),
            rust_binary(
                name="worker",
                crate="worker",
                bin="w",
                features=["tls"],
                default_features=False,
                env={"GIT_HASH": "{git.short}"},
            ),
            c_binary(
                name="probe",
                dest="/probe",
                srcs=["src/*.c"],
                cflags=["-O2"],
                ldflags=["-lm"],
                cc="cc",
                cxx="c++",
            ),
            prebuilt(name="tool", path="out/{os}/tool"),
        ],
        essentials=[
            ca_certificates(extra=["//certs:corp.pem"], public=False),
            zoneinfo(zones=["UTC"]),
            accounts(user="app:1001"),
            hosts(entries={"db": "10.0.0.7"}),
            nsswitch(),
            tmp(),
            services_file(),
            os_release(),
        ],
        files=[
            files(src="web/dist", dest="/srv/www", mode="0444", owner="app"),
            folder("/var/lib/api", mode="0700", owner="app"),
        ],
        platforms=["linux/amd64", "linux/arm64"],
        entrypoint=["/usr/bin/api"],
        cmd=["serve"],
        env={"TZ": "UTC"},
        ports=("8080/tcp",),
        workdir="/srv",
        volumes=["/var/lib/api"],
        stop_signal="SIGINT",
        healthcheck={"command": ["/probe"], "interval": "30s"},
        labels={"a": "b"},
        max_size="20MiB",
        smoke={"args": ["--version"]},
        push={"repository": "registry.example.com/api"},
    )
    written = parse_service(
        TOML,
        origin="services/api/service.toml",
        folder="services/api",
        defaults=WorkspaceDefaults(),
        host=HOST,
    )
    assert service(declared) == written
    assert service(declared).origin == "dodo.py: scratch_image('api')"


def test_little_need_be_said() -> None:
    short = service(scratch_image("api", "services/api", binary=go_binary()))
    assert short == parse_service(
        '[binary]\nrule = "go_binary"',
        origin="x",
        folder="services/api",
        defaults=WorkspaceDefaults(),
        host=HOST,
    )
    assert service(scratch_image("a", entrypoint=["/a"], essentials=[])).image.essentials == ()
    assert service(
        scratch_image("a", binary=go_binary(), essentials=["tmp"], user="root")
    ).image.user == User("root", 0, 0)


def test_parts_may_come_from_a_generator_or_alone() -> None:
    rule = genrule(name="rule", cmd=["make", "{out}"], outs=["a"])
    binary, file, place = go_binary(), files(src=rule, dest="/a"), folder("/b")
    listed = scratch_image("api", binaries=[binary], essentials=["tmp"], files=[file, place])
    assert service(listed).image.files == (Staged(src="//:rule", dest="/a"),)
    generated = scratch_image(
        "api",
        binaries=(each for each in [binary]),  # type: ignore[arg-type]
        essentials=map(str, ["tmp"]),  # type: ignore[arg-type]
        files=iter([file, place]),  # type: ignore[arg-type]
    )
    assert generated == listed
    alone = {"binaries": binary, "essentials": tmp(), "files": file}
    assert scratch_image("api", **alone) == scratch_image(  # type: ignore[arg-type]
        "api", binaries=[binary], essentials=["tmp"], files=[file]
    )
    neither = scratch_image("api", binary=binary, files=5)  # type: ignore[arg-type]
    assert faults(neither) == [
        "dodo.py: scratch_image('api'): image.files[0]: wanted a table, got the integer 5"
    ]


def test_all_public_names_may_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from scratchtasks import *", names)
    assert names["Workspace"] is scratchtasks.Workspace
    assert {*dir(scratchtasks)} == {*names} - {"__builtins__"}


def test_faults_name_the_call_and_the_path_of_toml() -> None:
    declared = scratch_image(
        "api",
        binary=go_binary(package="/src", tags="slim"),
        essentials=[ca_certificates(), ca_certificates(), "tmpp"],
        files=[files(src="a", dest="b"), go_binary()],
        ports=[8080],  # type: ignore[list-item]
        push={"repo": "x"},
    )
    where = "dodo.py: scratch_image('api')"
    assert faults(declared) == [
        f"{where}: binary[0].package: wanted a relative path inside the workspace, "
        'got the string "/src"',
        f'{where}: binary[0].tags: wanted an array of build tags, got the string "slim"\n'
        '    hint: write ["slim"]',
        f"{where}: image.essentials[1]: the same as image.essentials[0]",
        f"{where}: image.essentials[2]: unknown essential \"tmpp\"\n    hint: did you mean 'tmp'?",
        f'{where}: image.ports[0]: wanted "PORT/tcp", got the integer 8080',
        f"{where}: image.files[0].dest: wanted an absolute path inside the image, "
        'got the string "b"',
        f"{where}: image.files[1]: wanted a table, got a Part",
        f"{where}: unknown key 'push.repo'\n    hint: known: repository, smoke, tags",
        f'{where}: push.repository: missing (wanted "registry.example.com/path")',
    ]


def test_one_thing_said_in_two_ways_is_refused() -> None:
    with pytest.raises(ConfigErrors) as caught:
        scratch_image("api", binary=go_binary(), binaries=[go_binary()])
    assert str(caught.value) == "dodo.py: scratch_image('api'): wanted binary or binaries, got both"
    with pytest.raises(ConfigErrors) as caught:
        scratch_image("api", user="a:1", essentials=[accounts(user="b:2")])
    assert str(caught.value) == (
        "dodo.py: scratch_image('api'): wanted user or accounts(user=…), got both"
    )


def test_a_genrule_is_a_source_by_itself_or_by_its_label() -> None:
    schema = genrule(
        name="schema",
        folder="./gen/",
        cmd=["python3", "gen.py", "{out}"],
        srcs=["gen.py", "../shared/*.json"],
        outs=["schema.sql"],
        env={"LANG": "C.UTF-8"},
    )
    assert schema == Genrule(
        label=Label("gen", "schema"),
        cmd=("python3", "gen.py", "{out}"),
        srcs=("gen.py", "../shared/*.json"),
        outs=("schema.sql",),
        env={"LANG": "C.UTF-8"},
    )
    assert schema.origin == "dodo.py: genrule('schema')"
    both = genrule(name="both", cmd=["make"], srcs=[schema], outs=["a/1", "a/2"])
    assert both.srcs == ("//gen:schema",)
    declared = scratch_image(
        "api",
        binary=prebuilt(path=schema),
        files=[
            files(src=schema, dest="/a"),
            files(src="//gen:schema", dest="/b"),
            files(src="//:both/a/1", dest="/c"),
        ],
    )
    assert declared.genrules == (schema,)
    assert service(declared).binaries == (
        Prebuilt(name="api", dest="/usr/bin/api", path="//gen:schema"),
    )
    assert service(declared).image.files == (
        Staged(src="//gen:schema", dest="/a"),
        Staged(src="//gen:schema", dest="/b"),
        Staged(src="//:both/a/1", dest="/c"),
    )
    assert faults(scratch_image("api", entrypoint=["/a"], files=[files(src=both, dest="/a")])) == [
        "dodo.py: scratch_image('api'): image.files[0].src: //:both makes 2 files\n"
        '    hint: write "//:both/a/1" or "//:both/a/2", and have the rule in Workspace(rules=[…])'
    ]


def test_all_faults_of_a_genrule_are_told_at_once() -> None:
    with pytest.raises(ConfigErrors) as caught:
        genrule(
            name="image",
            folder="../gen",
            cmd="protoc",
            srcs=["/etc/x"],
            outs=["/a", "b/../c", "d", "d"],
            env={"N": 1},  # type: ignore[dict-item]
        )
    where = "dodo.py: genrule('image')"
    assert [str(error) for error in caught.value.errors] == [
        f'{where}: name: "image" is what a service\'s own target is called',
        f"{where}: folder: wanted a folder of the workspace, relative to its root, "
        'got the string "../gen"',
        f'{where}: cmd: wanted an array of strings, got the string "protoc"\n'
        '    hint: write ["protoc"]',
        f'{where}: srcs[0]: wanted a relative path inside the workspace, got the string "/etc/x"',
        f"{where}: outs[0]: wanted a relative path without '.' and '..', got the string \"/a\"",
        f"{where}: outs[1]: wanted a relative path without '.' and '..', got the string \"b/../c\"",
        f"{where}: outs[3]: the same as outs[2]",
        f"{where}: env.N: wanted a string, got the integer 1\n    hint: put it in quotes",
    ]
    with pytest.raises(ConfigErrors) as caught:
        genrule(name="none", cmd=[], outs=[])
    assert str(caught.value) == (
        "dodo.py: genrule('none'): cmd: wanted an array of strings, at least one, got an empty "
        "array\ndodo.py: genrule('none'): outs: wanted an array of relative paths, at least one, "
        "got an empty array"
    )
