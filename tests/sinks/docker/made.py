"""Small real images, put together without the rest of scratchtasks."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from scratchtasks.core.descriptor import Layer
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.platform import Platform, parse_platform
from scratchtasks.core.target import Image, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, manifest_bytes
from scratchtasks.oci.layer import pack_layer
from scratchtasks.sinks.docker import Loadable
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

_SOURCE = """\
package main

import "os"

func main() {
	text, err := os.ReadFile("/etc/message")
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.Write(text)
}
"""

OWNER = "scratchtasks.test"
AMD64 = parse_platform("linux/amd64")

Files = Mapping[str, bytes]


def compile_program(folder: Path) -> bytes:
    """A static program that prints /etc/message."""
    (folder / "main.go").write_text(_SOURCE)
    subprocess.run(
        ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "say", "main.go"],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0"},
        check=True,
    )
    return (folder / "say").read_bytes()


@dataclass(frozen=True, slots=True)
class Made:
    """A store with the blobs of images that are made in it, all with the label OWNER=*owner*."""

    store: ContentStore
    files: FileStates
    program: bytes
    owner: str
    packed: dict[str, Layer] = field(default_factory=dict)

    def layer(self, contents: Files, *, compress: bool = True) -> Layer:
        """A layer of files with mode 0755, by path."""
        entries = []
        for path, data in contents.items():
            blob = self.store.put_bytes(data, "")
            entries.append(FileEntry(path=path, mode=0o755, digest=blob.digest, size=blob.size))
        media_type = media.LAYER_GZIP if compress else media.LAYER_TAR
        with self.store.writer(media_type) as out:
            layer = pack_layer(entries, self.store.open, out, compress=compress)
            return replace(layer, blob=out.commit())

    def image(self, *layers: Layer, platform: Platform = AMD64) -> PlatformImage:
        """The image of *layers*, which starts /say."""
        what = Image(
            platforms=(platform,),
            user=User("nonroot", 65532, 65532),
            entrypoint=("/say",),
            labels={OWNER: self.owner},
        )
        config = self.store.put_bytes(config_bytes(what, platform, layers), media.CONFIG)
        manifest = manifest_bytes(config, [layer.blob for layer in layers])
        blob = self.store.put_bytes(manifest, media.MANIFEST)
        return PlatformImage(platform, blob, config, layers)

    def say(self, message: str, base: bytes = b"base") -> PlatformImage:
        """Three layers: *base*, the program (the same for all messages), *message* on top."""
        return self.image(
            self.layer({"etc/base": base}),
            self._program_layer(),
            self.layer({"etc/message": message.encode()}),
        )

    def _program_layer(self) -> Layer:
        if "say" not in self.packed:
            self.packed["say"] = self.layer({"say": self.program})
        return self.packed["say"]

    def named(self, name: str, message: str, base: bytes = b"base") -> Loadable:
        """*message* said by an image that is to be NAME:latest."""
        return Loadable(self.say(message, base), (f"{name}:latest",))
