"""ko: one `go build` for each service onto a base image, which has to be in a registry."""

import json
import platform
import re
import shutil
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..layouts import member_of
from ..process import Wrong, environment, run
from .go import go_install, go_program

KO = ("github.com/google/ko", "v0.19.1")
CRANE = ("github.com/google/go-containerregistry/cmd/crane", "v0.22.1")


@dataclass(frozen=True, slots=True)
class Ko:
    """ko in *module*, with its base image in *registry* and its cache kept in *work*."""

    work: Path
    module: Path
    registry: str

    def prepare(self, essentials: Sequence[Path]) -> None:
        """Push a base image of these layers: what ours puts below a binary."""
        crane = go_install(self.work / "tools", *CRANE)
        layers = [word for path in essentials for word in ("-f", str(path))]
        run([str(crane), "append", *layers, "-t", self._base], self.work)
        go_install(self.work / "tools", *KO)

    def resolve(self, manifests: Path) -> str:
        """`ko resolve` of *manifests*, images pushed to *registry*; the YAML it prints.

        Not to an OCI layout: its jobs rewrite that one's index.json side by side, and now and
        then one reads half of it ("unexpected end of JSON input").
        """
        return self._ko("resolve", "-f", str(manifests))

    def program(self, resolved: str, name: str) -> bytes:
        """The program of service *name* in the images that `resolve` has *resolved* to."""
        found = re.search(rf"{self.registry}/(\S*/{name}-\w+)@(sha256:\w+)", resolved)
        if found is None:
            raise Wrong(f"ko resolve: no image of {name} in {resolved}")
        repository, digest = found.groups()
        manifest = json.loads(self._get(f"{repository}/manifests/{digest}"))
        for layer in reversed(manifest["layers"]):
            content = member_of(
                self._get(f"{repository}/blobs/{layer['digest']}"), f"ko-app/{name}"
            )
            if content is not None:
                return content
        raise Wrong(f"ko: the image of {name} has no program")

    def build_local(self, package: str, host: str) -> str:
        """`ko build --local` of one *package*; the reference of the image in the engine."""
        return self._ko("build", "--local", package, DOCKER_HOST=host).strip()

    def write_manifests(self, path: Path, module: str, names: Sequence[str]) -> None:
        """A Kubernetes pod for each service in *names*."""
        path.write_text(
            "---\n".join(
                f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n"
                f"  - name: {name}\n    image: ko://{module}/services/{name}\n"
                for name in names
            )
        )

    @property
    def _base(self) -> str:
        return f"{self.registry}/base:latest"

    def _get(self, path: str) -> bytes:
        accepted = "application/vnd.oci.image.manifest.v1+json"
        docker = "application/vnd.docker.distribution.manifest.v2+json"
        url = f"http://{self.registry}/v2/{path}"
        request = urllib.request.Request(url, headers={"Accept": f"{accepted}, {docker}"})
        with urllib.request.urlopen(request) as answer:
            data: bytes = answer.read()
            return data

    def _ko(self, verb: str, *args: str, **more: str) -> str:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
        env = environment(
            KO_DOCKER_REPO=f"{self.registry}/ko",
            KO_DEFAULTBASEIMAGE=self._base,
            KOCACHE=str(self.work / "kocache"),
            CGO_ENABLED="0",
            PATH=f"{Path(go_program()).parent}:{environment()['PATH']}",
            **{name: value for name, value in more.items() if value},
        )
        program = str(go_install(self.work / "tools", *KO))
        argv = [program, verb, "--sbom=none", f"--platform=linux/{machine}", *args]
        return run(argv, self.module, env).out


def is_possible() -> bool:
    """Whether a registry for the base image can be started here."""
    return shutil.which("docker-registry") is not None
