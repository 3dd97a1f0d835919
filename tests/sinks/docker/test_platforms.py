"""`doit load` of an image for several platforms: the engine gets its own, and runs it."""

from collections.abc import Mapping
from pathlib import Path

from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, Site, lone_go, site_of

from .conftest import Engine
from .made import its_own


def shop(engine: Engine, root: Path, platforms: Mapping[str, str]) -> Site:
    """A workspace with a Go service for each of *platforms*, a TOML list by name; the programs say
    the first name."""
    word = next(iter(platforms))
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK + its_own(engine.made.owner),
        "go.mod": GO_MOD,
    }
    for name, listed in platforms.items():
        files[f"services/{name}/main.go"] = lone_go(word)
        files[f"services/{name}/service.toml"] = f"{SERVICE}[image]\nplatforms = {listed}\n"
    site = site_of(root, files)
    site.env["DOCKER_HOST"] = engine.host
    return site


def test_load_picks_the_platform_of_the_engine(engine: Engine, name: str, tmp_path: Path) -> None:
    ours = "linux/" + str(engine.client.version()["Arch"])
    other = "linux/arm64" if ours == "linux/amd64" else "linux/amd64"
    foreign = f"{name}-foreign"
    listed = {name: f'["{other}", "{ours}"]', foreign: f'["{other}"]'}
    site = shop(engine, tmp_path / "site", listed)
    site.doit(f"load:{name}")
    image = engine.client.images.get(f"{name}:latest")
    assert f"linux/{image.attrs['Architecture']}" == ours
    assert engine.run(name) == f"{name}\n"

    ran = site.run(f"load:{foreign}")
    assert ran.code == 1
    assert (
        f"error: //services/{foreign}:image: the engine runs {ours}, "
        f"the image is for {other}\n    hint: add the platform to image.platforms\n"
    ) in ran.out + ran.err


def test_an_engine_on_amd64_runs_386(engine: Engine, name: str, tmp_path: Path) -> None:
    site = shop(engine, tmp_path / "site", {name: '["linux/arm64", "linux/386"]'})
    site.doit(f"load:{name}")
    assert engine.client.images.get(f"{name}:latest").attrs["Architecture"] == "386"
    assert engine.run(name) == f"{name}\n"
    assert f"{name}:latest is already loaded\n" in site.doit(f"load:{name}").err
