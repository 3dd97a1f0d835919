"""Load images into the nodes of a kind cluster: containers that run containerd for a kubelet.

Each node that lacks an image gets it by `docker exec NODE ctr images import`, as `kind load` does;
names are set when the image is known to be whole there.
Source: kind, user guide ("Loading an Image Into Your Cluster"); containerd, `ctr images --help`.
"""

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.span import OnSpan, counted, span
from scratchtasks.registry.reference import Repository, parse_reference
from scratchtasks.store.blobs import ContentStore

from .docker.archive import PlainImage, write_archive
from .docker.load import How, Loadable
from .kernel import natives

if TYPE_CHECKING:
    from docker import DockerClient

_CLUSTER = "io.x-k8s.kind.cluster"
# Among a container's labels as docker shows them (`k=v,k=v`), or podman (`map[k:v k:v]`).
_BALANCER = re.compile(r"\bio\.x-k8s\.kind\.role[=:]external-load-balancer\b")
_SNAPSHOTTER = "overlayfs"  # kind's choice, and containerd's, where nothing is in its way


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image, the digest that names it in containerd, and its names there."""

    image: PlainImage
    digest: str
    names: tuple[str, ...]


class Kind:
    """The nodes of *cluster*; they are containers of docker, or of podman where kind uses that.

    *tell* hears of each archive that is sent to one.
    """

    def __init__(self, cluster: str, env: Mapping[str, str], tell: OnSpan | None = None) -> None:
        self._tell = tell
        self._cluster = cluster
        self._env = dict(env)
        # What images are called until they are known to be whole: no registry has that name.
        self._new = f"scratchtasks.invalid/{os.urandom(8).hex()}"
        self._cli = _cli(env)

    @property
    def client(self) -> "DockerClient":
        """None runs containers here.  Raises: SinkError."""
        what = f"the engine kind:{self._cluster} runs pods, not containers"
        hint = "doit load, and `doit resolve --local` for manifests that name what is loaded"
        raise SinkError("up", what, hint)

    def warm_up(self) -> None:
        """Nothing: each question starts a program, and what nodes have may change."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that the nodes run by themselves, the best first: containerd there
        takes no others.  Raises: SinkError.
        """
        machine = self._exec(self._nodes()[0], "uname", "-m").strip()
        known = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
        return natives(known.get(machine, machine), is_here=False)

    def id_of(self, image: Loadable) -> str:
        """The name of *image* in the cluster that will never mean another one."""
        return _wanted(image).names[-1]

    def remove_displaced(self) -> None:
        """Nothing: a pod may name by digest what has no tag, on any node and later too."""

    def load(self, images: Sequence[Loadable], store: ContentStore) -> list[How]:
        """Bring *images* to each node with all their references; what was done for each.

        Nothing is sent to a node that has an image.  Raises: SinkError, StoreError.
        """
        wanted = [_wanted(each) for each in images]
        done: list[How] = ["present"] * len(wanted)
        for node in self._nodes():
            there = self._images(node, [name for each in wanted for name in each.names])
            lacking = [each for each in wanted if each.digest not in there.values()]
            if lacking:
                self._import(node, lacking, store)
            for number, each in enumerate(wanted):
                missing = [name for name in each.names if there.get(name) != each.digest]
                if missing:
                    source = next((n for n in each.names if there.get(n) == each.digest), "")
                    self._ctr(node, "tag", "--force", source or self._name(each), *missing)
                if each in lacking:
                    done[number] = "loaded"
                elif missing and done[number] == "present":
                    done[number] = "tagged"
            if lacking:
                self._clear(node)
        return done

    def _nodes(self) -> list[str]:
        """The names of all nodes.  Raises: SinkError also when one of them does not run: it would
        come back without what the others got.
        """
        # The podman of Debian 12 has no `.Label`, and its `.State` is what docker calls `.Status`.
        listed = self._run(
            "ps",
            "--all",
            "--filter",
            f"label={_CLUSTER}={self._cluster}",
            "--format",
            "{{.Names}}|{{.Status}}|{{.Labels}}",
        )
        rows = [line.split("|", 2) for line in listed.splitlines() if line.strip()]
        nodes = {row[0]: row[1] for row in rows if not _BALANCER.search(row[2])}
        if not nodes:
            raise SinkError(
                "kind", f"no node of a cluster {self._cluster!r} runs", "see `kind get clusters`"
            )
        for node, status in sorted(nodes.items()):
            paused = "paused" in status.lower()
            if paused or not status.startswith("Up "):
                hint = f"{self._cli} {'unpause' if paused else 'start'} {node}"
                raise SinkError("kind", f"the node {node} does not run: {status}", hint)
        return sorted(nodes)

    def _images(self, node: str, names: Iterable[str]) -> dict[str, str]:
        """Digests by name, of those *names* whose content the node has in full."""
        filters = [f"name=={name}" for name in dict.fromkeys(names)]
        rows = [line.split() for line in self._ctr(node, "check", *filters).splitlines()[1:]]
        return {row[0]: row[2] for row in rows if len(row) > 3 and row[3] == "complete"}

    def _import(self, node: str, lacking: Sequence[_Wanted], store: ContentStore) -> None:
        archive = write_archive([each.image for each in lacking], (), store)
        snapshotter = _snapshotter(self._exec(node, "containerd", "config", "dump"))
        # A containerd that imports by itself (2.3) can unpack for the default one alone.  For
        # another, which nodes without root or on ZFS have, it unpacks when a pod starts.
        is_default = snapshotter == _SNAPSHOTTER
        unpack = ["--snapshotter", snapshotter] if is_default else ["--no-unpack"]
        options = ["--digests", "--base-name", self._new, *unpack]
        names = [self._name(each) for each in lacking]
        try:
            with span(self._tell, "load", f"import into {node}") as told:
                self._send(node, ["import", *options, "-"], counted(archive, told))
            there = self._images(node, names)
            for each, name in zip(lacking, names, strict=True):
                if there.get(name) != each.digest:
                    raise SinkError("kind load", f"{node} said yes, but lacks {each.names[0]}")
        except (SinkError, StoreError):
            with suppress(SinkError):
                self._clear(node)
            raise

    def _name(self, each: _Wanted) -> str:
        return f"{self._new}@{each.digest}"

    def _clear(self, node: str) -> None:
        """Take the first names away again; the archive's index has got one, too."""
        names = self._ctr(node, "ls", "-q", f"name~=^{self._new}@").split()
        if names:
            self._ctr(node, "rm", *names)

    def _send(self, node: str, command: Sequence[str], archive: Iterator[bytes]) -> None:
        argv = [self._cli, "exec", "-i", node, "ctr", "-n", "k8s.io", "images", *command]
        with tempfile.TemporaryFile() as said:  # a pipe that nobody reads may fill up
            process = self._start(argv, subprocess.DEVNULL, said.fileno())
            assert process.stdin is not None
            try:
                for chunk in archive:
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended, and says why
            except BaseException:
                process.kill()
                raise
            finally:
                process.communicate()
            if process.returncode:
                said.seek(0)
                raise SinkError("kind load", f"{node}: {_last_line(said.read())}")

    def _ctr(self, node: str, *command: str) -> str:
        return self._exec(node, "ctr", "-n", "k8s.io", "images", *command)

    def _exec(self, node: str, *command: str) -> str:
        return self._run("exec", node, *command, where=node)

    def _run(self, *command: str, where: str = "") -> str:
        process = self._start([self._cli, *command])
        out, said = process.communicate()
        if process.returncode:
            where = where or f"{self._cli} {command[0]}"
            raise SinkError("kind", f"{where}: {_last_line(said)}")
        return out.decode(errors="replace")

    def _start(
        self, argv: Sequence[str], out: int = subprocess.PIPE, err: int = subprocess.PIPE
    ) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                argv, env=self._env, stdin=subprocess.PIPE, stdout=out, stderr=err
            )
        except OSError as error:
            raise SinkError(
                "kind", f"cannot run {argv[0]}: {error.strerror}", "kind needs it as well"
            ) from None


def _cli(env: Mapping[str, str]) -> str:
    """What kind runs by *env*: podman too where that is all there is."""
    told = env.get("KIND_EXPERIMENTAL_PROVIDER")
    there = [each for each in ("docker", "podman") if shutil.which(each, path=env.get("PATH"))]
    return "podman" if told == "podman" or (not told and there == ["podman"]) else "docker"


def canonical(reference: str) -> str:
    """*reference* with its registry spelt out: `api:1` is `docker.io/library/api:1`."""
    return str(parse_reference(reference))


def _wanted(each: Loadable) -> _Wanted:
    image = PlainImage(each.root)
    digest = digest_of(image.manifest)
    names = [canonical(reference) for reference in each.references]
    # By digest too: a pod can name that, and it stays when a tag moves on.
    return _Wanted(image, digest, (*names, f"{_repository(names[0])}@{digest}"))


def _repository(name: str) -> Repository:
    return parse_reference(name).repository


def _snapshotter(config: str) -> str:
    """Where a node's kubelet looks for unpacked layers, by containerd's *config* (TOML)."""
    try:
        plugins: dict[str, Any] = tomllib.loads(config).get("plugins", {})
    except tomllib.TOMLDecodeError:
        plugins = {}
    new = plugins.get("io.containerd.cri.v1.images", {})
    old = plugins.get("io.containerd.grpc.v1.cri", {}).get("containerd", {})
    return str(new.get("snapshotter") or old.get("snapshotter") or _SNAPSHOTTER)


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"
