"""The user's environment and Rust: what it may change, and that nothing is stale for it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.execute.rust_workspace import lock, manifest

from .workspaces import DODO, LOADER, QUICK, Site, site_of

MAIN = 'fn main() { println!("{:?} {}", option_env!("GIT_HASH"), env!("SEEN")); }\n'
SEES = """fn main() {
    println!("cargo:rerun-if-env-changed=USER");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rustc-env=SEEN={:?}", ["USER", "PATH"].map(|name| std::env::var(name).ok()));
}
"""


@pytest.fixture
def crab(tmp_path: Path) -> Site:
    """One Rust service whose build script reads USER and PATH."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK,
        "services/crab/Cargo.toml": manifest("crab"),
        "services/crab/build.rs": SEES,
        "services/crab/src/main.rs": MAIN,
        "services/crab/service.toml": '[binary]\nrule = "rust_binary"\n',
    }
    site = site_of(tmp_path / "ws", files)
    lock(site.root / "services/crab")
    return site


def digest(site: Site) -> str:
    images = json.loads((site.root / "dist/images.json").read_text())
    return str(images["images"][0]["digest"])


def clean_digest(site: Site, env: dict[str, str]) -> str:
    """The digest of a first build of a copy, in the environment *env*."""
    copy = Site(site.root.parent / "copy", site.env)
    shutil.rmtree(copy.root, ignore_errors=True)
    shutil.copytree(site.root, copy.root, ignore=shutil.ignore_patterns(".scratch*", "dist"))
    ran = copy.run(env=env)
    assert ran.code == 0, ran
    return digest(copy)


def test_up_to_date_is_what_a_clean_build_gives(crab: Site) -> None:
    path = os.environ["PATH"]
    first = {"USER": "ann", "GIT_HASH": "aaaa"}
    assert crab.run(env=first).code == 0
    for env in ({"USER": "bob", "GIT_HASH": "bbbb"}, {"PATH": f"{path}:/nowhere"}, first):
        ran = crab.run(env=env)
        again = crab.run(env=env)
        assert (ran.code, ran.actions != []) == (0, "PATH" in env), ran
        assert again.summary == "1 image up to date", again
        assert digest(crab) == clean_digest(crab, env)


def test_why_names_the_variable(crab: Site) -> None:
    assert crab.run().code == 0
    ran = crab.run("why", "crab", env={"PATH": f"{os.environ['PATH']}:/nowhere"})
    assert "the variable PATH changed" in ran.out, ran


def test_a_changed_env_is_in_the_image(crab: Site) -> None:
    """The build script reads the variable and tells cargo of others only."""
    script = SEES.replace('["USER", "PATH"]', '["CHANNEL"]')
    table = 'env = { GIT_HASH = "{env.CI_COMMIT}", CHANNEL = "{name}" }\n'
    service = '[binary]\nrule = "rust_binary"\n'
    crab.write({"services/crab/build.rs": script, "services/crab/service.toml": service + table})
    seen: list[str] = []
    for env in ({"CI_COMMIT": "aaaa"}, {"CI_COMMIT": "bbbb"}, {"CI_COMMIT": "aaaa"}):
        ran = crab.run(env=env)
        is_new = len(seen) < 2
        assert (ran.code, ran.actions != []) == (0, is_new), ran
        again = crab.run(env=env)
        assert again.summary == "1 image up to date", again
        assert digest(crab) == clean_digest(crab, env)
        seen.append(digest(crab))
    assert seen[0] == seen[2] != seen[1]
    crab.write({"services/crab/service.toml": service + table.replace("{name}", "beta")})
    ran = crab.run("why", "crab", env={"CI_COMMIT": "aaaa"})
    assert 'params.env.CHANNEL changed from "crab" to "beta"' in ran.out, ran
    assert crab.run(env={"CI_COMMIT": "aaaa"}).code == 0
    assert digest(crab) == clean_digest(crab, {"CI_COMMIT": "aaaa"}) != seen[0]
