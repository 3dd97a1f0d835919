"""Small real images, put together without the rest of scratchtasks."""

import gzip
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scratchtasks.core.platform import Platform, parse_platform
from scratchtasks.core.rootfs import PlainLayer, Rootfs
from scratchtasks.core.target import Image, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes
from scratchtasks.oci.layer import RECIPE, complete, measure, recipe_bytes
from scratchtasks.oci.tar import tar_chunks
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


def its_own(owner: str) -> str:
    """TOML after `[image]`: images with the label OWNER=*owner*, and no layer like any others'.

    A layer that tests beside this one had too would be left out of an archive, and gone with
    their images before it arrives.
    """
    return f'labels = {{ "{OWNER}" = "{owner}" }}\nuser = "u{owner[-12:]}:65532"\n'


@dataclass(frozen=True, slots=True)
class Made:
    """A store with the blobs of images that are made in it, all with the label OWNER=*owner*."""

    store: ContentStore
    files: FileStates
    program: bytes
    owner: str
    packed: dict[str, PlainLayer] = field(default_factory=dict)

    def layer(self, contents: Files, *, source: str = RECIPE) -> PlainLayer:
        """A layer of files with mode 0755, by path; *source* is the media type of what is kept."""
        entries = []
        for path, data in contents.items():
            blob = self.store.put_bytes(data, "")
            entries.append(FileEntry(path=path, mode=0o755, digest=blob.digest, size=blob.size))
        whole = complete(entries)
        chunks = list(tar_chunks(whole, self.store.open))
        diff_id, size = measure(chunks)
        if source == RECIPE:
            kept = self.store.put_bytes(recipe_bytes(whole, 0), RECIPE)
            return PlainLayer(kept, diff_id, size)
        data = b"".join(chunks)
        if source == media.LAYER_GZIP:
            data = gzip.compress(data, mtime=0)
        return PlainLayer(self.store.put_bytes(data, source), diff_id, size)

    def image(self, *layers: PlainLayer, platform: Platform = AMD64) -> Rootfs:
        """The image of *layers*, which starts /say."""
        what = Image(
            platforms=(platform,),
            user=User("nonroot", 65532, 65532),
            entrypoint=("/say",),
            labels={OWNER: self.owner},
        )
        config = self.store.put_bytes(config_bytes(what, platform, layers), media.CONFIG)
        return Rootfs(platform, config, layers)

    def say(self, message: str, base: bytes = b"base") -> Rootfs:
        """Three layers: *base*, the program (the same for all messages), *message* on top.

        Each names the owner, for the reason that `its_own` has.
        """
        owner = self.owner.encode()
        return self.image(
            self.layer({"etc/base": base + owner}),
            self._program_layer(),
            self.layer({"etc/message": message.encode(), "etc/owner": owner}),
        )

    def _program_layer(self) -> PlainLayer:
        if "say" not in self.packed:
            self.packed["say"] = self.layer({"say": self.program})
        return self.packed["say"]

    def named(self, name: str, message: str, base: bytes = b"base") -> Loadable:
        """*message* said by an image that is to be NAME:latest."""
        return Loadable(self.say(message, base), (f"{name}:latest",))
