"""Our api image beside what BuildKit makes of the well-known multi-stage Dockerfile.

Both get the same inputs.  Every difference between the two is in a list here, with its reason;
a difference that is in no list, or a reason that no longer holds, fails.
"""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from .built import Built
from .engine import Engine
from .root_tree import Node, Tree, saved_image, tree_of

pytestmark = pytest.mark.docker

DOCKERFILE = Path(__file__).with_name("Dockerfile")

WRITTEN_BY_HAND = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "app:x:1001:1001:app:/home/app:/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nnobody:x:65534:\napp:x:1001:\n",
    "tmp/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "tmp/hosts": (
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::\tip6-localnet\n"
        "ff00::\tip6-mcastprefix\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n"
        "10.0.0.7\tdb.internal\n"
    ),
}
"""What the author of the Dockerfile makes in the first stage."""

FOLDER = Node("dir", 0o755, 0, 0)
STICKY = Node("dir", 0o1777, 0, 0)

ONLY_OURS = {
    # The user of the image has a home, as passwd says, and it is nobody else's.
    "home": FOLDER,
    "home/app": Node("dir", 0o700, 1001, 1001),
    # The other folder for temporary files that the article names.
    "var": FOLDER,
    "var/tmp": STICKY,
    # Where OpenSSL, LibreSSL and BSD's and Red Hat's programs look for the roots.
    "etc/ssl/cert.pem": Node("symlink", 0o777, 0, 0, "certs/ca-certificates.crt"),
    "etc/pki": FOLDER,
    "etc/pki/tls": FOLDER,
    "etc/pki/tls/cert.pem": Node("symlink", 0o777, 0, 0, "../../ssl/certs/ca-certificates.crt"),
    "etc/pki/tls/certs": FOLDER,
    "etc/pki/tls/certs/ca-bundle.crt": Node(
        "symlink", 0o777, 0, 0, "../../../ssl/certs/ca-certificates.crt"
    ),
    "usr/lib": FOLDER,
    "usr/lib/ssl": FOLDER,
    "usr/lib/ssl/cert.pem": Node(
        "symlink", 0o777, 0, 0, "../../../etc/ssl/certs/ca-certificates.crt"
    ),
    "usr/local": FOLDER,
    "usr/local/ssl": FOLDER,
    "usr/local/ssl/cert.pem": Node(
        "symlink", 0o777, 0, 0, "../../../etc/ssl/certs/ca-certificates.crt"
    ),
}

ONLY_THEIRS = {
    # COPY --from=builder /tmp /tmp takes along what the first stage kept there.
    "tmp/hosts",
    "tmp/nsswitch.conf",
}

OTHERWISE = {
    # COPY loses the mode of the folder it copies: /tmp is not writable for the image's user.
    "tmp": (STICKY, FOLDER),
}
"""Paths in both, as (ours, theirs)."""

CONFIG = {
    # By number: Kubernetes' runAsNonRoot refuses a name, and no engine has to read /etc/passwd.
    "config.User": ("1001:1001", "app"),
    # Relics of Windows and of ONBUILD.
    "config.ArgsEscaped": (None, True),
}
"""Fields of the config, as (ours, theirs).  Not here, for they always differ: `created` and
`history` (BuildKit's clock and commands) and `rootfs` (its digests move with the clock)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The trees and configs of both images, and the id of theirs in the engine."""

    ours: Tree
    theirs: Tree
    our_config: dict[str, Any]
    their_config: dict[str, Any]
    their_layers: int
    their_id: str


@pytest.fixture(scope="module")
def pair(
    built: Built,
    engine: Engine,
    unpacked: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """Both images, made of the same inputs."""
    context = tmp_path_factory.mktemp("context")
    _prepare(context, unpacked["api"])
    their_id = _build_with_buildkit(context, tmp_path_factory.mktemp("id") / "id")
    try:
        archive = b"".join(engine.client.images.get(their_id).save())
        their_config, their_layers = saved_image(archive)
        our_layers = (built.blob("api", digest) for digest in built.layers("api").values())
        yield Pair(
            tree_of(path.read_bytes() for path in our_layers),
            tree_of(their_layers),
            built.config("api"),
            their_config,
            len(their_layers),
            their_id,
        )
    finally:
        engine.client.images.remove(their_id, force=True)


def test_paths(pair: Pair) -> None:
    ours, theirs = pair.ours.nodes, pair.theirs.nodes
    assert {path: ours[path] for path in ours.keys() - theirs.keys()} == ONLY_OURS
    assert theirs.keys() - ours.keys() == ONLY_THEIRS
    assert len(ours.keys() & theirs.keys()) > 600


def test_kinds_modes_owners_and_content(pair: Pair) -> None:
    ours, theirs = pair.ours.nodes, pair.theirs.nodes
    differing = {
        path: (ours[path], theirs[path])
        for path in ours.keys() & theirs.keys()
        if ours[path] != theirs[path]
    }
    assert differing == OTHERWISE


def test_hard_links(pair: Pair) -> None:
    """Which name of a zone comes first in the tar may differ, how much is saved does not."""
    assert len(pair.ours.links) == len(pair.theirs.links) > 200


def test_times(pair: Pair) -> None:
    """All ours are alike, so that the same input gives the same digest; theirs are of today."""
    assert pair.ours.mtimes == {0}
    assert max(pair.theirs.mtimes) > 0
    assert pair.our_config["created"] == "1970-01-01T00:00:00Z"
    assert pair.their_config["created"] > "2020"


def test_config(pair: Pair) -> None:
    differing = {
        key: (ours, theirs)
        for key, ours, theirs in _fields(pair.our_config, pair.their_config)
        if ours != theirs
    }
    assert differing == CONFIG


def test_layers(pair: Pair) -> None:
    """Ours has one for each thing that moves on its own, theirs one for each COPY."""
    assert len(pair.our_config["rootfs"]["diff_ids"]) == 4
    assert pair.their_layers == DOCKERFILE.read_text().count("COPY --from") == 8


def test_their_tmp_is_of_no_use_to_their_user(pair: Pair, engine: Engine) -> None:
    """The improvement that counts most, seen at run time; ours is in test_api."""
    theirs = replace(engine, ids={"theirs": pair.their_id})
    assert theirs.run("theirs", "whoami").answer()["user"] == "app"
    reason = theirs.run("theirs", "temp").error()
    assert reason.startswith("open /tmp/api-")
    assert reason.endswith(": permission denied")


def _fields(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Every field of two configs, with None for absent ones; Env in one order for both."""
    for key in sorted((ours.keys() | theirs.keys()) - {"config", "created", "history", "rootfs"}):
        yield key, ours.get(key), theirs.get(key)
    runtimes = ours["config"], theirs["config"]
    for key in sorted(runtimes[0].keys() | runtimes[1].keys()):
        values = [runtime.get(key) for runtime in runtimes]
        if key == "Env":
            values = [sorted(value) for value in values]
        yield f"config.{key}", *values


def _prepare(context: Path, root: Path) -> None:
    """Fill *context* with what the first stage makes; /tmp is there as every system has it."""
    for source, dest in {
        "usr/bin/api": "app/api",
        "etc/ssl/certs/ca-certificates.crt": "etc/ssl/certs/ca-certificates.crt",
    }.items():
        (context / dest).parent.mkdir(parents=True)
        shutil.copy(root / source, context / dest)
    _copy_with_links(root / "usr/share", context / "usr/share", "zoneinfo")
    (context / "tmp").mkdir()
    (context / "tmp").chmod(0o1777)
    for name, text in WRITTEN_BY_HAND.items():
        (context / name).write_text(text)
        (context / name).chmod(0o644)


def _copy_with_links(source: Path, dest: Path, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(source / name, name)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # from 3.11.4 on
        archive.extractall(dest)


def _build_with_buildkit(context: Path, id_file: Path) -> str:
    """The id of the image that BuildKit makes of DOCKERFILE and *context*."""
    done = subprocess.run(
        [_docker_with_buildkit(), "build", "--iidfile", id_file, "-f", DOCKERFILE, context],
        env=os.environ | {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return id_file.read_text()


def _docker_with_buildkit() -> str:
    """The first docker on PATH that can build with BuildKit: up to 22 by itself, then by buildx."""
    for folder in os.environ["PATH"].split(os.pathsep):
        docker = shutil.which("docker", path=folder)
        if docker is None:
            continue
        said = subprocess.run([docker, "--version"], capture_output=True, text=True).stdout
        major = said.removeprefix("Docker version ").partition(".")[0]
        has_buildx = not subprocess.run(
            [docker, "buildx", "version"], capture_output=True
        ).returncode
        if has_buildx or (major.isdigit() and int(major) < 23):
            return docker
    raise AssertionError("no docker on PATH can build with BuildKit (docker-buildx is missing)")
