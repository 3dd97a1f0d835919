"""Pinned wheels: real ones from the user's index, and what is refused."""

import hashlib
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.core.target import Pin
from scratchtasks.execute.operation import World
from scratchtasks.execute.pins import pinned_wheel, read_folder, read_member

CERTIFI = Pin(
    name="certifi",
    version="2026.10.18",
    sha256="73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62",
    size=134093,
)


def offline(tmp_path: Path, find_links: Path | None = None) -> dict[str, str]:
    """A user's environment without an index."""
    empty = tmp_path / "none"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(find_links or empty),
    }


def wheel_of(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Pin:
    """Write a small wheel and pin it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    data = path.read_bytes()
    return Pin(name=name, version=version, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def test_a_real_wheel_is_fetched_once_and_then_needs_no_network(
    world: World, tmp_path: Path
) -> None:
    world = replace(world, pins={"certifi": CERTIFI})
    path = pinned_wheel("certifi", world)
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == CERTIFI.sha256
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444
    assert os.listdir(os.path.join(world.scratch, "tmp")) == []
    again = replace(world, env=offline(tmp_path))
    assert pinned_wheel("certifi", again) == path


def test_a_damaged_wheel_in_the_store_is_fetched_anew(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    pin = wheel_of(tmp_path / "links", "thing", "1.0", {"thing/data": b"x"})
    world = world_at(tmp_path / "ws", offline(tmp_path, tmp_path / "links"))
    world = replace(world, pins={"thing": pin})
    path = pinned_wheel("thing", world)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"damage")
    world.files.forget_scan()
    assert read_member(pinned_wheel("thing", world), "thing/data", 1) == b"x"


def test_a_wheel_that_is_not_the_pins_is_refused(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    real = wheel_of(tmp_path / "links", "certifi", "2026.10.18", {"certifi/cacert.pem": b"forged"})
    world = world_at(tmp_path / "ws", offline(tmp_path, tmp_path / "links"))
    world = replace(world, pins={"certifi": CERTIFI})
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", world)
    assert str(caught.value) == (
        f"certifi 2026.10.18: digest mismatch: the pin says sha256:{CERTIFI.sha256}, "
        f"the downloaded file has sha256:{real.sha256}"
    )
    sized = replace(real, size=real.size + 1)
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", replace(world, pins={"certifi": sized}))
    assert str(caught.value) == (
        f"certifi 2026.10.18: size mismatch: the pin says {real.size + 1} bytes, "
        f"the downloaded file has {real.size}"
    )


def test_no_index_is_one_clear_message(tmp_path: Path, world_at: Callable[..., World]) -> None:
    world = replace(world_at(tmp_path / "ws", offline(tmp_path)), pins={"certifi": CERTIFI})
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", world)
    assert str(caught.value) == (
        "certifi 2026.10.18: cannot be fetched: "
        "pip says 'No matching distribution found for certifi==2026.10.18'\n"
        "    hint: is the index reachable? try: pip download --no-deps certifi==2026.10.18"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PIP_INDEX_URL": "http://someone:s3cret@127.0.0.1:9/simple"},
         "No matching distribution found for certifi==2026.10.18"),
        ({"PIP_INDEX_URL": "http://someone:s3cret/2@127.0.0.1:9/simple"},
         "ValueError: is an index or a proxy no URL?"),
        ({"PIP_INDEX_URL": "http:/someone:s3cret@127.0.0.1:9/simple"},
         "pip._vendor.requests.exceptions.InvalidURL: is an index or a proxy no URL?"),
        ({"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_PROXY": "http://someone:s3cret/2@127.0.0.1:9"},
         "pip._vendor.requests.exceptions.InvalidURL: is an index or a proxy no URL?"),
    ],
)  # fmt: skip
def test_an_index_out_of_reach_gives_no_secret_away(
    tmp_path: Path, world_at: Callable[..., World], settings: dict[str, str], said: str
) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
        **settings,
    }
    world = replace(world_at(tmp_path / "ws", env), pins={"certifi": CERTIFI})
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", world)
    assert str(caught.value) == (
        f"certifi 2026.10.18: cannot be fetched: pip says {said!a}\n"
        "    hint: is the index reachable? try: pip download --no-deps certifi==2026.10.18"
    )


def test_constraints_for_an_environment_do_not_count(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    pin = wheel_of(tmp_path / "links", "thing", "1.0", {"thing/data": b"x"})
    (tmp_path / "constraints.txt").write_text("thing==0.9\n")
    (tmp_path / "pip.conf").write_text(f"[download]\nconstraint = {tmp_path}/constraints.txt\n")
    env = offline(tmp_path, tmp_path / "links")
    env |= {"PIP_CONSTRAINT": f"{tmp_path}/constraints.txt"}
    env |= {"PIP_CONFIG_FILE": f"{tmp_path}/pip.conf"}
    world = world_at(tmp_path / "ws", env)
    assert pinned_wheel("thing", replace(world, pins={"thing": pin}))


def test_a_pip_that_breaks_is_told_by_its_last_line(
    tmp_path: Path, world_at: Callable[..., World]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        page = f'<a href="{url}/certifi-2026.10.18-py3-none-any.whl#sha256={CERTIFI.sha256}">x</a>'
        (tmp_path / "links.html").write_text(page)
        env = offline(tmp_path, tmp_path / "links.html")
        env |= {"PIP_TIMEOUT": "1", "PIP_RETRIES": "0"}
        world = replace(world_at(tmp_path / "ws", env), pins={"certifi": CERTIFI})
        with pytest.raises(StageError) as caught:
            pinned_wheel("certifi", world)
    assert "Exception:" not in str(caught.value)
    assert "timeout" in str(caught.value)


def test_a_workspace_that_cannot_be_written(tmp_path: Path, world_at: Callable[..., World]) -> None:
    world = replace(world_at(tmp_path / "ws", offline(tmp_path)), pins={"certifi": CERTIFI})
    folder = Path(world.scratch, "tmp")
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    with pytest.raises(StoreError) as caught:
        pinned_wheel("certifi", world)
    assert str(caught.value) == (
        f"{folder}: cannot be written: file exists\n    hint: {folder} is no folder"
    )


def test_a_workspace_cannot_pose_as_pip(tmp_path: Path, world_at: Callable[..., World]) -> None:
    pin = wheel_of(tmp_path / "links", "thing", "1.0", {"thing/data": b"x"})
    world = world_at(tmp_path / "ws", offline(tmp_path, tmp_path / "links"))
    (tmp_path / "ws" / "pip.py").write_text("raise SystemExit('the wrong pip')")
    assert pinned_wheel("thing", replace(world, pins={"thing": pin}))


def test_a_missing_or_malformed_pin_is_refused(world: World) -> None:
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", world)
    assert str(caught.value) == ("scratch.lock: has no pin for certifi")
    forged = replace(CERTIFI, version="1\n--index-url=http://example.com")
    with pytest.raises(StageError) as caught:
        pinned_wheel("certifi", replace(world, pins={"certifi": forged}))
    assert str(caught.value) == (
        "scratch.lock: certifi: wanted a name and a version, "
        "got '1\\n--index-url=http://example.com'"
    )


def test_members_are_read_within_limits(tmp_path: Path) -> None:
    wheel_of(tmp_path, "bomb", "1.0", {"a/zeros": bytes(1 << 20), "a/b/c": b"12", "a/d/": b""})
    path = str(tmp_path / "bomb-1.0-py3-none-any.whl")
    assert read_member(path, "a/b/c", 2) == b"12"
    assert set(read_folder(path, "a", 1 << 21)) == {"zeros", "b/c"}
    with pytest.raises(StageError) as caught:
        read_member(path, "a/zeros", 1000)
    assert str(caught.value) == "bomb-1.0-py3-none-any.whl: 'a/zeros' is larger than 1000 bytes"
    with pytest.raises(StageError, match="'a/b/c' is larger than 1 bytes"):
        read_folder(path, "a", (1 << 20) + 1)
    with pytest.raises(StageError, match="has no member 'a/nothing'"):
        read_member(path, "a/nothing", 10)


def test_a_damaged_archive_is_a_stage_error(tmp_path: Path) -> None:
    wheel_of(tmp_path, "thing", "1.0", {"a/b": bytes(range(256)) * 50})
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    sound = path.read_bytes()
    for cut in (0, 10, len(sound) // 2, len(sound) - 5):
        path.write_bytes(sound[:cut])
        with pytest.raises(StageError, match="is no sound zip file"):
            read_member(str(path), "a/b", 1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/b", bytes(range(256)) * 50)
    with pytest.raises(StageError, match="compressed in a way that wheels are not"):
        read_member(str(path), "a/b", 1 << 20)
    path.write_bytes(sound[:60] + bytes(40) + sound[100:])
    with pytest.raises(StageError, match="is no sound zip file"):
        read_member(str(path), "a/b", 1 << 20)
