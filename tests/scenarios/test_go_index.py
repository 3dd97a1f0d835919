"""Go's index of packages goes by mtimes, and those can be set."""

import os
import shutil
from pathlib import Path

from .workspaces import DODO, GO_MOD, LOADER, QUICK, SERVICE, Site, site_of

_MAIN = (
    'package main\n\nimport _ "embed"\n\n'
    "//go:embed {}\nvar said string\n\nfunc main() {{ print(said) }}\n"
)
_OLD = 1_600_000_000


def set_main(site: Site, text: str) -> None:
    path = site.root / "services/api/main.go"
    path.write_text(text)
    os.utime(path, (_OLD, _OLD))


def clean(site: Site) -> dict[str, str]:
    """The images of a first build of a copy."""
    copy = Site(site.root.parent / "copy")
    shutil.copytree(site.root, copy.root, ignore=shutil.ignore_patterns(".scratch*", "dist"))
    assert copy.run().code == 0
    found = copy.images()
    shutil.rmtree(copy.root)
    return found


def test_another_file_with_the_mtime_and_size_of_the_one_before(tmp_path: Path) -> None:
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": QUICK,
        "go.mod": GO_MOD,
        "services/api/service.toml": SERVICE,
        "services/api/a.txt": "a",
        "services/api/b.txt": "b",
    }
    site = site_of(tmp_path / "ws", files)
    seen = []
    for embedded in ("a.txt", "b.txt", "a.txt"):
        set_main(site, _MAIN.format(embedded))
        ran = site.run()
        assert (ran.code, ran.err) == (0, "")
        assert site.images() == clean(site)
        seen.append(site.images())
    assert seen[0] == seen[2] != seen[1]
