"""A copy of services/ in a folder of its own, built once for all tests of images."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("api", "dashboard", "portcheck", "worker")

CONTRASTS = {
    "api-spare": """
[binary]
rule    = "go_binary"
package = "../api"
ldflags = ["-X main.version=1.4.0"]

[image]
essentials = ["certs", "accounts"]
user       = "app:1001"
""",
    "worker-spare": """
[binary]
rule  = "rust_binary"
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


def build(root: Path, authority: Path, tool_caches: Path) -> Built:
    """Copy services/ to *root*, make *authority* its internal CA, and run `doit` there.

    What cargo and zig have compiled before is kept in *tool_caches*; blobs and actions of
    scratchtasks are not, so every image is made anew.
    """
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
    (root / ".scratch").mkdir()
    for tool in ("cargo", "zig"):
        (tool_caches / tool).mkdir(parents=True, exist_ok=True)
        (root / ".scratch" / tool).symlink_to(tool_caches / tool)
    doit(root)
    summary = json.loads((root / "dist/images.json").read_bytes())
    return Built(root, {image["name"]: image for image in summary["images"]})


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
