"""Images made for these tests: a static Go program and a few files, in a store of their own."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scratchtasks.core.image import PlatformImage
from scratchtasks.core.platform import Platform, host_platform
from scratchtasks.core.target import Image, Smoke, User
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.essentials.etc_files import hosts_file
from scratchtasks.execute.process import Processes
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, manifest_bytes
from scratchtasks.sinks.smoke.verdict import Verdict, Way, smoke
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates
from tests.packing import pack_layer

APP = User("app", 1001, 1001)
PROGRAM = "/usr/bin/api"
PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\napp:x:1001:1001:app:/home/app:/sbin/nologin\n"
HOSTS = {"db.internal": "10.0.0.7", "localhost-x.internal": "10.0.0.8", "ip6-gw.corp": "fd00::9"}


def compile_program(out: Path, platform: Platform) -> bytes:
    """`program.go` as a static binary for *platform*."""
    source = Path(__file__).with_name("program.go")
    target = {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": platform.architecture}
    command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(out), str(source)]
    subprocess.run(command, check=True, env={**os.environ, **target, "GOFLAGS": "-mod=mod"})
    return out.read_bytes()


class Bench:
    """A store, an action cache, and what trials have shown on the terminal."""

    def __init__(self, root: Path, program: bytes, platform: Platform | None = None) -> None:
        self.platform = platform or host_platform()
        self.folder = str(root / "private")
        self.files = FileStates(str(root), str(root / "files"))
        self.store = ContentStore(str(root / "blobs"), self.files)
        self.cache = ActionCache(str(root / "actions"), self.store)
        self.shown: list[bytes] = []
        self.processes = Processes(self.shown.append)
        self.env = dict(os.environ)
        self.program = program

    def file(self, path: str, data: bytes, **rights: Any) -> FileEntry:
        blob = self.store.put_bytes(data, "application/octet-stream")
        return FileEntry(path=path, digest=blob.digest, size=blob.size, **rights)

    def image(self, extra: Sequence[FileEntry] = (), **config: Any) -> PlatformImage:
        """An image of two layers: essentials, and the program with *extra*."""
        own: dict[str, Any] = {"uid": 1001, "gid": 1001}
        essentials = [
            self.file("etc/passwd", PASSWD),
            self.file("etc/hosts", hosts_file(HOSTS)[1]),
            self.file("etc/nsswitch.conf", b"hosts: files dns\n"),
            self.file("etc/secret", b"root's", mode=0o600),
            self.file("etc/app.toml", b"mine", mode=0o600, **own),
            FileEntry(path="home/app", kind="dir", mode=0o700, **own),
            FileEntry(path="tmp", kind="dir", mode=0o1777),
        ]
        first = self.file("usr/bin/api", self.program, mode=0o755)
        second = FileEntry(path="usr/bin/other", kind="hardlink", link="usr/bin/api")
        settings: dict[str, Any] = {"user": APP, "entrypoint": (PROGRAM,), **config}
        image = Image(platforms=(self.platform,), **settings)
        layers = []
        for entries in (essentials, [first, second, *extra]):
            with self.store.writer(media.LAYER_GZIP) as out:
                layers.append(pack_layer(entries, self.store.open, out))
                out.commit()
        made = self.store.put_bytes(config_bytes(image, self.platform, layers), media.CONFIG)
        data = manifest_bytes(made, [layer.blob for layer in layers])
        return PlatformImage(
            self.platform, self.store.put_bytes(data, media.MANIFEST), made, tuple(layers)
        )

    def smoke(
        self,
        image: PlatformImage,
        way: Way | Sequence[Way],
        *args: str,
        **definition: Any,
    ) -> Verdict:
        """Try *image* with *args* in the given *way*."""
        wanted = replace(Smoke(args=args), **definition)
        return smoke(
            image,
            wanted,
            where="//services/api:image",
            store=self.store,
            files=self.files,
            cache=self.cache,
            processes=self.processes,
            env=self.env,
            folder=self.folder,
            ways=(way,) if isinstance(way, str) else way,
        )

    @property
    def said(self) -> str:
        """All that was shown so far."""
        return b"".join(self.shown).decode()
