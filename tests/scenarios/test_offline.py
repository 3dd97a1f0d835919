"""`doit --offline` where compilers would have to fetch: each module and crate is named."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.execute.golang_workspace import go_sum, publish
from tests.execute.rust_workspace import manifest

from .workspaces import DODO, LOADER, QUICK, SERVICE, Site, site_of

HINT = "    hint: run once without --offline\n"
USES = 'package main\n\nimport "example.com/{0}"\n\nfunc main() {{ println({0}.Word) }}\n'


@pytest.fixture
def gophers(tmp_path: Path) -> Site:
    """Services in Go: one uses alpha and beta (which needs gamma), one delta, one nothing."""
    proxy = tmp_path / "proxy"
    word = 'package {0}\n\nimport {1}\n\nvar Word = "{0}"{2}\n'
    for name, needs in (("alpha", ""), ("gamma", ""), ("delta", ""), ("beta", "gamma")):
        imports = f'"example.com/{needs}"' if needs else '_ "unsafe"'
        text = word.format(name, imports, f" + {needs}.Word" if needs else "")
        publish(proxy, f"example.com/{name}", "v1.2.3", {f"{name}.go": text})
    modules = [(f"example.com/{name}", "v1.2.3") for name in ("alpha", "beta", "delta", "gamma")]
    both = 'import (\n\t"example.com/alpha"\n\t"example.com/beta"\n)\n'
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK,
        "go.mod": "module example.com/shop\n\ngo 1.21\n\n"
        + "".join(f"require {path} {version}\n" for path, version in modules),
        "go.sum": go_sum(proxy, *modules),
        "services/both/main.go": f"package main\n\n{both}\n"
        "func main() { println(alpha.Word, beta.Word) }\n",
        "services/other/main.go": USES.format("delta"),
        "services/plain/main.go": "package main\n\nfunc main() {}\n",
        **{f"services/{name}/service.toml": SERVICE for name in ("both", "other", "plain")},
    }
    site = site_of(tmp_path / "ws", files)
    site.env = {
        "GOPROXY": proxy.as_uri(),
        "GOSUMDB": "off",
        "GOMODCACHE": str(tmp_path / "cache"),
        "GOFLAGS": "-modcacherw",
    }
    return site


def refusal(*missing: str) -> str:
    """What doit says when *missing* is all that is not there."""
    lines = "".join(f"  {line}\n" for line in missing)
    return f"ERROR: --offline: the store lacks\n{lines}{HINT}"


def test_modules_that_are_missing_are_named_all_at_once(gophers: Site) -> None:
    ran = gophers.run("--offline")
    assert (ran.code, ran.out, ran.err) == (
        3,
        "",
        refusal(
            "//services/both:binary: example.com/alpha@v1.2.3, example.com/beta@v1.2.3",
            "//services/other:binary: example.com/delta@v1.2.3",
        ),
    )
    assert gophers.doit("--offline", "image:plain").summary == "1 image, 1 rebuilt"
    # What beta needs in turn is known once that is there.
    gophers.doit()
    cache = Path(gophers.env["GOMODCACHE"])
    shutil.rmtree(cache / "example.com/gamma@v1.2.3")
    for path in cache.glob("cache/download/example.com/gamma/@v/*.zip*"):
        path.unlink()
    shutil.rmtree(gophers.root / ".scratch")
    assert gophers.run("--offline").err == refusal(
        "//services/both:binary: example.com/gamma@v1.2.3"
    )
    gophers.doit()
    shutil.rmtree(gophers.root / ".scratch")
    gophers.doit("--offline")


def test_modules_whose_own_needs_are_not_known(gophers: Site) -> None:
    """Before Go 1.17 a go.mod does not name what its modules need: Go then reads theirs first."""
    text = (gophers.root / "go.mod").read_text()
    gophers.write({"go.mod": text.replace("go 1.21", "go 1.16")})
    names = ", ".join(f"example.com/{name}@v1.2.3" for name in ("alpha", "beta", "delta", "gamma"))
    assert gophers.run("--offline", "image:both").err == refusal(f"//services/both:binary: {names}")


def test_a_module_that_is_replaced_has_the_name_of_what_replaces_it(
    gophers: Site, tmp_path: Path
) -> None:
    publish(tmp_path / "proxy", "example.com/fork", "v1.0.0", {"fork.go": "package delta\n"})
    mod, known = ((gophers.root / name).read_text() for name in ("go.mod", "go.sum"))
    gophers.write(
        {
            "go.mod": f"{mod}\nreplace example.com/delta => example.com/fork v1.0.0\n",
            "go.sum": known + go_sum(tmp_path / "proxy", ("example.com/fork", "v1.0.0")),
        }
    )
    assert gophers.run("--offline", "image:other").err == refusal(
        "//services/other:binary: example.com/fork@v1.0.0"
    )


def test_go_s_own_words_are_left_alone_without_offline(gophers: Site) -> None:
    gophers.env["GOPROXY"] = "off"
    ran = gophers.run("image:other")
    assert "services/other/main.go:3:8: module lookup disabled by GOPROXY=off" in ran.err


@pytest.fixture
def crabs(tmp_path: Path) -> Site:
    """A service in Rust that uses two crates, and whose Cargo.lock has one for Windows."""
    needs = ('itoa = "=1.0.11"', 'hex = "=0.4.3"', "[target.'cfg(windows)'.dependencies]",
             'windows-link = "=0.2.0"')  # fmt: skip
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK,
        "services/w/service.toml": '[binary]\nrule = "rust_binary"\n',
        "services/w/Cargo.toml": manifest("w", *needs),
        "services/w/src/main.rs": "fn main() {\n"
        '    println!("{} {}", itoa::Buffer::new().format(3), hex::encode("w"));\n}\n',
    }
    site = site_of(tmp_path / "ws", files)
    home = Path.home()
    site.env = {
        "CARGO_HOME": str(tmp_path / "cargo"),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or str(home / ".rustup"),
    }
    (tmp_path / "cargo").mkdir()
    settings = Path(os.environ.get("CARGO_HOME") or home / ".cargo", "config.toml")
    if settings.exists():  # a mirror, perhaps
        shutil.copy(settings, tmp_path / "cargo")
    argv = ["cargo", "generate-lockfile", "--quiet"]
    subprocess.run(argv, cwd=site.root / "services/w", env=site.environment(), check=True)
    return site


def test_crates_that_are_missing_are_named(crabs: Site) -> None:
    ran = crabs.run("--offline")
    all_platforms = "(of Cargo.lock, which is for all platforms)"
    every = f"hex 0.4.3, itoa 1.0.11, windows-link 0.2.0 {all_platforms}"
    assert (ran.code, ran.out, ran.err) == (3, "", refusal(f"//services/w:binary: {every}"))
    crabs.doit()
    shutil.rmtree(crabs.root / ".scratch")
    crabs.doit("--offline")
    home = Path(crabs.env["CARGO_HOME"])
    for path in home.glob("registry/*/*/hex-0.4.3*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(crabs.root / ".scratch")
    assert crabs.run("--offline").err == refusal(
        f"//services/w:binary: hex 0.4.3, windows-link 0.2.0 {all_platforms}"
    )
    # Without the index of the registry cargo has other words for it.
    shutil.rmtree(home / "registry")
    assert crabs.run("--offline").err == refusal(f"//services/w:binary: {every}")
