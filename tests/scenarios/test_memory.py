"""What the last run remembers is never wrong: whatever changed, the next run sees it.

And it is not blind either: what means the same costs no more than a look.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from scratchtasks.plugin.memo import Memo
from scratchtasks.plugin.recall import stale_services
from tests.images.authority import write_authority

from .memories import WATCHED_RUN, looks, memo_of, same_size, settle
from .workspaces import DODO, LOADER, QUICK, TWO_SERVICES, Site, blob_path, shop, site_of


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """TWO_SERVICES and a folder for programs that comes first on PATH, built."""
    site = shop(tmp_path_factory.mktemp("memory"))
    tools = site.root.parent / "tools"
    tools.mkdir()
    site.env["PATH"] = f"{tools}:{os.environ['PATH']}"
    site.doit()
    return site


@pytest.fixture
def site(template: Site) -> Site:
    """The template, at rest; tests leave it changed, but building."""
    settle(template)
    return template


def replaced(path: Path, old: str, new: str) -> None:
    """The same by rename, as editors do, and with the mtime of before."""
    info = path.stat()
    other = path.with_suffix(".new")
    other.write_text(path.read_text().replace(old, new))
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    other.replace(path)


def replace_in(site: Site, name: str, old: str, new: str) -> None:
    path = site.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


SOURCES: dict[str, Callable[[Site], object]] = {
    "same size, mtime set back": lambda s: same_size(s.root / "lib/lib.go", '"lib"', '"LIB"'),
    "replaced by rename": lambda s: replaced(s.root / "services/web/main.go", "web", "wob"),
    "a new file in a package": lambda s: s.write(
        {"lib/more.go": 'package lib\n\nfunc init() { println("more") }\n'}
    ),
    "a new file in a staged folder": lambda s: s.write({"services/web/static/new.html": "new"}),
    "a file gone from a staged folder": lambda s: (
        s.root / "services/web/static/index.html"
    ).unlink(),
    "executable": lambda s: (s.root / "services/web/static/new.html").chmod(0o755),
    "another user": lambda s: s.write(
        {"services/api/service.toml": '[binary]\nrule = "go_binary"\n[image]\nuser = "app:1001"\n'}
    ),
    "another name": lambda s: replace_in(
        s, "services/api/service.toml", "[binary]", 'name = "ipa"\n[binary]'
    ),
    "a new service": lambda s: shutil.copytree(s.root / "services/web", s.root / "services/new"),
    "a service gone": lambda s: shutil.rmtree(s.root / "services/web"),
    "defaults": lambda s: s.write({"scratch.toml": QUICK + 'user = "app:1001"\n'}),
    "dodo.py": lambda s: s.write({"dodo.py": DODO.replace("services/*", "services/n*")}),
    "dodo.py, same size, mtime set back": lambda s: same_size(
        s.root / "dodo.py", "services/n*", "services/?*"
    ),
    "what dodo.py imports": lambda s: s.write(
        {
            "dodo.py": "from globs import GLOBS\n" + DODO.replace('["services/*"]', "GLOBS"),
            "globs.py": 'GLOBS = ["services/a*"]\n',
        }
    ),
    "that, same size, mtime set back": lambda s: same_size(
        s.root / "globs.py", "services/a*", "services/n*"
    ),
    "a time": lambda s: s.env.update(SOURCE_DATE_EPOCH="1700000000"),
}


def test_changed_sources_are_seen(template: Site, tmp_path: Path) -> None:
    site = template.copy_to(tmp_path / "ws")
    site.doit()
    for name, change in SOURCES.items():
        settle(site)
        before = site.images()
        change(site)
        assert looks(site), name
        assert site.images() != before, name
    assert site.images() == site.clean_build(tmp_path / "clean")


def test_an_edit_right_after_a_run_is_seen(site: Site) -> None:
    """However soon: the second write may fall into the very tick of the first."""
    path = site.root / "services/web/static/index.html"
    digests = set()
    for word in ("11111", "22222", "33333"):
        with open(path, "r+") as file:
            file.write(word)
        site.doit()
        digests.add(site.images()["web"])
    assert len(digests) == 3


def dist_blob(site: Site) -> Path:
    manifest = site.images()["web"].removeprefix("sha256:")
    return site.root / "dist/web/blobs/sha256" / manifest


def other_file(path: Path) -> None:
    data = path.read_bytes().replace(b"config", b"gifnoc")
    path.unlink()
    path.write_bytes(data)


def garble(path: Path) -> None:
    path.chmod(0o644)
    same_size(path, "config", "gifnoc")
    path.chmod(0o444)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


OUTPUTS: dict[str, Callable[[Site], object]] = {
    "no dist": lambda s: shutil.rmtree(s.root / "dist"),
    "no layout": lambda s: shutil.rmtree(s.root / "dist/web"),
    "no blob in dist": lambda s: dist_blob(s).unlink(),
    "another file for a blob in dist": lambda s: other_file(dist_blob(s)),
    "a damaged blob": lambda s: garble(dist_blob(s)),
    "no blob in the store": lambda s: (s.root / blob_path(s.images()["web"])).unlink(),
    "a stray blob": lambda s: (s.root / "dist/web/blobs/sha256/stray").write_text(""),
    "an edited index": lambda s: (s.root / "dist/web/index.json").write_text("{}"),
    "a FIFO for an index": lambda s: fifo(s.root / "dist/web/index.json"),
    "a FIFO for oci-layout": lambda s: fifo(s.root / "dist/web/oci-layout"),
    "a FIFO for the summary": lambda s: fifo(s.root / "dist/images.json"),
    "no summary": lambda s: (s.root / "dist/images.json").unlink(),
    "a wrong summary": lambda s: replace_in(s, "dist/images.json", "sha256:", "sha265:"),
}


def test_damaged_outputs_are_seen(site: Site) -> None:
    before = site.images()
    whole = sorted(path.name for path in (site.root / "dist/web/blobs/sha256").iterdir())
    for name, damage in OUTPUTS.items():
        settle(site)
        damage(site)
        assert looks(site), name
        assert site.images() == before, name
        blobs = list((site.root / "dist/web/blobs/sha256").iterdir())
        assert sorted(path.name for path in blobs) == whole, name
        assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in blobs} == {*whole}, name


def test_a_fifo_for_a_lock_is_told_and_not_waited_for(site: Site) -> None:
    settle(site)
    fifo(lock := site.root / ".scratch/lock")
    assert not looks(site)
    shutil.rmtree(site.root / "dist/web")
    ran = site.run()
    lock.unlink()
    assert ran.code == 3, str(ran)
    what = f"{lock}: wanted a file, got a FIFO or a device\n    hint: move it elsewhere\n"
    assert ran.err.endswith(what), str(ran)
    site.doit()


@pytest.mark.parametrize("part", ["", "/blobs", "/blobs/sha256"])
def test_a_link_in_the_place_of_a_layout_is_seen(part: str, site: Site) -> None:
    """What a folder was moved to is the same to the last bit; but no run would write there."""
    path, elsewhere = site.root / f"dist/web{part}", site.root.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    try:
        ran = site.run()
        assert ran.code == 1, str(ran)
        assert ran.err.splitlines()[-2:] == [
            f"error: {path}: wanted a folder of an OCI layout, got a symbolic link",
            "    hint: move it elsewhere",
        ]
    finally:
        path.unlink()
        elsewhere.rename(path)
    site.doit()


def test_a_second_file_for_the_workspace_is_seen(site: Site) -> None:
    project = site.root / "pyproject.toml"
    before = project.read_text()
    project.write_text(f"{before}[tool.scratchtasks]\n")
    ran = site.run()
    assert ran.code == 3, str(ran)
    assert "pyproject.toml: tool.scratchtasks: there is a scratch.toml too" in ran.err
    (site.root / "scratch.toml").rename(site.root / "aside")
    project.write_text(before + QUICK.replace("[image]", "[tool.scratchtasks.image]"))
    site.doit()
    settle(site)
    (site.root / "aside").rename(site.root / "scratch.toml")
    assert site.run().code == 3
    project.write_text(before)
    site.doit()


def test_another_compiler_on_path_is_seen(site: Site) -> None:
    (site.root.parent / "tools/go").symlink_to("/bin/true")
    ran = site.run()
    (site.root.parent / "tools/go").unlink()
    assert ran.code == 1
    assert "/usr/bin/true: is not Go: it says ''" in ran.err


def test_a_copied_workspace_looks_for_itself(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.root, tmp_path / "copy", symlinks=True)
    copy = Site(tmp_path / "copy", dict(site.env))
    assert looks(copy)
    assert copy.images() == site.images()


@pytest.mark.parametrize("command", [("forget",), ("clean",), ("ignore", "image:web")])
def test_what_doit_is_told_to_forget_is_not_remembered(
    command: tuple[str, ...], site: Site
) -> None:
    images = site.images()
    site.doit(*command)
    assert looks(site)
    site.doit("forget", "image:web")
    site.doit()
    assert site.images() == images


def test_a_summary_that_was_tampered_with_is_written_anew(site: Site) -> None:
    path = site.root / "dist/images.json"
    before = path.read_text()
    path.write_text(re.sub('"size": [0-9]+', '"size": 1', before))
    assert looks(site)
    assert path.read_text() == before


def test_a_workspace_with_its_dodo_file_in_a_folder_below(tmp_path: Path) -> None:
    dodo = 'Workspace(services=["services/*"], root=__file__ + "/../..")'
    files = {
        **TWO_SERVICES,
        "tools/dodo.py": DODO.replace('Workspace(services=["services/*"])', dodo),
    }
    del files["dodo.py"]
    site = site_of(tmp_path / "ws", files)
    inside = Site(site.root / "tools", site.env)
    shutil.move(site.root / "pyproject.toml", inside.root)
    inside.doit("image")
    assert inside.doit("image:api").summary == "1 image up to date"
    settle(inside)
    before = site.images()
    site.write({"lib/lib.go": 'package lib\n\nconst Word = "new"\n'})
    assert looks(inside)
    assert site.images()["api"] != before["api"]
    assert inside.doit("../dist/api/index.json").summary == "1 image up to date"


def test_a_memo_that_cannot_be_dropped_is_told(template: Site, tmp_path: Path) -> None:
    site = template.copy_to(tmp_path / "ws")
    site.write({".scratch/memo": "in the way"})
    ran = site.run("forget")
    assert ran.code == 3
    folder = site.root / ".scratch/memo"
    assert ran.err == (
        f"ERROR: {folder}: cannot be written: not a directory\n    hint: {folder} is no folder\n"
    )


SAME: dict[str, Callable[[Site], object]] = {
    "touched": lambda s: (s.root / "lib/lib.go").touch(),
    "replaced by its copy": lambda s: replaced(s.root / "lib/lib.go", "lib", "lib"),
    "a README": lambda s: s.write({"services/api/README": "new"}),
    "a test": lambda s: s.write({"lib/lib_test.go": "package lib\n"}),
    "a shell one deeper": lambda s: s.env.update(SHLVL="7", OLDPWD="/tmp", _="/x"),
}


def test_what_means_the_same_costs_a_look(site: Site) -> None:
    for name, change in SAME.items():
        change(site)
        assert not looks(site), name
    time.sleep(0.06)
    assert not looks(site)


def test_only_what_a_change_reaches_is_analysed(site: Site) -> None:
    """A fault in a service that nothing moved for would be told if it were read."""
    memo, folder, environment = memo_of(site)
    assert stale(memo, site, folder, environment) == set()
    replace_in(site, "services/web/main.go", "web", "wob")
    assert stale(memo, site, folder, environment) == {"web"}
    replace_in(site, "lib/lib.go", '"lib"', '"LIB"')
    assert stale(memo, site, folder, environment) is None  # both are more than half


def test_a_clock_that_was_set_back_proves_nothing(site: Site) -> None:
    memo, folder, environment = memo_of(site)
    memo.latest = time.time_ns() + 10**9
    assert stale(memo, site, folder, environment) is None


def test_after_a_power_loss_stat_proves_nothing(site: Site) -> None:
    rebooted = "from scratchtasks.store import signature\nsignature.boot_id = lambda: 'next'\n"
    assert looks(site, before=rebooted)


FULL_DISK = """
from scratchtasks.core.errors import StoreError
from scratchtasks.plugin import memo
def full(*_): raise StoreError("memo", "disk full")
memo.write_memo = full
"""


def test_a_run_with_nothing_to_do_needs_no_room_on_the_disk(site: Site) -> None:
    (site.root / "lib/lib.go").touch()
    assert not looks(site, before=FULL_DISK)


YEARS_LATER = "import time\nnow = time.time\ntime.time = lambda: now() + 11 * 365 * 86400\n"


def test_a_private_ca_that_expires_ends_what_is_remembered(tmp_path: Path) -> None:
    site = site_of(
        tmp_path / "ws",
        {
            "dodo.py": DODO,
            "pyproject.toml": LOADER,
            "services/tls/service.toml": '[image]\nessentials = ["certs"]\n'
            'entrypoint = ["/tls"]\nfiles = [{ src = "tls", dest = "/tls", mode = "0755" }]\n'
            '[certs]\nextra = ["ca.pem"]\npublic = false\n',
            "services/tls/tls": "",
        },
    )
    write_authority(site.root / "services/tls")
    site.doit()
    settle(site)
    ca = load_pem_x509_certificate((site.root / "services/tls/ca.pem").read_bytes())
    assert memo_of(site)[0].expires == ca.not_valid_after_utc.timestamp()
    late = [sys.executable, "-c", YEARS_LATER + WATCHED_RUN]
    ran = subprocess.run(
        late, cwd=site.root, env=site.environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "expired on" in ran.stdout + ran.stderr


def test_a_named_image_that_is_fresh_is_found_by_doit(site: Site) -> None:
    assert not looks(site, "image:web", "image:api")
    site.write({"services/web/static/index.html": "<p>new</p>"})
    ran = site.doit("image:web", "image:api")
    assert ran.summary == "2 images, 1 rebuilt, 1 up to date"


def test_the_whole_graph_is_shown(site: Site) -> None:
    listed = site.doit("list", "--all").out
    assert "image:web" in listed
    assert "binary:api" in listed
    assert site.doit("-a").summary == "2 images, 2 from cache"


FILE_CALL = re.compile(r'^\d+ +(\w+)\((?:AT_FDCWD|\d+)?(?:, )?"([^"]*)"')


_FOR_OTHERS = re.compile(r"_(386|amd64|arm|arm64|ppc64le|riscv64|s390x)\.(go|s)$")


def _is_in_no_program(path: str, packages: set[str]) -> bool:
    """Whether *path* is of Go's library, but of none of its *packages* (folders) or for another
    machine: all of it is in a key, and what no program is made of is not watched."""
    real = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("go") or "")))
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    is_unused = folder not in packages or bool(_FOR_OTHERS.search(path))
    return path.startswith(f"{real}/src/") and is_unused


def _packages_of(site: Site) -> set[str]:
    """The folders of all packages that the services are made of, as Go names them."""
    argv = ["go", "list", "-deps", "-f", "{{.Dir}}", "./services/..."]
    env = site.environment(GOOS="linux", CGO_ENABLED="0")
    done = subprocess.run(argv, cwd=site.root, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_everything_a_full_look_asks_the_kernel_for_is_watched(site: Site, tmp_path: Path) -> None:
    """The proof that nothing is forgotten: a run that looks at all, under strace."""
    shutil.rmtree(site.root / ".scratch/memo")
    log = tmp_path / "log"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", "trace=%file", sys.executable, "-m", "doit"],
        cwd=site.root,
        env=site.environment(),
        capture_output=True,
        check=True,
    )
    asked = {
        os.path.normpath(os.path.join(site.root, found[2]))
        for line in log.read_text().splitlines()
        if (found := FILE_CALL.match(line)) and found[1] not in ("chdir", "mkdir", "execve")
    }
    memo, _, _ = memo_of(site)
    watched = {os.path.normpath(os.path.join(site.root, path)) for path in memo.paths}
    # A folder above a watched file counts by where it leads, which that file's inode tells; and
    # what is asked for in a watched folder, but not there, cannot appear unseen.
    seen = {*watched, *(above for path in watched for above in _parents(path))}
    packages = _packages_of(site)
    forgotten = {
        path
        for path in asked - seen
        if not _is_ours(path, site)
        and not _is_in_no_program(path, packages)
        and (os.path.lexists(path) or os.path.dirname(path) not in watched)
    }
    assert forgotten == set()


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _is_ours(path: str, site: Site) -> bool:
    """Whether *path* belongs to the interpreter, to the system, or to how we keep things."""
    inside = os.path.relpath(path, site.root)
    if inside.startswith((".scratch", "dist")) or "__pycache__" in path:
        return True
    if inside in (".", "dodo.py", "services") or inside.endswith(".pyc"):
        return True  # dodo.py is run, and folders are matched, each time anew
    if inside in ("doit.cfg", "pyproject.toml"):
        return True  # doit reads them itself, each time
    own = (sys.prefix, sys.base_prefix, "/proc", "/etc", "/dev", "/lib", "/usr/lib", "/sys")
    if path.startswith((*own, "/usr/share/locale")) or path.endswith(".zip"):
        return True
    return path in ("/", "/usr", "/tmp") or path in sys.path


def stale(memo: Memo, site: Site, folder: str, environment: str) -> set[str] | None:
    before = os.getcwd()
    os.chdir(site.root)
    try:
        return stale_services(memo, folder, environment)
    finally:
        os.chdir(before)
