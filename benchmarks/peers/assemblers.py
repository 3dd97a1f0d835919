"""Tools that put one binary onto layers that are there already, and leave an image on disk."""

import gzip
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..layouts import content_of, member_of
from ..process import Wrong, run
from .go import go_install
from .ko import CRANE

PLACE = "usr/bin/app"
"""Where each of them puts the binary."""


@dataclass(frozen=True, slots=True)
class Umoci:
    """umoci with an OCI layout of its own in *work*."""

    work: Path

    def prepare(self, essentials: Sequence[Path]) -> None:
        """Make the tag `base` of the gzipped layers *essentials*."""
        shutil.rmtree(self._layout, ignore_errors=True)
        run(["umoci", "init", "--layout", str(self._layout)], self.work)
        run(["umoci", "new", "--image", f"{self._layout}:base"], self.work)
        layer = self.work / "layer.tar"
        for path in essentials:
            layer.write_bytes(gzip.decompress(path.read_bytes()))
            run(["umoci", "raw", "add-layer", "--image", f"{self._layout}:base", str(layer)],
                self.work)  # fmt: skip

    def make(self, program: Path) -> None:
        """Make the tag `made` of `base` and *program*."""
        image = ["--image", f"{self._layout}:base", "--tag", "made"]
        run(["umoci", "insert", *image, str(program), f"/{PLACE}"], self.work)
        command = ["--config.entrypoint", f"/{PLACE}", "--config.user", "65532:65532"]
        run(["umoci", "config", "--image", f"{self._layout}:made", *command], self.work)

    def made(self) -> bytes:
        """The program in the image that was made."""
        return content_of(self._layout, PLACE, "made")

    @property
    def _layout(self) -> Path:
        return self.work / "umoci"


@dataclass(frozen=True, slots=True)
class Crane:
    """GNU tar and crane, which makes a docker archive of one layer."""

    work: Path

    def make(self, program: Path) -> None:
        """Make an image of nothing but *program*."""
        path = f"--transform=s,.*,{PLACE},"
        run(["tar", "-c", "-f", "app.tar", path, "-C", str(program.parent), program.name],
            self.work)  # fmt: skip
        crane = str(go_install(self.work / "tools", *CRANE))
        argv = [crane, "append", "--oci-empty-base", "-f", "app.tar", "-t", "app:latest"]
        run([*argv, "-o", "app.image"], self.work)

    def made(self) -> bytes:
        """The program in the image that was made."""
        with tarfile.open(self.work / "app.image") as archive:
            manifest = _read(archive, "manifest.json")
            layer = _read(archive, json.loads(manifest)[0]["Layers"][0])
        found = member_of(layer, PLACE)
        if found is None:
            raise Wrong("crane: the image has no program")
        return found


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with a Dockerfile; its image is in its own storage."""

    work: Path

    @property
    def program(self) -> Path:
        """Where it wants the binary."""
        return self.work / "buildah" / "program"

    def prepare(self, essentials: Sequence[Path]) -> None:
        """Write the context."""
        shutil.rmtree(self.program.parent, ignore_errors=True)
        rootfs = self.program.parent / "rootfs"
        rootfs.mkdir(parents=True)
        for layer in essentials:
            run(["tar", "-x", "-p", "-f", str(layer), "-C", str(rootfs)], self.work)
        (self.program.parent / "Dockerfile").write_text(
            f'FROM scratch\nCOPY rootfs/ /\nCOPY program /{PLACE}\nENTRYPOINT ["/{PLACE}"]\n'
        )

    def make(self) -> str:
        """Build; the id of the image."""
        argv = ["buildah", "bud", "-q", "--layers", "--isolation", "chroot", "."]
        return run(argv, self.program.parent).out.split()[-1]

    def made(self, image: str) -> bytes:
        """The program in *image*."""
        layout = self.work / "buildah-layout"
        shutil.rmtree(layout, ignore_errors=True)
        run(["buildah", "push", "-q", image, f"oci:{layout}"], self.work)
        return content_of(layout, PLACE)

    def remove(self, images: Sequence[str]) -> None:
        """Remove what was made."""
        if images:
            run(["buildah", "rmi", "-f", *images], self.work)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
