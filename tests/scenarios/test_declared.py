"""A dodo.py with Python alone: the same rules, the same images, and rules of one's own."""

import tarfile
from pathlib import Path

from .workspaces import GO_MOD, LOADER, QUICK, TWO_SERVICES, lone_go, site_of

PYTHON = """from scratchtasks import (
    Workspace, accounts, files, folder, genrule, go_binary, hosts, nsswitch, scratch_image, tmp
)

words = genrule(
    name="words",
    folder="gen",
    srcs=["*.txt"],
    outs=["upper.txt", "count"],
    cmd=["sh", "-c", 'cat "$@" | tr a-z A-Z > "$0/upper.txt"; echo $# > "$0/count"', "{out}",
         "{srcs}"],
)
again = genrule(
    name="again",
    folder="gen",
    srcs=["//gen:words/upper.txt"],
    outs=["twice.txt"],
    cmd=["sh", "-c", 'cat "$1" "$1" > "$0/twice.txt"', "{out}", "{srcs}"],
)
api = scratch_image(
    "api",
    "services/api",
    binary=go_binary(package="../../cmd/api", ldflags=["-X main.version={name}"]),
    essentials=[accounts(user="app:1001"), hosts(entries={"db": "10.0.0.7"}), nsswitch(), tmp()],
    files=[
        files(src=again, dest="/srv/twice.txt", mode="0444"),
        files(src="//gen:words/count", dest="/srv/count"),
        folder("/var/lib/api", mode="0700", owner="app"),
    ],
    env={"A": "b"},
)
"""
FILES = {
    "dodo.py": PYTHON + "\ntask_images = Workspace(images=[api], rules=[words, again])\n",
    "pyproject.toml": LOADER,
    "go.mod": GO_MOD,
    "cmd/api/main.go": lone_go("api"),
    "gen/a.txt": "a\n",
    "gen/b.txt": "b\n",
    "services/api/.keep": "",
}
TOML = """name = "api"

[binary]
rule = "go_binary"
package = "../../cmd/api"
ldflags = ["-X main.version={name}"]

[image]
user = "app:1001"
essentials = ["accounts", "hosts", "nsswitch", "tmp"]
env = { A = "b" }
files = [
    { src = "//gen:again", dest = "/srv/twice.txt", mode = "0444" },
    { src = "//gen:words/count", dest = "/srv/count" },
]
dirs = [{ path = "/var/lib/api", mode = "0700", owner = "app" }]

[hosts]
entries = { db = "10.0.0.7" }
"""


def test_python_and_toml_give_the_same_image(tmp_path: Path) -> None:
    python = site_of(tmp_path / "python", FILES)
    ran = python.doit()
    assert {action.split()[0] for action in ran.actions} >= {
        "//gen:words",
        "//gen:again",
        "//services/api:binary",
        "//services/api:image",
        "//services/api:rootfs",
    }
    assert python.doit().summary == "1 image up to date"
    dodo = PYTHON[: PYTHON.index("api = ")] + (
        'task_images = Workspace(services=["services/*"], rules=[words, again])\n'
    )
    files = {**FILES, "dodo.py": dodo, "services/api/service.toml": TOML}
    toml = site_of(tmp_path / "toml", files)
    toml.doit()
    assert toml.images() == python.images()


def test_rules_of_ones_own_are_cached_like_ours(tmp_path: Path) -> None:
    site = site_of(tmp_path / "ws", FILES)
    site.doit()
    first = site.images()
    site.write({"gen/c.txt": "c\n"})
    assert site.doit().actions == [
        "//gen:again Genrule",
        "//gen:words Genrule",
        "//services/api:image Image",
        "//services/api:rootfs Rootfs",
    ]
    assert site.images() == site.clean_build(tmp_path / "clean")
    (site.root / "gen/c.txt").unlink()
    assert site.doit().actions == []
    assert site.images() == first
    site.write({"gen/notes.md": "no source of any rule"})
    assert site.doit().summary == "1 image up to date"


def test_what_a_rule_made_executable_is_so_in_the_image(tmp_path: Path) -> None:
    dodo = FILES["dodo.py"].replace("; echo $#", '; chmod 755 "$0/upper.txt"; echo $#')
    dodo = dodo.replace('src="//gen:words/count"', 'src="//gen:words/upper.txt"')
    site = site_of(tmp_path / "ws", {**FILES, "dodo.py": dodo})
    site.doit()
    with tarfile.open(site.layers("api")["files"]) as tar:
        modes = {member.name: member.mode for member in tar if member.isfile()}
    assert modes == {"srv/count": 0o755, "srv/twice.txt": 0o444}
    # Content stays, so only the fact tells that it is another image.
    site.write({"dodo.py": dodo.replace("chmod 755", "chmod 644")})
    assert site.doit().summary == "1 image, 1 rebuilt"
    with tarfile.open(site.layers("api")["files"]) as tar:
        assert tar.getmember("srv/count").mode == 0o644


def test_a_rule_that_fails_says_what_and_its_message_is_shown_once(tmp_path: Path) -> None:
    dodo = FILES["dodo.py"].replace("tr a-z A-Z", "tr a-z").replace("echo $#", "exit 7; echo")
    site = site_of(tmp_path / "ws", {**FILES, "dodo.py": dodo})
    ran = site.run()
    assert ran.code == 1
    assert ran.err.count("tr: missing operand") == 1
    assert ran.err.endswith("error: //gen:words: sh exited with 7\n")


def test_a_rule_that_does_not_write_its_file(tmp_path: Path) -> None:
    dodo = FILES["dodo.py"].replace('> "$0/count"', '> "$0/cuont"')
    site = site_of(tmp_path / "ws", {**FILES, "dodo.py": dodo})
    ran = site.run("rule:gen/words")
    assert ran.code == 1
    assert ran.err == (
        "error: //gen:words: it did not write 'count'\n    hint: write it into {out}\n"
    )


def test_a_cycle_is_printed(tmp_path: Path) -> None:
    dodo = """from scratchtasks import Workspace, genrule

one = genrule(name="one", folder="gen", srcs=["//gen:two"], outs=["x"], cmd=["true"])
two = genrule(name="two", folder="gen", srcs=["//gen:one"], outs=["x"], cmd=["true"])
task_images = Workspace(services=["services/*"], rules=[one, two])
"""
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, "dodo.py": dodo})
    ran = site.run()
    assert (ran.code, ran.out) == (3, "")
    assert ran.err in (
        "ERROR: //gen:one: depends on itself: //gen:one → //gen:two → //gen:one\n",
        "ERROR: //gen:two: depends on itself: //gen:two → //gen:one → //gen:two\n",
    )


def test_python_beside_toml_in_one_workspace(tmp_path: Path) -> None:
    dodo = """from scratchtasks import Workspace, go_binary, scratch_image

extra = scratch_image("extra", "services/web", binary=go_binary(package="../../tool"))
task_images = Workspace(services=["services/a*"], images=[extra])
"""
    files = {
        **TWO_SERVICES,
        "dodo.py": dodo,
        "tool/main.go": lone_go("tool"),
        "scratch.toml": QUICK,
    }
    site = site_of(tmp_path / "ws", files)
    site.doit()
    assert sorted(site.images()) == ["api", "extra"]
