"""Tasks that are named by service: no other service is read for them, and nothing is missed."""

import shutil
import time
from pathlib import Path

import pytest

from tests.plugin.tracing import timeline

from .workspaces import DODO, SERVICE, Site, lone_go, shop


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two Go services, built."""
    site = shop(tmp_path_factory.mktemp("named"))
    site.doit()
    return site


@pytest.fixture
def site(template: Site, tmp_path: Path) -> Site:
    """A copy that has been built where it lies."""
    copy = template.copy_to(tmp_path / "ws")
    copy.doit()
    return copy


def analyzed(site: Site, *words: str) -> tuple[str, int]:
    """The summary of a run with *words*, and how many services it has analysed."""
    summary = site.doit(*words, "--profile", "trace.json").summary
    return summary, timeline(site.root / "trace.json").one("analyze")["args"]["services"]


@pytest.mark.parametrize("kind", ["binary", "rootfs"])
def test_an_edit_is_seen_and_no_other_service_is_read(site: Site, kind: str) -> None:
    site.write(
        {
            "services/web/main.go": lone_go("another"),
            "services/api/service.toml": "this is not TOML",
        }
    )
    ran = site.doit(f"{kind}:web", "--profile", "trace.json")
    assert "//services/web:binary GoCompile" in ran.actions
    assert timeline(site.root / "trace.json").one("analyze")["args"] == {"services": 1}
    site.write({"services/api/service.toml": SERVICE})
    assert site.doit().summary.startswith("2 images, 1 ")
    assert site.images() == site.clean_build(site.root.parent / "clean")


def test_several_kinds_and_services(site: Site) -> None:
    assert analyzed(site, "rootfs:web", "binary:web")[1] == 1
    assert analyzed(site, "rootfs:web", "image:api")[1] == 2


def test_what_may_need_others_reads_all(site: Site) -> None:
    assert analyzed(site, "rootfs")[1] == 2
    assert analyzed(site, "rootfs:*")[1] == 2
    task = "def task_mine():\n    return {'actions': [], 'task_dep': ['image:api']}\n"
    site.write({"dodo.py": DODO + task})
    site.doit()
    assert analyzed(site, "mine", "rootfs:web")[1] == 2


def test_a_wrong_name_beside_all_is_told_while_nothing_is_to_do(site: Site) -> None:
    settled(site)
    ran = site.run("image", "image:nope")
    assert (ran.code, ran.out) == (3, "")
    assert "image:nope: there is no such task" in ran.err
    assert site.doit("image", "image:web").summary == "2 images up to date"


def test_what_was_not_looked_at_is_not_taken_for_sound(site: Site) -> None:
    settled(site)
    shutil.rmtree(site.root / "dist" / "api")
    site.write({"services/web/main.go": lone_go("another")})
    site.doit("image:web")
    assert list(site.images()) == ["web"]
    assert site.doit().summary == "2 images, 1 from cache, 1 up to date"
    assert list(site.images()) == ["api", "web"]


def test_another_name_is_asked_for_in_all(site: Site) -> None:
    site.write({"services/web/service.toml": f'name = "wob"\n{SERVICE}'})
    ran = site.run("rootfs:web")
    assert ran.code == 3
    assert "rootfs:web: there is no such task" in ran.err, ran.err
    assert "rootfs:wob" in ran.err
    assert analyzed(site, "rootfs:wob")[1] == 2
    site.doit()
    assert analyzed(site, "rootfs:wob")[1] == 1


def test_a_run_that_makes_images_adds_to_what_is_remembered(site: Site) -> None:
    settled(site)
    # Two kinds: a run of nothing but images has a way of its own.
    site.write({"services/web/main.go": lone_go("another"), "services/web/service.toml": SMOKED})
    assert analyzed(site, "smoke:web", "image:web")[1] == 1
    settled(site)


def test_an_edited_service_file_concerns_its_service_only(site: Site) -> None:
    settled(site)
    site.write({"services/web/service.toml": SMOKED})
    assert analyzed(site)[1] == 1


def settled(site: Site) -> None:
    """Each run has left the next no more to look at than what was too young to be believed."""
    for _ in range(3):
        time.sleep(0.06)
        site.doit("--profile", "trace.json")
        scan = timeline(site.root / "trace.json").one("scan", "workspace")["args"]
        assert scan["verdict"] == "known"
        if not scan["stale"]:
            return
    raise AssertionError("it never settles")


SMOKED = (
    SERVICE
    + '\n[image]\nfiles = [{ src = "static", dest = "/srv/www" }]\n[smoke]\nstdout = "another"\n'
)
