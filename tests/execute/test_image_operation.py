"""rootfs and image: what the composed root has to hold, and what config and manifest say."""

import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.digest import canonical_json, digest_of
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import parse_platform
from scratchtasks.core.rootfs import plain_layer_from_json
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.image import ImageOperation
from scratchtasks.execute.layers import plain_layer
from scratchtasks.execute.operation import Done, Job, World
from scratchtasks.execute.rootfs import RootfsOperation
from scratchtasks.oci.layer import plain_chunks

CONFIG: Mapping[str, Any] = {
    "user": ["app", 1001, 1002],
    "entrypoint": ["/usr/bin/x"],
    "cmd": [],
    "env": {},
    "ports": [],
    "workdir": "/",
    "volumes": [],
    "stop_signal": "",
    "healthcheck": None,
    "labels": {},
}


OPT = {"path": "/opt", "mode": 0o755, "owner": ""}


def file(src: str, dest: str, mode: int | None = None, owner: str = "") -> dict[str, Any]:
    return {"src": src, "dest": dest, "mode": mode, "owner": owner}


def root_of(
    world: World,
    *,
    platform: str = "linux/amd64",
    files: Sequence[Any] = (),
    dirs: Sequence[Any] = (OPT,),
    lower: Sequence[FileEntry] = (),
    **config: Any,
) -> Any:
    binary = world.store.put_bytes(b"\x7fELF", "application/octet-stream")
    params: dict[str, Any] = {
        "layers": ["etc"] if lower else [],
        "binaries": [{"dep": "binary", "dest": "/usr/bin/x"}],
        "files": list(files),
        "dirs": list(dirs),
        "config": {**CONFIG, **config},
    }
    action = Action(
        label=Label("s", "rootfs"),
        mnemonic="Rootfs",
        op="rootfs",
        params=params,
        platform=parse_platform(platform),
    )
    deps = {"binary": ActionResult(outputs={"binary": binary})}
    layer = plain_layer(world, lower, "etc")
    tree = canonical_json([entry.to_json() for entry in lower])
    deps["layer:etc"] = ActionResult(
        outputs={"tree": world.store.put_bytes(tree, ""), "layer": layer.source},
        facts={"layer": layer.to_json(), "versions": {}},
    )
    return RootfsOperation().run([Job(action, deps)], world)[action.name]


def outcome(
    world: World,
    *,
    max_size: int = 0,
    platforms: tuple[str, ...] = ("linux/amd64",),
    **wished: Any,
) -> Any:
    roots = {each: root_of(world, platform=each, **wished) for each in platforms}
    for root in roots.values():
        if isinstance(root, ScratchError):
            return root
    labels = wished.get("labels", {})
    params: dict[str, Any] = {"name": "x", "labels": labels, "max_size": max_size}
    params["platforms"] = list(platforms)
    action = Action(label=Label("s", "image"), mnemonic="Image", op="image", params=params)
    deps = {
        f"rootfs@{each}": ActionResult(outputs=root.outputs, facts=root.facts)
        for each, root in roots.items()
    }
    return ImageOperation().run([Job(action, deps)], world)["//s:image"]


def manifest(done: Done, world: World) -> Any:
    return json.loads(world.store.read(done.outputs["top"].digest))


def test_one_platform_is_a_manifest_and_two_are_an_index(world: World) -> None:
    one = outcome(world)
    assert manifest(one, world)["mediaType"].endswith("image.manifest.v1+json")
    two = outcome(world, platforms=("linux/amd64", "linux/arm64"))
    index = manifest(two, world)
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
    assert index["manifests"][0]["digest"] == one.outputs["top"].digest
    for blob in two.outputs.values():
        assert world.store.fault(blob) == ""


def test_the_config_has_what_was_wished_for(world: World) -> None:
    health = {"command": ["/usr/bin/x", "h"], "interval": 10**9, "timeout": 0}
    health |= {"start_period": 0, "retries": 3}
    done = outcome(world, env={"B": "2", "A": "1"}, healthcheck=health, labels={"l": "v"})
    blob = manifest(done, world)["config"]["digest"]
    config = json.loads(world.store.read(blob))["config"]
    assert config["User"] == "1001:1002"
    assert config["Entrypoint"] == ["/usr/bin/x"]
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert config["Healthcheck"]["Retries"] == 3
    assert config["Labels"] == {"l": "v"}


def test_annotations_are_the_standard_labels(world: World) -> None:
    labels = {"org.opencontainers.image.source": "https://example.com", "other": "x"}
    found = manifest(outcome(world, labels=labels), world)["annotations"]
    assert found == {
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.source": "https://example.com",
        "org.opencontainers.image.title": "x",
    }


FOLDERS = "\n    hint: name a folder of the image, or one that it lacks: engines make it"


def health(*command: str) -> dict[str, Any]:
    more = {"interval": 0, "timeout": 0, "start_period": 0, "retries": 0}
    return {"command": list(command), **more}


@pytest.fixture
def linked(world: World) -> dict[str, Any]:
    """Wishes for a root with symlinks in /srv, a file and a program beside them."""
    folder = Path(world.root, "links")
    folder.mkdir()
    links = {
        "bin": "../usr/bin",
        "opt": "/opt/",
        "up": "../../../usr/bin/x",
        "mtab": "/proc/mounts",
        "none": "/usr/bin/nope",
        "away": "/no/where",
        "cfg": "f",
        "a": "b",
        "b": "/srv/a",
    }
    for name, link in links.items():
        (folder / name).symlink_to(link)
    (folder / "f").write_text("text")
    (folder / "run").write_text("#!/usr/bin/x")
    (folder / "run").chmod(0o755)
    return {"files": [file("links", "/srv")]}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"entrypoint": ["/srv/bin/x"]},
        {"entrypoint": ["/srv/up"]},
        {"entrypoint": ["/srv/run"]},
        {"entrypoint": ["/opt/..//usr/bin/../bin/x"]},
        {"entrypoint": [], "cmd": ["x"]},
        {"healthcheck": health("/srv/bin/x", "/nope")},
        {"workdir": "/opt", "volumes": ["/opt", "/srv/opt", "/srv/opt/more", "/data"]},
        {"workdir": "/srv/opt"},
        {"workdir": "/data/not/there", "volumes": ["/srv/away"]},
        {"workdir": "/srv/away"},
        {"workdir": "/srv/mtab/not/there"},
    ],
)
def test_images_that_can_start(
    config: dict[str, Any], linked: dict[str, Any], world: World
) -> None:
    done = outcome(world, **linked, **config)
    assert isinstance(done, Done), done


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"entrypoint": []}, "image.entrypoint: wanted a program to start, got nothing"),
        (
            {"entrypoint": ["/usr/bin/y"]},
            "image.entrypoint: /usr/bin/y is not in the image\n"
            "    hint: did you mean '/usr/bin/x'?",
        ),
        ({"entrypoint": ["/opt"]}, "image.entrypoint: /opt is not executable"),
        ({"entrypoint": ["/"]}, "image.entrypoint: / is not executable"),
        ({"entrypoint": ["/srv/f"]}, "image.entrypoint: /srv/f is not executable"),
        (
            {"entrypoint": ["/srv/cfg"]},
            "image.entrypoint: /srv/cfg leads to /srv/f, which is not executable",
        ),
        (
            {"entrypoint": ["/srv/none"]},
            "image.entrypoint: /srv/none leads to /usr/bin/nope, which is not in the image\n"
            "    hint: did you mean '/usr/bin/x'?",
        ),
        (
            {"entrypoint": ["/srv/f/x"]},
            "image.entrypoint: /srv/f/x lies below /srv/f, which is a file from links/f",
        ),
        ({"entrypoint": ["/srv/a"]}, "image.entrypoint: /srv/a leads in a circle of symlinks"),
        (
            {"entrypoint": [], "cmd": ["/y"]},
            "image.cmd: /y is not in the image\n    hint: known: /srv/run, /usr/bin/x",
        ),
        (
            {"healthcheck": health("/nope")},
            "image.healthcheck.command: /nope is not in the image\n"
            "    hint: known: /srv/run, /usr/bin/x",
        ),
        ({"healthcheck": health("/srv/f")}, "image.healthcheck.command: /srv/f is not executable"),
        (
            {"workdir": "/srv/f"},
            f"image.workdir: /srv/f is a file from links/f (wanted a folder){FOLDERS}",
        ),
        (
            {"workdir": "/srv/cfg"},
            "image.workdir: /srv/cfg leads to /srv/f, which is a file from links/f "
            f"(wanted a folder){FOLDERS}",
        ),
        (
            {"workdir": "/usr/bin/x/data"},
            "image.workdir: /usr/bin/x/data lies below /usr/bin/x, which is a file from binary "
            f"(wanted a folder){FOLDERS}",
        ),
        ({"workdir": "/srv/b"}, "image.workdir: /srv/b leads in a circle of symlinks"),
        (
            {"volumes": ["/data", "/usr/bin/x"]},
            f"image.volumes: /usr/bin/x is a file from binary (wanted a folder){FOLDERS}",
        ),
        (
            {"volumes": ["/srv/cfg/x"]},
            "image.volumes: /srv/cfg/x lies below /srv/f, which is a file from links/f "
            f"(wanted a folder){FOLDERS}",
        ),
    ],
)
def test_images_that_cannot_start(
    config: dict[str, Any], message: str, linked: dict[str, Any], world: World
) -> None:
    error = outcome(world, **linked, **config)
    assert isinstance(error, ScratchError), error
    assert str(error) == f"//s:rootfs: {message}"


@pytest.mark.parametrize(
    ("mode", "owner", "user", "is_open"),
    [
        (0o700, "", ["app", 1001, 1002], False),
        (0o700, "", ["root", 0, 0], True),
        (0o700, "app", ["app", 1001, 1002], True),
        (0o711, "", ["app", 1001, 1002], True),
        (0o710, "7:1002", ["app", 1001, 1002], True),
        (0o701, "7:1002", ["app", 1001, 1002], False),  # whom the group has, others' bit is not for
        (0o677, "app", ["app", 1001, 1002], False),
    ],
)
@pytest.mark.parametrize("closed", ["/srv/run", "/srv"])
def test_a_program_is_started_by_the_user(
    closed: str,
    mode: int,
    owner: str,
    user: list[Any],
    is_open: bool,
    linked: dict[str, Any],
    world: World,
) -> None:
    wished: dict[str, Any] = {"files": [file("links", "/srv")], "user": user}
    if closed == "/srv":
        wished["dirs"] = [{"path": closed, "mode": mode, "owner": owner}]
    else:
        wished["files"] = [file("links/run", closed, mode, owner)]
    for config in ({"entrypoint": ["/srv/run"]}, {"healthcheck": health("/srv/run")}):
        done = outcome(world, **wished, **config)
        assert isinstance(done, Done) == is_open, done
        if not is_open:
            (key,) = config
            key = f"{key}.command" if key == "healthcheck" else key
            ids = {"": "0:0", "app": "1001:1002"}.get(owner, owner)
            assert str(done) == (
                f"//s:rootfs: image.{key}: 1001:1002 (image.user) may not start /srv/run: "
                f"{closed} has mode {mode:04o} and owner {ids}\n"
                "    hint: give it another mode or owner"
            )


def test_images_that_are_too_large(world: World) -> None:
    error = outcome(world, max_size=10)
    assert isinstance(error, ScratchError)
    start = r"//s:image: image.max_size: wanted at most 10 bytes, got [0-9,]+ \(.*\)"
    hint = "    hint: raise it, if the image is meant to be so large"
    assert re.fullmatch(f"{start}\n{hint}", str(error))


def test_equal_wishes_give_equal_images(world: World) -> None:
    one = outcome(world, env={"A": "1", "B": "2"}, labels={"a": "1", "b": "2"})
    two = outcome(world, env={"B": "2", "A": "1"}, labels={"b": "2", "a": "1"})
    assert one.outputs["top"].digest == two.outputs["top"].digest


def test_a_root_names_all_that_it_needs_and_nothing_of_it_is_compressed(world: World) -> None:
    done = root_of(world)
    for blob in done.outputs.values():
        assert world.store.fault(blob) == ""
    image = outcome(world)
    root = done.facts["root"]
    assert root["config"] == image.facts["images"][0]["config"]
    assert root["config"]["digest"] in done.outputs
    layers = [layer["diffID"] for layer in root["layers"]]
    assert layers == [layer["diffID"] for layer in image.facts["images"][0]["layers"]]
    assert not any("gzip" in blob.media_type for blob in done.outputs.values())


@pytest.fixture
def sources(world: World) -> Path:
    """Folders d and e, which share sub/ and a file that is equal in both."""
    for name in ("d", "e"):
        (folder := Path(world.root, name, "sub")).mkdir(parents=True)
        (folder / name).write_text(name)
        (folder / "same").write_text("same")
    return Path(world.root)


SUB = {"path": "/srv/sub", "mode": 0o755, "owner": ""}


@pytest.mark.parametrize("size", [1, 300_000])
def test_what_is_staged_twice_is_one_entry(size: int, sources: Path, world: World) -> None:
    # Small files are kept as one tar, large ones each.
    for name in ("d", "e"):
        (sources / name / "sub" / "same").write_bytes(b"x" * size)
    once = [file("d", "/srv"), file("e/sub/e", "/srv/sub/e")]
    found = root_of(world, files=once)
    assert isinstance(found, Done), found
    twice = [file("d", "/srv"), file("e", "/srv"), file("d/sub/d", "/srv/sub/d")]
    for dirs in ([OPT], [OPT, SUB], [SUB, OPT, SUB]):
        again = root_of(world, files=twice, dirs=dirs)
        assert isinstance(again, Done), again
        assert again.facts == found.facts


def folders_of(done: Done, world: World) -> dict[str, str]:
    """`mode uid:gid` of each folder of the root, by path, upper layers' last."""
    found: dict[str, str] = {}
    root = done.facts["root"]
    for value in root["layers"]:
        tar = b"".join(plain_chunks(plain_layer_from_json(value), world.store.open))
        with tarfile.open(fileobj=io.BytesIO(tar)) as read:
            found |= {m.name: f"{m.mode:o} {m.uid}:{m.gid}" for m in read if m.isdir()}
    return found


def test_a_folder_is_copied_with_all_that_is_in_it(sources: Path, world: World) -> None:
    (sources / "none").mkdir()
    lower = [
        FileEntry(path="tmp", kind="dir", mode=0o1777),
        FileEntry(path="etc/opt", kind="dir", mode=0o755),
    ]
    own = {"path": "/own", "mode": 0o700, "owner": ""}
    files = [
        file("none", "/var/none", owner="app"),  # as empty as it is
        file("d", "/srv", owner="app"),  # who may write there from now on
        file("e/sub/e", "/srv/e"),
        # Folders that others make are theirs.
        *(file("d/sub", dest, owner="app") for dest in ("/tmp", "/etc", "/usr/bin", "/own")),
    ]
    done = root_of(world, files=files, dirs=[own], lower=lower)
    assert isinstance(done, Done), done
    assert folders_of(done, world) == {
        "etc": "755 0:0",
        "etc/opt": "755 0:0",
        "own": "700 0:0",
        "srv": "755 1001:1002",
        "srv/sub": "755 1001:1002",
        "tmp": "1777 0:0",
        "usr": "755 0:0",
        "usr/bin": "755 0:0",
        "var": "755 0:0",
        "var/none": "755 1001:1002",
    }


@pytest.mark.parametrize("dest", ["/usr/bin/x", "/usr/bin/x/below"])
def test_an_empty_folder_cannot_be_where_something_else_is(
    dest: str, sources: Path, world: World
) -> None:
    (sources / "none").mkdir()
    assert "/usr/bin/x" in str(root_of(world, files=[file("none", dest)]))


def test_a_zone_may_be_the_users_own(sources: Path, world: World) -> None:
    own = [file("d/sub/d", "/usr/share/zoneinfo/Our/Zone")]
    assert isinstance(root_of(world, files=own, env={"TZ": "Our/Zone"}), Done)
    for zone in ("Our/sub", "Our/Zome"):
        error = root_of(world, files=[file("d", "/usr/share/zoneinfo/Our")], env={"TZ": zone})
        assert str(error).startswith(f"//s:rootfs: TZ='{zone}' is not in the image\n")


def test_two_sources_for_one_path_are_both_named(sources: Path, world: World) -> None:
    (sources / "e/sub/same").write_text("other")
    error = root_of(world, files=[file("d", "/srv"), file("e", "/srv")])
    assert str(error) == (
        "//s:rootfs: two sources for /srv/sub/same: "
        f"d/sub/same (file 0644 0:0 {digest_of(b'same')[:19]}) and "
        f"e/sub/same (file 0644 0:0 {digest_of(b'other')[:19]})\n"
        "    hint: leave one of them out, or give them the same content, mode and owner"
    )
    error = root_of(world, files=[file("d", "/srv")], dirs=[{**SUB, "mode": 0o700}])
    assert str(error) == (
        "//s:rootfs: two sources for /srv/sub: d/sub (dir 0755 0:0 folder) and "
        "//s:rootfs dirs (dir 0700 0:0 folder)\n"
        "    hint: leave one of them out, or give them the same content, mode and owner"
    )
