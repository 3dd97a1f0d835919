"""`doit load` of an image for several platforms: the engine gets its own, and runs it."""

from pathlib import Path

from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, lone_go, site_of

from .conftest import Engine


def test_load_picks_the_platform_of_the_engine(engine: Engine, name: str, tmp_path: Path) -> None:
    label = f'labels = {{ "scratchtasks.test" = "{engine.made.owner}" }}\n'
    ours = "linux/" + str(engine.client.version()["Arch"])
    other = "linux/arm64" if ours == "linux/amd64" else "linux/amd64"
    foreign = f"{name}-foreign"
    site = site_of(
        tmp_path / "site",
        {
            "dodo.py": DODO,
            "pyproject.toml": LOADER,
            "scratch.toml": QUICK + label,
            "go.mod": GO_MOD,
            f"services/{name}/main.go": lone_go(name),
            f"services/{name}/service.toml": f'{SERVICE}[image]\nplatforms = ["{other}", "{ours}"]',
            f"services/{foreign}/main.go": lone_go(name),
            f"services/{foreign}/service.toml": f'{SERVICE}[image]\nplatforms = ["{other}"]',
        },
    )
    site.env["DOCKER_HOST"] = engine.host
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
    label = f'labels = {{ "scratchtasks.test" = "{engine.made.owner}" }}\n'
    site = site_of(
        tmp_path / "site",
        {
            "dodo.py": DODO,
            "pyproject.toml": LOADER,
            "scratch.toml": QUICK + label,
            "go.mod": GO_MOD,
            f"services/{name}/main.go": lone_go(name),
            f"services/{name}/service.toml": SERVICE
            + '[image]\nplatforms = ["linux/arm64", "linux/386"]',
        },
    )
    site.env["DOCKER_HOST"] = engine.host
    site.doit(f"load:{name}")
    assert engine.client.images.get(f"{name}:latest").attrs["Architecture"] == "386"
    assert engine.run(name) == f"{name}\n"
    assert f"{name}:latest is already loaded\n" in site.doit(f"load:{name}").err
