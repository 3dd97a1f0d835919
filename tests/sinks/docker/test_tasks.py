"""`doit load` on real services: one archive for all that are built."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, Site, lone_go, site_of

from .conftest import Engine
from .made import its_own

CLASSIC = pytest.mark.parametrize("engine", ["classic"], indirect=True)
"""One engine will do where it is about doit."""


@pytest.fixture
def names(name: str) -> list[str]:
    """Three services that nobody else has."""
    return [f"{name}-{letter}" for letter in "abc"]


@pytest.fixture
def site(engine: Engine, names: list[str], tmp_path: Path) -> Site:
    """A workspace of three small Go services, to be loaded through the relay."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK + its_own(engine.made.owner),
    }
    files["go.mod"] = GO_MOD
    for each in names:
        files[f"services/{each}/main.go"] = lone_go(each)
        files[f"services/{each}/service.toml"] = SERVICE
    site = site_of(tmp_path / "site", files)
    site.env["DOCKER_HOST"] = engine.host
    return site


def test_a_group_goes_in_one_archive(engine: Engine, site: Site, names: list[str]) -> None:
    ran = site.doit("load")
    assert engine.relay.loads() == 1
    for each in names:
        assert f"{each}:latest loaded\n" in ran.out + ran.err
        assert engine.run(each) == f"{each}\n"

    assert ran.summary == "3 images, 3 rebuilt, 3 loaded"
    again = site.doit("load")
    assert (engine.relay.loads(), again.summary) == (1, "3 images up to date")
    for each in names:
        assert f"{each}:latest is already loaded\n" in again.out + again.err


@CLASSIC
def test_those_that_are_named_go_in_one_archive(
    engine: Engine, site: Site, names: list[str]
) -> None:
    site.doit("image")
    first, second, third = names
    site.doit(f"load:{first}", f"load:{third}")
    assert engine.relay.loads() == 1
    tags = {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}
    assert {f"{first}:latest", f"{third}:latest"} <= tags
    assert f"{second}:latest" not in tags


THEIRS = """

def task_deploy():
    return {"actions": ["touch deployed"], "task_dep": ["load:NAME-a", "load:NAME-c"]}


def task_generate():
    def write():
        os.replace("new", "services/NAME-a/main.go")

    return {"actions": [write]}
"""


@CLASSIC
def test_what_a_users_own_task_needs_goes_in_one_archive(
    engine: Engine, site: Site, name: str
) -> None:
    site.write({"dodo.py": DODO + THEIRS.replace("NAME", name)})
    site.doit("deploy")
    assert engine.relay.loads() == 1
    tags = {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}
    assert {tag for tag in tags if name in tag} == {f"{name}-a:latest", f"{name}-c:latest"}
    assert (site.root / "deployed").exists()


@CLASSIC
def test_what_a_users_own_task_writes_is_in_what_is_loaded_behind_it(
    engine: Engine, site: Site, name: str, names: list[str]
) -> None:
    site.write({"dodo.py": "import os\n" + DODO + THEIRS.replace("NAME", name)})
    first, second, _ = names
    (site.root / f"services/{first}/main.go").unlink()  # as in a new clone
    for word in ("one", "two"):
        site.write({"new": lone_go(word)})
        site.doit(f"load:{second}", "generate", f"load:{first}")
        assert engine.run(first) == f"{word}\n"


@CLASSIC
def test_an_image_that_cannot_be_built_keeps_none_back(
    engine: Engine, site: Site, names: list[str]
) -> None:
    (site.root / f"services/{names[1]}/main.go").write_text("package main\n\nfunc main() {\n")
    ran = site.run("--continue", "load")
    assert ran.code != 0
    assert engine.relay.loads() == 1
    tags = {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}
    assert {f"{names[0]}:latest", f"{names[2]}:latest"} <= tags
    assert f"{names[1]}:latest" not in tags


@CLASSIC
def test_one_reference_is_never_two_images(engine: Engine, site: Site, names: list[str]) -> None:
    place = "registry.example.com/" + names[0]
    push = f'[push]\nrepository = "{place}"\ntags = ["1.0"]\n'
    for each in names[:2]:
        site.write({f"services/{each}/service.toml": SERVICE + push})
    first, second, third = names
    for words in ((), (), ("-n", "3", "-P", "process")):
        ran = site.run("--continue", *words, "load")
        assert ran.code != 0
        (fault, hint) = [line for line in ran.err.splitlines() if "error" in line or "hint" in line]
        assert fault == (
            f"error: {place}:1.0: both //services/{first}:image and //services/{second}:image "
            "are to be loaded as that"
        )
        assert hint == "    hint: give one of them another push.repository, or other push.tags"
        assert engine.id(f"{place}:1.0") == engine.id(first)
        assert engine.run(third) == f"{third}\n"
    tags = {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}
    assert f"{second}:latest" not in tags


@CLASSIC
@pytest.mark.parametrize("words", [("-n", "3"), ("-n", "3", "-P", "process")])
def test_parallel_loads(
    engine: Engine, site: Site, names: list[str], words: tuple[str, ...]
) -> None:
    site.doit(*words, "load")
    assert engine.relay.loads() == 1
    tags = {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}
    assert {f"{each}:latest" for each in names} <= tags


def test_an_edit_is_loaded_without_any_compression(
    engine: Engine, site: Site, names: list[str]
) -> None:
    name = names[0]
    site.doit(f"load:{name}")
    site.write({f"services/{name}/main.go": lone_go("edited")})
    site.doit(f"load:{name}")
    assert engine.run(name) == "edited\n"
    assert engine.relay.sent > 1_000_000  # both loads' programs, and little else
    assert gzip_blobs(site) == []
    assert not (site.root / "dist").exists()

    site.doit(f"image:{name}")
    assert len(gzip_blobs(site)) == 2  # etc and the program
    (image,) = json.loads((site.root / "dist/images.json").read_text())["images"]
    assert config_digest(engine, name) == image["image_id"]
    if engine.kind == "classic":
        assert engine.id(name) == image["image_id"]
    loads = engine.relay.loads()
    assert f"{name}:latest is already loaded\n" in site.doit(f"load:{name}").err
    assert engine.relay.loads() == loads


def gzip_blobs(site: Site) -> list[Path]:
    """What is compressed in the store of *site*."""
    blobs = (site.root / ".scratch/blobs").rglob("*")
    return [path for path in blobs if path.is_file() and path.read_bytes()[:2] == b"\x1f\x8b"]


def config_digest(engine: Engine, name: str) -> str:
    """The digest of the config of *name*, as the engine hands it out."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.client.images.get(name).save()))) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed is not None
        (entry,) = json.load(listed)
        config = tar.extractfile(entry["Config"])
        assert config is not None
        return f"sha256:{hashlib.sha256(config.read()).hexdigest()}"
