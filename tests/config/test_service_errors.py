"""What users read when a service.toml is wrong, word for word."""

import difflib
from typing import Any

import pytest

from scratchtasks.config.service import parse_service
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.platform import Platform

FILE = "services/api/service.toml"
BINARY = '[binary]\nrule = "go_binary"\n'
RUST = '[binary]\nrule = "rust_binary"\n'
PATH_HINT = (
    "after the host comes a path: lower-case letters and digits, joined by '/', '.', '_' or '-'"
)


def errors_of(text: str, folder: str = "services/api") -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        parse_service(
            text,
            origin=FILE,
            folder=folder,
            defaults=WorkspaceDefaults(),
            host=Platform("linux", "amd64"),
        )
    return [str(error) for error in caught.value.errors]


# fmt: off
LINES = [
    # [image] value → what follows the file's name
    ('ports = ["80/tcp", 8080]', 'image.ports[1]: wanted "PORT/tcp", got the integer 8080'),
    ('ports = ["8080"]', 'image.ports[0]: wanted "PORT/tcp", got the string "8080"\n'
     '    hint: write "8080/tcp"'),
    ('ports = ["65536/tcp"]', 'image.ports[0]: wanted "PORT/tcp", got the string "65536/tcp"\n'
     '    hint: a port is at most 65535'),
    ('ports = ["80/tpc"]', 'image.ports[0]: wanted "PORT/tcp", got the string "80/tpc"\n'
     "    hint: did you mean 'tcp'?"),
    ('ports = ["80/http"]', 'image.ports[0]: wanted "PORT/tcp", got the string "80/http"\n'
     '    hint: known: sctp, tcp, udp'),
    ('ports = ["http/tcp"]', 'image.ports[0]: wanted "PORT/tcp", got the string "http/tcp"'),
    ('ports = ["1/udp", "2/udp", "1/udp"]', 'image.ports[2]: the same as image.ports[0]'),
    ('user = 1001', 'image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid" or "root", '
     'got the integer 1001'),
    ('user = "app"', 'image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid" or "root", '
     'got the string "app"\n    hint: give the user a number, such as "app:1001"'),
    ('user = "nobody"', 'image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid" or '
     '"root", got the string "nobody"\n    hint: give the user a number, "nobody:65534"'),
    ('user = "app:2147483648"', 'image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid" '
     'or "root", got the string "app:2147483648"\n    hint: numbers go from 1 to 2147483647'),
    ('user = "-app:7"', 'image.user: wanted a user name, got "-app"\n'
     "    hint: up to 32 letters, digits, '.', '_' and '-', a letter or '_' first (POSIX)"),
    ('user = "0"', 'image.user: "user:0" has root\'s uid 0\n'
     '    hint: root must be asked for by name: "root"'),
    ('user = "root:7"', 'image.user: "root:7" has root\'s name\n    hint: choose another name'),
    ('user = "app:65534"', 'image.user: "app:65534" and "nobody:65534", which every image has, '
     'share the uid 65534\n    hint: choose another, or take "nobody:65534" itself'),
    ('user = "nobody:7"', 'image.user: "nobody:7" and "nobody:65534", which every image has, '
     'share the name nobody\n    hint: choose another, or take "nobody:65534" itself'),
    ('user = "app:7:65534"', 'image.user: "app:7" and "nobody:65534", which every image has, '
     'share the gid 65534\n    hint: choose another, or take "nobody:65534" itself'),
    ('platforms = ["linux/arm65"]', 'image.platforms[0]: unknown platform "linux/arm65"\n'
     "    hint: did you mean 'linux/arm64'?"),
    ('platforms = []', 'image.platforms: wanted an array of platforms (linux/amd64, linux/arm64, '
     'linux/arm/v7, linux/386, linux/riscv64, linux/s390x, linux/ppc64le), at least one, '
     'got an empty array'),
    ('essentials = ["cert"]', 'image.essentials[0]: unknown essential "cert"\n'
     "    hint: did you mean 'certs'?"),
    ('entrypoint = ["api"]', 'image.entrypoint[0]: wanted an absolute path inside the image, got '
     'the string "api"\n    hint: there is no shell and no search path'),
    ('entrypoint = []', 'image.entrypoint: empty, and so is cmd: nothing would run'),
    ('entrypoint = []\ncmd = ["api"]', 'image.cmd[0]: wanted an absolute path, as there is no '
     'entrypoint, got the string "api"'),
    ('cmd = "serve"', 'image.cmd: wanted an array of strings, got the string "serve"\n'
     '    hint: write ["serve"]'),
    ('cmd = [1]', 'image.cmd[0]: wanted a string, got the integer 1\n    hint: put it in quotes'),
    ('cmd = ["a\\u0000"]', 'image.cmd[0]: wanted a string without NUL characters'),
    ('env = { "A=B" = "1" }', "image.env: wanted a variable name of letters, digits, '_', '.' and "
     "'-', got the string \"A=B\""),
    ('env = { PORT = 80 }', 'image.env.PORT: wanted a string, got the integer 80\n'
     '    hint: put it in quotes'),
    ('labels.org.vendor = "Example"', 'image.labels.org: wanted a string, got a table\n'
     '    hint: a name with dots is written in quotes: "org.vendor"'),
    ('workdir = "srv"', 'image.workdir: wanted an absolute path inside the image, got the string '
     '"srv"'),
    ('volumes = ["/a/../b"]', "image.volumes[0]: wanted a path without '.', '..' or '//', got the "
     'string "/a/../b"'),
    ('volumes = ["/a\\u001b[1m"]', 'image.volumes[0]: wanted a path of printable characters, got '
     'the string "/a\\u001B[1m"'),
    ('stop_signal = "TERM"', 'image.stop_signal: unknown signal "TERM"\n'
     "    hint: did you mean 'SIGTERM'?"),
    ('stop_signal = 65', 'image.stop_signal: wanted a signal such as "SIGTERM" or 15, got the '
     'integer 65'),
    ('healthcheck = {}', 'image.healthcheck.command: missing (wanted an array of strings, an '
     'absolute path first)'),
    ('healthcheck = { command = ["/h"], interval = 30 }', 'image.healthcheck.interval: wanted a '
     'duration such as "30s", "1m30s" or "500ms", got the integer 30'),
    ('healthcheck = { command = ["/h"], interval = "30s1m" }', 'image.healthcheck.interval: '
     'wanted a duration such as "30s", "1m30s" or "500ms", got the string "30s1m"'),
    ('healthcheck = { command = ["/h"], timeout = "0s" }', 'image.healthcheck.timeout: wanted a '
     'duration such as "30s", "1m30s" or "500ms", got the string "0s"'),
    ('max_size = 20', 'image.max_size: wanted a size such as "20MiB" or "500kB", got the integer '
     '20'),
    ('files = [{ src = "/etc/motd", dest = "/etc/motd" }]', 'image.files[0].src: wanted a relative '
     'path inside the workspace, got the string "/etc/motd"'),
    ('files = [{ src = "../../../x", dest = "/x" }]', 'image.files[0].src: "../../../x" leads out '
     'of the workspace'),
    ('files = [{ src = "//certs", dest = "/x" }]', 'image.files[0].src: wanted "//folder:name", '
     'got the string "//certs"'),
    ('files = [{ src = "//../a:b", dest = "/x" }]', 'image.files[0].src: wanted a label inside the '
     'workspace, got the string "//../a:b"'),
    ('files = [{ src = "a", dest = "/a", mode = 0o644 }]', 'image.files[0].mode: wanted an octal '
     'mode such as "0644" or "1777", got the integer 420\n    hint: put it in quotes'),
    ('dirs = [{ path = "/d", owner = "ap" }]\nuser = "app:7"', 'image.dirs[0].owner: unknown user '
     '"ap"\n    hint: did you mean \'app\'?'),
    ('dirs = [{ path = "/d", owner = "7" }]', 'image.dirs[0].owner: wanted a user name of the '
     'image or "uid:gid", got the string "7"'),
    ('dirs = [{ path = "/' + "d" * 256 + '" }]', 'image.dirs[0].path: wanted names of at most 255 '
     'bytes, got the string "/' + "d" * 59 + '…"'),
    ('files = "web"', 'image.files: wanted an array of tables, got the string "web"'),
]

TABLES = [
    # whole files → whole errors
    ('plaform = []\n' + BINARY, f"{FILE}: unknown key 'plaform'\n"
     "    hint: did you mean 'platforms'? it belongs into [image]"),
    (BINARY + '[image]\nplaform = []', f"{FILE}: unknown key 'image.plaform'\n"
     "    hint: did you mean 'platforms'?"),
    (BINARY + '[push]\nrepository = "registry.example.com/a"\nuser = "a:1"',
     f"{FILE}: unknown key 'push.user'\n    hint: known: repository, smoke, tags"),
    ('user = "app:7"\n' + BINARY, f"{FILE}: unknown key 'user'\n"
     "    hint: 'user' belongs into [image]"),
    (BINARY + '[image]\nhealthcheck = { command = ["/h"], "time out" = "1s" }',
     f"{FILE}: unknown key 'image.healthcheck.\"time out\"'\n    hint: did you mean 'timeout'?"),
    ('[image]\nuser = "root"', f"{FILE}: image.entrypoint: missing, and there is no [binary]\n"
     "    hint: a [binary], or image.entrypoint for an image of files only"),
    ('[binary]\nname = "x"', f'{FILE}: binary.rule: missing (wanted one of "go_binary", '
     '"rust_binary", "c_binary", "prebuilt")'),
    ('[binary]\nrule = "go_bianry"\npackage = 1', f'{FILE}: binary.rule: unknown rule "go_bianry"\n'
     "    hint: did you mean 'go_binary'?"),
    (BINARY + 'crate = "."', f"{FILE}: unknown key 'binary.crate'\n"
     "    hint: go_binary takes rule, name, dest, package, tags, ldflags"),
    (BINARY + 'pakage = "."', f"{FILE}: unknown key 'binary.pakage'\n"
     "    hint: did you mean 'package'? go_binary takes rule, name, dest, package, tags, ldflags"),
    (BINARY + 'package = "./..."', f'{FILE}: binary.package: wanted one package, got the string '
     '"./..."\n    hint: declare each binary: [[binary]] …'),
    (BINARY + 'package = "-toolexec=x"', f'{FILE}: binary.package: wanted a relative path inside '
     'the workspace, got the string "-toolexec=x"'),
    (BINARY + 'ldflags = ["-X v={git.desc}"]', f'{FILE}: binary.ldflags[0]: unknown template '
     '"{git.desc}"\n    hint: did you mean \'{git.describe}\'?'),
    ('[[binary]]\nrule = "go_binary"\n[[binary]]\nrule = "go_binary"\npackage = "./b"',
     f'{FILE}: binary[1].name: "api" is the name of binary[0] too\n'
     "    hint: give each binary a name of its own"),
    ('[[binary]]\nrule = "go_binary"\n[[binary]]\nrule = "go_binary"\nname = "b"\n'
     'dest = "/usr/bin/api"', f'{FILE}: binary[1].dest: "/usr/bin/api" is the dest of binary[0] '
     "too\n    hint: give each binary a name of its own"),
    (RUST + 'env = ["A=1"]', f'{FILE}: binary.env: wanted a table of strings, templates allowed, '
     'got an array'),
    (RUST + 'env = { A = 1 }', f'{FILE}: binary.env.A: wanted a string, got the integer 1\n'
     '    hint: put it in quotes'),
    (RUST + 'env = { GIT_HASH = "{git.shrot}" }', f'{FILE}: binary.env.GIT_HASH: unknown template '
     '"{git.shrot}"\n    hint: did you mean \'{git.short}\'?'),
    *((RUST + f'env = {{ "{name}" = "1" }}', f'{FILE}: binary.env: wanted a variable name of '
       f"letters, digits and '_', a letter first, got {got}")
      for name, got in [("GIT-HASH", 'the string "GIT-HASH"'), ("_A", 'the string "_A"'),
                        ("1A", 'the string "1A"'), ("A=B", 'the string "A=B"'),
                        ("", 'the string ""')]),
    *((RUST + f'env = {{ {name} = "1" }}', f'{FILE}: binary.env: "{name}" is not yours to set: '
       "cargo, compilers or scratchtasks rely on it\n"
       "    hint: .cargo/config.toml is the place for cargo's own settings")
      for name in ("PATH", "HOME", "TMPDIR", "CARGO_HOME", "CARGO_PKG_VERSION", "RUSTC",
                   "RUSTC_BOOTSTRAP", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "TARGET", "OUT_DIR",
                   "SOURCE_DATE_EPOCH", "CC_x86_64_unknown_linux_musl", "SCRATCH_ENV", "IFS")),
    ('[binary]\nrule = "c_binary"', f"{FILE}: binary.srcs: missing (wanted an array of globs)"),
    ('name = "My API"\n' + BINARY, f"{FILE}: name: wanted a name of lower-case letters and digits, "
     "joined by single '.', '_' or '-', got the string \"My API\""),
    ('name = "images.json"\n' + BINARY, f'{FILE}: name: "images.json" is taken by dist/images.json'
     "\n    hint: choose another name"),
    (BINARY + '[image]\nessentials = []\n[certs]\nextra = ["corp.pem"]',
     f'{FILE}: certs: has no effect: image.essentials leave out "certs"'),
    (BINARY + '[certs]\npublic = false', f"{FILE}: certs: neither public nor extra: nothing is "
     'trusted\n    hint: to do without, leave "certs" out of image.essentials'),
    (BINARY + '[certs]\nroots = []', f"{FILE}: unknown key 'certs.roots'\n"
     "    hint: known: extra, public, require, source"),
    (BINARY + '[certs]\nsource = "certify"', f'{FILE}: certs.source: unknown source "certify"\n'
     "    hint: did you mean 'certifi'?"),
    (BINARY + '[certs]\nsource = { image = "https://u:pw@example.com/a" }', f"{FILE}: "
     'certs.source.image: wanted an image such as "docker.io/library/alpine:3" without scheme and '
     "credentials"),
    (BINARY + '[certs]\nsource = { debian = "ca-certificate" }', f"{FILE}: certs.source.debian: "
     'unknown package "ca-certificate"\n    hint: did you mean \'ca-certificates\'?'),
    (BINARY + '[certs]\npublic = false\nextra = ["a.pem"]\nsource = "machine"',
     f"{FILE}: certs.source: has no effect: certs.public is false"),
    (BINARY + '[certs]\nrequire = ["sha256:12"]', f"{FILE}: certs.require[0]: wanted \"sha256:\" "
     'and 64 hex digits, got the string "sha256:12"'),
    (BINARY + '[zoneinfo]\nsource = { image = "a b" }', f"{FILE}: zoneinfo.source.image: wanted an "
     'image such as "docker.io/library/alpine:3", got the string "a b"'),
    (BINARY + '[zoneinfo]\nsource = "//zones:x"', f'{FILE}: zoneinfo.source: unknown source '
     '"//zones:x"\n    hint: known: machine, tzdata'),
    (BINARY + '[image]\nfiles = [{ from = "image:alpine", src = "a", dest = "/a" }]',
     f'{FILE}: image.files[0].src: wanted an absolute path inside the image, got the string "a"'),
    (BINARY + '[zoneinfo]\nzones = ["../UTC"]', f'{FILE}: zoneinfo.zones[0]: wanted a zone or glob '
     'such as "UTC" or "Europe/*", got the string "../UTC"'),
    (BINARY + '[hosts.entries]\nlocalhost = "10.0.0.1"', f'{FILE}: hosts.entries: "localhost" '
     "always stands for loopback\n    hint: leave it out"),
    (BINARY + '[hosts.entries]\nDb = "::1"\ndb = "::1"', f"{FILE}: hosts.entries.db: the same host "
     "as hosts.entries.Db"),
    (BINARY + '[hosts.entries]\n"a b" = "::1"', f'{FILE}: hosts.entries: wanted a host name, got '
     '"a b"'),
    (BINARY + '[hosts.entries]\ndb.internal = "::1"', f"{FILE}: hosts.entries.db: wanted an IPv4 "
     'or IPv6 address, got a table\n    hint: a name with dots is written in quotes: '
     '"db.internal"'),
    (BINARY + '[hosts.entries]\ndb = "fe80::1%eth0"', f"{FILE}: hosts.entries.db: wanted an IPv4 "
     'or IPv6 address, got the string "fe80::1%eth0"'),
    (BINARY + '[smoke]\nstdout = "a("', f"{FILE}: smoke.stdout: not a regular expression: missing "
     "), unterminated subpattern at position 1"),
    (BINARY + '[smoke]\ntimeout = "1500ms"', f"{FILE}: smoke.timeout: wanted whole seconds up to a "
     'day, such as "10s" or "2m", got the string "1500ms"'),
    (BINARY + "[smoke]\nread_only = 1", f"{FILE}: smoke.read_only: wanted true or false, got the "
     "integer 1"),
    (BINARY + '[smoke]\nhttp_path = "/"', f"{FILE}: smoke.http_port: missing, and image.ports has "
     "no tcp port"),
    (BINARY + '[push]\nrepository = "registry.example.com/a"\nsmoke = true',
     f"{FILE}: push.smoke: there is no [smoke] to pass"),
    (BINARY + '[push]\nrepository = "registry.example.com/a"\nsmoke = true\n[smoke]\nargs = 1',
     f"{FILE}: smoke.args: wanted an array of strings, got the integer 1"),
    (BINARY + '[push]\nrepository = "registry.example.com/a"\nsmoke = "yes"\n[smoke]',
     f'{FILE}: push.smoke: wanted true or false, got the string "yes"'),
    (BINARY + '[push]\ntags = ["a"]', f"{FILE}: push.repository: missing (wanted "
     '"registry.example.com/path")'),
    (BINARY + '[push]\nrepository = "me:secret@registry.example.com/a"', f"{FILE}: push.repository:"
     ' wanted "registry.example.com/path" without scheme, credentials or digest'),
    (BINARY + '[push]\nrepository = "registry.example.com/a:1"', f"{FILE}: push.repository: wanted "
     '"registry.example.com/path", got the string "registry.example.com/a:1"\n'
     "    hint: tags go into push.tags"),
    *((BINARY + f'[push]\nrepository = "{repository}"', f'{FILE}: push.repository: wanted '
       f'"registry.example.com/path", got the string "{repository}"\n    hint: {hint}')
      for repository, hint in (
        ("registry.example.com/Team/a", PATH_HINT),
        ("localhost:5000", PATH_HINT),
        ("team/a", "the registry's host comes first"),
        ("registry_.example.com/a", "the registry's host comes first"),
      )),
    (BINARY + '[push]\nrepository = "registry.example.com/a"\ntags = ["{git.short}/x"]',
     f"{FILE}: push.tags[0]: wanted a tag of letters, digits, '.', '_' and '-', templates allowed, "
     'got the string "{git.short}/x"'),
    ('image = 3\n' + BINARY, f"{FILE}: image: wanted a table, got the integer 3"),
    ('binary = 1979-05-27\n', f"{FILE}: binary: wanted a table or an array of tables, got a date"),
    ('name = \n', f"{FILE}: line 1, column 8: not TOML: invalid value"),
    ('x = ' + '[' * 5000, f"{FILE}: not TOML: nested too deeply"),
    ('x = ' + '1' * 5000, f"{FILE}: not TOML: a number is too long"),
]
# fmt: on


@pytest.mark.parametrize(("line", "error"), LINES, ids=[line for line, _ in LINES])
def test_each_fault_of_image_is_told_in_these_words(line: str, error: str) -> None:
    assert errors_of(f"{BINARY}[image]\n{line}") == [f"{FILE}: {error}"]


@pytest.mark.parametrize(("text", "error"), TABLES, ids=[error[26:60] for _, error in TABLES])
def test_each_fault_of_a_file_is_told_in_these_words(text: str, error: str) -> None:
    assert errors_of(text) == [error]


@pytest.mark.parametrize(
    ("folder", "error"),
    [
        ("", "name: missing (wanted a name, for there is no folder's)"),
        (
            "services/Über",
            'name: missing, and the folder\'s name "Über" cannot stand in\n    hint: wanted a name '
            "of lower-case letters and digits, joined by single '.', '_' or '-'",
        ),
    ],
)
def test_a_folder_s_name_must_do_where_there_is_no_other(folder: str, error: str) -> None:
    assert errors_of(BINARY, folder) == [f"{FILE}: {error}"]


def faults_of(folder: str, text: str) -> tuple[ConfigError, ...]:
    try:
        parse_service(
            text,
            origin=f"{folder}/service.toml",
            folder=folder,
            defaults=WorkspaceDefaults(),
            host=Platform("linux", "amd64"),
        )
    except ConfigErrors as error:
        return error.errors
    return ()


def test_all_faults_of_a_file_are_told_at_once_in_file_order() -> None:
    texts = {
        "a": 'nam = "x"\n[image]\nports = [80, "81/tcp", 82]\nuser = "app"\n[hosts]\nentries = 1',
        "b": BINARY,
        "c": "oops",
        "d": '[image]\nfiles = [{ src = 1 }, { dest = "x" }]\n[binary]\nrule = "prebuilt"',
    }

    told = [error for name, text in texts.items() for error in faults_of(name, text)]
    assert str(ConfigErrors(tuple(told))).splitlines() == [
        "a/service.toml: unknown key 'nam'",
        "    hint: did you mean 'name'?",
        'a/service.toml: image.ports[0]: wanted "PORT/tcp", got the integer 80',
        'a/service.toml: image.ports[2]: wanted "PORT/tcp", got the integer 82',
        'a/service.toml: image.user: wanted "name:uid", "name:uid:gid", "uid", "uid:gid" or "root"'
        ', got the string "app"',
        '    hint: give the user a number, such as "app:1001"',
        "a/service.toml: hosts.entries: wanted a table of host name = IPv4 or IPv6 address, "
        "got the integer 1",
        "a/service.toml: image.entrypoint: missing, and there is no [binary]",
        "    hint: a [binary], or image.entrypoint for an image of files only",
        "c/service.toml: line 1, column 5: not TOML: expected '=' after a key in a key/value pair",
        "d/service.toml: image.files[0].src: wanted a relative path inside the workspace or a "
        '"//folder:name" label, got the integer 1',
        "d/service.toml: image.files[0].dest: missing (wanted an absolute path inside the image)",
        "d/service.toml: image.files[1].dest: wanted an absolute path inside the image, "
        'got the string "x"',
        "d/service.toml: image.files[1].src: missing (wanted a relative path inside the workspace "
        'or a "//folder:name" label)',
        "d/service.toml: binary.path: missing (wanted a relative path inside the workspace or a "
        '"//folder:name" label)',
    ]


def test_the_first_faults_are_told_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = difflib.get_close_matches

    def count(word: str, *args: Any, **more: Any) -> list[str]:
        asked.append(word)
        return find(word, *args, **more)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    keys = "".join(f"nam{number} = 1\n" for number in range(100_000))
    told = errors_of(f"{keys}{BINARY}")
    assert told == [
        *(f"{FILE}: unknown key 'nam{n}'\n    hint: did you mean 'name'?" for n in range(20)),
        f"{FILE}: and 99,980 more",
    ]
    assert len(asked) <= 2 * 20  # each takes longer than all else that is done about a key


def test_large_arrays_are_compared_in_no_time() -> None:
    same = ", ".join(['"80/tcp"'] * 50_000)
    told = errors_of(f"{BINARY}\n[image]\nports = [{same}]\n")
    assert told[0] == f"{FILE}: image.ports[1]: the same as image.ports[0]"
    assert told[20:] == [f"{FILE}: and 49,979 more"]
    different = ", ".join(f'"{number}/tcp"' for number in range(1, 50_001))
    assert errors_of(f"{BINARY}\n[image]\nports = [{different}, 1]\n") == [
        f'{FILE}: image.ports[50000]: wanted "PORT/tcp", got the integer 1'
    ]
