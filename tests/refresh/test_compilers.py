"""Nights on which a compiler on PyPI moves: what its pin becomes, and what is said of images."""

import hashlib
import json
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from scratchtasks.config.lockfile import format_lockfile, parse_lockfile
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Pin
from scratchtasks.refresh.report_json import json_report
from scratchtasks.refresh.report_markdown import markdown_report
from scratchtasks.refresh.report_text import text_report
from tests.execute.compiler_wheels import HOST, pin_of, write_wheel

from .index_server import Index
from .nights import make_workspace, night

ZIG = version("ziglang")
"""What is installed here; nothing is on PATH."""

C = '[binary]\nrule = "c_binary"\nsrcs = ["*.c"]\n[image]\nessentials = ["tmp"]\n'


def zig(number: str) -> dict[str, tuple[bytes, int]]:
    """A zig that says its version and nothing else."""
    script = f"#!/bin/sh\necho {number}\n".encode()
    return {"ziglang/zig": (script, 0o100755), "ziglang/lib/a.h": (b"", 0o100644)}


def publish(index: Index, folder: Path, number: str, **more: str) -> dict[str, str]:
    """Put ziglang *number* into *index*, for this machine and for another: hashes by name."""
    path = write_wheel(folder, "ziglang", number, zig(number))
    data = {path.name: path.read_bytes(), path.name.replace(HOST, "macosx_11_0_arm64"): b"mac"}
    for name, content in data.items():
        index.add(name, content, **more)
    return {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a program in C and one that needs no compiler."""
    root = make_workspace(tmp_path / "ws", {}, {"plain": 'essentials = ["tmp"]\n', "tool": ""})
    (root / "s/tool/service.toml").write_text(C)
    (root / "s/tool/main.c").write_text("int main(void) { return 0; }\n")
    return root


def lock(root: Path, pin: Pin) -> None:
    """Have *root* locked to *pin*."""
    (root / "scratch.lock").write_text(format_lockfile({pin.name: pin}))


def pin_in(root: Path) -> Pin:
    """The pin of zig in scratch.lock."""
    return parse_lockfile((root / "scratch.lock").read_text())["ziglang"]


def test_the_pin_moves_to_what_the_policy_chooses(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    wheels = publish(index, tmp_path, "99.1", uploaded="2026-10-01T00:00:00Z")
    publish(index, tmp_path, "99.2")
    lock(root, pin_of("ziglang", "99.0", {"ziglang-99.0-py3-none-win32.whl": "ab" * 32}))
    (root / "scratch.toml").write_text('[refresh]\nzig = "==99.1"\n')
    proposal, outcome = night(root, pip_env, time.time())
    assert outcome == "refreshed"
    (move,) = proposal.moves
    assert (move.old and move.old.version, move.why) == ("99.0", "the newest that '==99.1' allows")
    new = replace(pin_of("ziglang", "99.1", wheels), date="2026-10-01")
    assert pin_in(root) == move.new == new
    plain, tool = proposal.images
    assert (plain.name, plain.reasons) == ("plain", ())
    assert tool.reasons == ("binary tool may change: zig 99.0 → 99.1",)
    assert (tool.old, tool.new, tool.is_sure) == ("", "", False)
    # The old zig was not fetched to find out what it has made, the new one was.
    assert [path for path in index.asked if "/files/" in path] == [
        f"/files/ziglang/ziglang-99.1-py3-none-{HOST}.whl"
    ]
    assert night(root, pip_env, time.time())[1] == "nothing"


def test_reports_say_that_it_may_change_and_why_no_digest_is_told(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    publish(index, tmp_path, "99.1")
    lock(root, pin_of("ziglang", "99.0", {"ziglang-99.0-py3-none-win32.whl": "ab" * 32}))
    proposal, outcome = night(root, pip_env, time.time())
    text = text_report(proposal, "refused", is_colored=False)
    unknown = "//s/tool:binary is not built yet"
    assert text.splitlines() == [
        "1 pin to move",
        "  ~ ziglang  99.0 → 99.1  -  the newest release",
        "images: 0 of 2 get a new digest, 1 may",
        f"  ~ tool  ?  ?  binary tool may change: zig 99.0 → 99.1; digest not known: {unknown}",
        "  = byte-identical: plain",
    ]
    assert markdown_report(proposal, "refused").splitlines()[-4:] == [
        "| image | digest | new digest | why |",
        "|---|---|---|---|",
        f"| tool | ? | ? | binary tool may change: zig 99.0 → 99.1; digest not known: {unknown} |",
        "| plain | ? | ? | byte-identical; digest not known: //s/plain:image is not built yet |",
    ]
    told = json.loads(json.dumps(json_report(proposal, outcome)))
    assert told["moves"][0]["new"]["wheels"] == dict(pin_in(root).wheels)
    assert told["images"][1] == {
        "name": "tool", "is_affected": True, "is_sure": False, "old": None, "new": None,
        "reasons": ["binary tool may change: zig 99.0 → 99.1"], "unknown": unknown,
    }  # fmt: skip


def test_what_is_installed_is_pinned_where_the_policy_allows_it(
    index: Index, pip_env: dict[str, str], root: Path
) -> None:
    for tag in (HOST, "macosx_11_0_arm64"):
        index.add(f"ziglang-{ZIG}-py3-none-{tag}.whl", tag.encode())
    index.add(f"ziglang-{ZIG}.post9-py3-none-win32.whl", b"not for this machine")
    proposal, outcome = night(root, pip_env, time.time())
    (move,) = proposal.moves
    assert (outcome, move.old, move.why) == ("refreshed", None, "was not in scratch.lock")
    assert (move.new.version, len(move.new.wheels), proposal.affected) == (ZIG, 2, ())
    assert [path for path in index.asked if "/files/" in path] == []
    # Wheels that come later are added, those that were taken away stay.
    added = index.add(f"ziglang-{ZIG}-py3-none-win32.whl", b"windows").name
    index.files["ziglang"] = [each for each in index.files["ziglang"] if "macosx" not in each.name]
    proposal, _ = night(root, pip_env, time.time())
    assert proposal.moves[0].why == "more wheels of the same version"
    assert pin_in(root).wheels.keys() == {*move.new.wheels, added}


def test_old_locks_learn_their_wheels(index: Index, pip_env: dict[str, str], root: Path) -> None:
    index.add(f"ziglang-{ZIG}-py3-none-{HOST}.whl", b"zig")
    old = Pin(name="ziglang", version=ZIG, sha256="0" * 64, size=1, kind="toolchain")
    lock(root, old)
    proposal, _ = night(root, pip_env, time.time())
    assert [move.why for move in proposal.moves] == ["its wheels are listed"]
    assert len(pin_in(root).wheels) == 1
    # A lock whose digest was of those very wheels is completed, not moved.
    lock(root, replace(pin_in(root), wheels={}))
    proposal, outcome = night(root, pip_env, time.time())
    assert (outcome, proposal.moves[0].is_moved) == ("refreshed", False)


DAY = 86400
NOW = 1_790_000_000.0


def stamp(days: int) -> str:
    """The moment *days* before NOW."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - days * DAY))


def test_a_release_is_as_young_as_its_youngest_wheel(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    index.now = NOW
    publish(index, tmp_path, "99.1", uploaded=stamp(9))
    index.add("ziglang-99.1-py3-none-win32.whl", b"late", uploaded=stamp(1))
    index.add(f"ziglang-99.0-py3-none-{HOST}.whl", b"zig", uploaded=stamp(90))
    old = index.files["ziglang"][-1]
    lock(root, pin_of("ziglang", "99.0", {old.name: old.digest()}))
    (root / "scratch.toml").write_text("[refresh]\ncooldown_days = 3\n")
    proposal, outcome = night(root, pip_env, NOW)
    note = "zig 99.1 is 1 day old and waits until day 3"
    assert (outcome, proposal.notes) == ("nothing", (note,))
    (root / "scratch.toml").write_text("[refresh]\ncooldown_days = 1\n")
    assert night(root, pip_env, NOW)[0].moves[0].new.version == "99.1"


def test_a_wheel_that_comes_late_waits_too_and_may_be_what_compiles(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    index.now = NOW
    wheels = publish(index, tmp_path, "99.0", uploaded=stamp(90))
    lock(root, pin_of("ziglang", "99.0", wheels))
    # pip, and so we, would take it for this machine: its tag is of a newer platform.
    late = write_wheel(tmp_path, "ziglang", "99.0", zig("99.0"), HOST.replace("2_17", "2_18"))
    index.add(late.name, late.read_bytes(), uploaded=stamp(1))
    (root / "scratch.toml").write_text("[refresh]\ncooldown_days = 3\n")
    assert night(root, pip_env, NOW)[1] == "nothing"
    (root / "scratch.toml").write_text("[refresh]\ncooldown_days = 1\n")
    proposal, outcome = night(root, pip_env, NOW)
    assert (outcome, set(pin_in(root).wheels)) == ("refreshed", {*wheels, late.name})
    assert proposal.images[1].reasons == ("binary tool may change: zig 99.0, of another wheel",)


def test_a_withdrawn_compiler_is_left_and_a_pinned_one_stays(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    publish(index, tmp_path, "99.0")
    bad = publish(index, tmp_path, "99.1", yanked="miscompiles")
    lock(root, pin_of("ziglang", "99.1", bad))
    (root / "scratch.toml").write_text('[refresh]\nzig = "pinned"\n')
    assert night(root, pip_env, time.time())[1] == "nothing"
    assert index.asked == []
    (root / "scratch.toml").unlink()
    (move,) = night(root, pip_env, time.time())[0].moves
    assert (move.new.version, move.why) == ("99.0", "99.1 was withdrawn (miscompiles)")


def test_faults_leave_the_lock_as_it_was(
    index: Index, pip_env: dict[str, str], root: Path, tmp_path: Path
) -> None:
    wheels = publish(index, tmp_path, "99.1")
    lock(root, pin_of("ziglang", "99.1", {**wheels, min(wheels): "ab" * 32}))
    (root / "scratch.toml").write_text('[refresh]\nzig = ">=100"\n')
    before = (root / "scratch.lock").read_text()

    def fault() -> str:
        with pytest.raises(ScratchError) as caught:
            night(root, pip_env, time.time())
        assert (root / "scratch.lock").read_text() == before
        return str(caught.value)

    assert fault() == (
        f"zig 99.1: digest mismatch: scratch.lock says sha256:{'ab' * 32}, "
        f"the index says sha256:{wheels[min(wheels)]}\n"
        "    hint: was scratch.lock edited by hand?"
    )
    lock(root, pin_of("ziglang", "99.1", wheels))
    before = (root / "scratch.lock").read_text()
    assert fault() == (
        "refresh.zig: no release of zig satisfies '>=100'\n    hint: the index has 2 files of it"
    )
    # A file whose bytes are not what the index says is never pinned.
    (root / "scratch.toml").unlink()
    publish(index, tmp_path, "99.2")
    lie = next(each for each in index.files["ziglang"] if f"99.2-py3-none-{HOST}" in each.name)
    lie.sha256 = "cd" * 32
    real = hashlib.sha256(lie.data).hexdigest()
    assert fault() == (
        f"ziglang 99.2: digest mismatch: the pin says sha256:{'cd' * 32}, "
        f"the downloaded file has sha256:{real}"
    )
    # Nor is one that does not start.
    path = write_wheel(tmp_path, "ziglang", "99.3", {"ziglang/zig": (b"#!/bin/false\n", 0o100755)})
    index.add(path.name, path.read_bytes())
    assert fault().endswith("zig version: ended with status 1")


def test_a_private_index_need_not_have_compilers(
    pip_env: dict[str, str], root: Path, index: Index
) -> None:
    proposal, outcome = night(root, pip_env, time.time())
    assert (outcome, proposal.moves) == ("nothing", ())
    what = "is installed, and in no index for this machine: not pinned"
    assert proposal.notes == (f"ziglang {ZIG} {what}",)
    lock(root, pin_of("ziglang", "99.0", {"ziglang-99.0-py3-none-win32.whl": "ab" * 32}))
    proposal, outcome = night(root, pip_env, time.time())
    what = "is in no index for this machine: left as it is"
    assert (outcome, proposal.notes) == ("nothing", (f"ziglang 99.0 {what}",))
