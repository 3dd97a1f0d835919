"""Images in a store, ready to be pushed; small, and made in a moment."""

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Image, User
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, index_bytes, manifest_bytes
from scratchtasks.registry.client import Registry
from scratchtasks.registry.transport import Limits
from scratchtasks.registry.uploads import Uploads
from scratchtasks.sinks.registry.plan import PushImage, make_plan
from scratchtasks.sinks.registry.push import Pushed, push
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

QUICK = Limits(backoff=0.01, wait=2, idle=5, answer=5, connect=5, chunk=1 << 20)
LARGE = random.Random(5).randbytes(5 << 20)
AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

_PUSHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.sinks.registry.bench import Bench
bench = Bench(Path(sys.argv[2]))
bench.push(bench.large(sys.argv[3]))
"""


class Bench:
    """A store of its own in *root*, and images made of it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.files = FileStates(str(root), str(root / "files"))
        self.store = ContentStore(str(root / "blobs"), self.files)

    def image(
        self,
        repository: str,
        *contents: bytes,
        tags: Sequence[str] = ("latest",),
        platforms: Sequence[Platform] = (AMD64,),
        name: str = "",
    ) -> PushImage:
        """An image with one layer, not really a tar, for each of *contents*."""
        name = name or repository.rpartition("/")[2]
        manifests, blobs = [], []
        for platform in platforms:
            layers = [self.store.put_bytes(data, media.LAYER_TAR) for data in contents]
            config = self._config(platform, layers)
            manifest = self.store.put_bytes(manifest_bytes(config, layers), media.MANIFEST)
            manifests.append(manifest)
            blobs += [manifest, config, *layers]
        top = manifests[0]
        if len(platforms) > 1:
            index = index_bytes(list(zip(manifests, platforms, strict=True)))
            top = self.store.put_bytes(index, media.INDEX)
        return PushImage(
            name=name,
            label=f"//services/{name}:image",
            top=top,
            manifests=manifests,
            blobs=blobs,
            repository=repository,
            tags=tags,
        )

    def large(self, repository: str) -> PushImage:
        """An image with a layer of LARGE, five chunks."""
        return self.image(repository, LARGE, b"new")

    def push_apart(self, repository: str) -> subprocess.Popen[bytes]:
        """A process that pushes `large` from here, to be killed."""
        here = str(Path(__file__).parents[3])
        return subprocess.Popen([sys.executable, "-c", _PUSHER, here, str(self.root), repository])

    def _config(self, platform: Platform, layers: Sequence[Descriptor]) -> Descriptor:
        image = Image(platforms=(platform,), user=User("app", 1, 1), entrypoint=("/api",))
        data = config_bytes(image, platform, [Layer(x, DiffID(x.digest)) for x in layers])
        return self.store.put_bytes(data, media.CONFIG)

    def push(
        self,
        *images: PushImage,
        env: dict[str, str] | None = None,
        limits: Limits = QUICK,
        siblings: Sequence[PushImage] = (),
    ) -> list[Pushed]:
        """Plan and push *images*, as `doit push` does."""
        with Registry(env or {}, limits=limits) as registry:
            plan = make_plan(images, registry, self.store, siblings)
            return push(plan, registry, self.store, None, Uploads(str(self.root / "uploads")))
