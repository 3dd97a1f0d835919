"""A copy of services/ in a folder of its own, built once for all tests of images."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("api", "dashboard", "portcheck", "worker")

CONTRASTS = {
    "api-spare": """
[binary]
rule    = "go_binary"
name    = "api"
package = "../api"
ldflags = ["-X main.version=1.4.0"]

[image]
essentials = ["certs", "accounts"]
user       = "app:1001"
""",
    "worker-spare": """
[binary]
rule  = "rust_binary"
name  = "worker"
crate = "../worker"

[image]
essentials = ["certs"]
""",
}
"""The same programs in images that lack what the real ones have, so that what works in a real
image is seen to fail without its reason: public roots only, no zones, no /tmp, no hosts."""

IMAGES = (*SERVICES, *CONTRASTS)

_WORKER_CERTS = '\n[certs]\nextra = ["//services/certs:internal-ca.pem"]\n'


@dataclass(frozen=True, slots=True)
class Built:
    """The built workspace at *root*; *images* is what `dist/images.json` says, by name."""

    root: Path
    images: dict[str, dict[str, Any]]

    def layout(self, name: str) -> Path:
        """The OCI layout of image *name*."""
        return self.root / "dist" / name

    def blob(self, name: str, digest: str) -> Path:
        """A blob of the layout of image *name*."""
        return self.layout(name) / "blobs" / digest.replace(":", "/")

    def config(self, name: str) -> dict[str, Any]:
        """The image config of image *name*, as it stands in its layout."""
        text = self.blob(name, self.images[name]["image_id"]).read_bytes()
        value: dict[str, Any] = json.loads(text)
        return value

    def layers(self, name: str) -> dict[str, str]:
        """The digests of the layers of image *name*, lowest first, by kind."""
        return {layer["kind"]: layer["digest"] for layer in self.images[name]["layers"]}


@contextmanager
def build(authority: Path, cache: Path) -> Iterator[Built]:
    """Copy services/ to a workspace in *cache*, make *authority* its internal CA, run `doit`.

    Of an earlier test run only what cargo and zig keep for themselves stays there (cargo's is of
    no use at another path): scratchtasks makes every image anew.  One test run at a time.
    """
    root = cache / "images"
    (root / ".scratch").mkdir(parents=True, exist_ok=True)
    (cache / "zig").mkdir(exist_ok=True)
    with (cache / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _empty(root, keep=".scratch")
        _empty(root / ".scratch", keep="cargo")
        (root / ".scratch/zig").symlink_to(cache / "zig")
        _fill(root, authority)
        doit(root)
        summary = json.loads((root / "dist/images.json").read_bytes())
        yield Built(root, {image["name"]: image for image in summary["images"]})


def _empty(folder: Path, keep: str) -> None:
    for path in folder.iterdir():
        if path.name == keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _fill(root: Path, authority: Path) -> None:
    ignored = shutil.ignore_patterns("target")
    shutil.copytree(REPOSITORY / "services", root / "services", ignore=ignored)
    shutil.copy(authority, root / "services/certs/internal-ca.pem")
    with (root / "services/worker/service.toml").open("a") as file:
        file.write(_WORKER_CERTS)
    for name, text in CONTRASTS.items():
        (root / "services" / name).mkdir()
        (root / "services" / name / "service.toml").write_text(text)
    shutil.copy(REPOSITORY / "dodo.py", root)
    (root / "pyproject.toml").write_text('[tool.doit]\nloader = "scratch"\n')


def doit(root: Path, *args: str) -> str:
    """What doit prints when run with *args* in *root*; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "doit", *args],
        cwd=root,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"doit {' '.join(args)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
