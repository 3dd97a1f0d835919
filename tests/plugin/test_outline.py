"""What is shown of a workspace without analysing it is what an analysis would show."""

import shutil
from pathlib import Path

import pytest

from tests.scenarios.memories import looks, settle
from tests.scenarios.workspaces import PREBUILT, QUICK, TWO_SERVICES, Site, site_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two services whose binaries exist already, built."""
    files = {name: TWO_SERVICES[name] for name in ("dodo.py", "pyproject.toml", "scratch.toml")}
    for name in ("api", "web"):
        files[f"services/{name}/service.toml"] = PREBUILT
    files["services/web/service.toml"] += '[push]\nrepository = "127.0.0.1:1/web"\n'
    site = site_of(tmp_path_factory.mktemp("outline") / "ws", files)
    for name in ("api", "web"):
        shutil.copy(static_program(tmp_path_factory), site.root / "services" / name / "tool")
    site.doit()
    return site


def static_program(factory: pytest.TempPathFactory) -> Path:
    """A static program for this machine."""
    import subprocess

    folder = factory.getbasetemp() / "static-program"
    program = folder / "tool"
    if not program.exists():
        folder.mkdir()
        (folder / "tool.c").write_text("int main(void) { return 0; }\n")
        subprocess.run(
            ["cc", "-static", "-o", program, folder / "tool.c"], check=True, capture_output=True
        )
    return program


def listing(site: Site) -> str:
    return site.doit("list", "--all", "--status").out


def test_what_is_listed_is_what_there_is(site: Site) -> None:
    shutil.rmtree(site.root / ".scratch/memo", ignore_errors=True)
    analysed = listing(site)
    assert listing(site) == analysed
    assert "push:web" in analysed
    assert "push:api" not in analysed
    assert not looks(site, "list")


def test_a_changed_declaration_is_seen(site: Site) -> None:
    listing(site)
    toml = site.root / "services/api/service.toml"
    toml.write_text(PREBUILT + '[smoke]\ncommand = ["/usr/bin/api"]\n')
    assert "smoke:api" in listing(site)
    toml.write_text(PREBUILT)
    assert "smoke:api" not in listing(site)
    shutil.copytree(site.root / "services/api", site.root / "services/new")
    assert "image:new" in listing(site)
    shutil.rmtree(site.root / "services/new")
    assert "image:new" not in listing(site)
    (site.root / "scratch.toml").write_text(QUICK + "[load]\nengine = 'podman'\n")
    assert "latest in podman" in listing(site)
    (site.root / "scratch.toml").write_text(QUICK)


def test_a_faulty_declaration_is_told(site: Site) -> None:
    listing(site)
    toml = site.root / "services/api/service.toml"
    toml.write_text(PREBUILT.replace("path", "pth"))
    ran = site.run("list")
    toml.write_text(PREBUILT)
    assert ran.code == 3
    assert "services/api/service.toml: unknown key 'binary.pth'" in ran.err


def test_info_says_whether_and_why(site: Site) -> None:
    site.doit()
    settle(site)
    assert "up-to-date" in site.doit("info", "image:api").out
    assert not looks(site, "info", "image:api")
    (site.root / "dist/api/index.json").unlink()
    told = site.run("info", "image:api").out
    assert "dist/api/index.json is missing" in told
    site.doit()
    assert "up-to-date" in site.doit("info", "binary:api").out


def test_clean_and_forget_know_every_task(site: Site) -> None:
    site.doit()
    listing(site)
    site.doit("clean", "image:api")
    assert not (site.root / "dist/api").exists()
    assert (site.root / "dist/web").exists()
    site.doit("clean")
    assert not (site.root / "dist/web").exists()
    assert site.doit().summary == "2 images, 2 from cache"
    site.doit("forget", "image:web")
    assert site.doit().summary == "2 images, 1 from cache, 1 up to date"


def test_words_that_name_nothing(site: Site) -> None:
    listing(site)
    ran = site.run("info", "image:apy")
    assert ran.code == 3
    assert "did you mean 'image:api'?" in ran.err
    assert "up-to-date" in site.doit("info", "//services/api:image").out
