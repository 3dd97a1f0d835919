"""Which programs the kernel runs, and which emulator is taken for the others."""

import shutil
from pathlib import Path

import pytest

from scratchtasks.core.platform import Platform
from scratchtasks.sinks.smoke.qemu import emulator_for
from scratchtasks.sinks.smoke.trial import Unusable

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
ARM_V7 = Platform("linux", "arm", "v7")


def test_what_the_kernel_runs_needs_no_emulator() -> None:
    assert emulator_for(AMD64, {}, AMD64) == ""
    assert emulator_for(Platform("linux", "386"), {}, AMD64) == ""


@pytest.mark.parametrize(
    ("state", "flags", "is_enough"),
    [("enabled", "OCF", True), ("enabled", "F", True), ("enabled", "OC", False),
     ("disabled", "F", False)],
)  # fmt: skip
def test_binfmt_counts_if_qemu_is_opened_outside_the_image(
    tmp_path: Path, state: str, flags: str, is_enough: bool
) -> None:
    entry = (
        f"{state}\ninterpreter /usr/bin/qemu-aarch64\nflags: {flags}\noffset 0\nmagic 7f454c46\n"
    )
    (tmp_path / "qemu-aarch64").write_text(entry)
    if is_enough:
        assert emulator_for(ARM64, {}, AMD64, str(tmp_path)) == ""
    else:
        with pytest.raises(Unusable, match="needs a static qemu-aarch64"):
            emulator_for(ARM64, {}, AMD64, str(tmp_path))


def test_an_emulator_must_be_static_to_run_in_an_image(tmp_path: Path, program: bytes) -> None:
    dynamic, static = tmp_path / "dynamic", tmp_path / "static"
    for folder in (dynamic, static):
        folder.mkdir()
    shell = shutil.which("bash")
    assert shell
    shutil.copy(shell, dynamic / "qemu-arm-static")
    (dynamic / "qemu-arm").write_text("#!/bin/sh\n")
    (dynamic / "qemu-arm").chmod(0o755)
    (static / "qemu-arm").write_bytes(program)
    (static / "qemu-arm").chmod(0o755)
    env = {"PATH": f"{dynamic}::{static}"}
    assert emulator_for(ARM_V7, env, AMD64, "/nowhere") == str(static / "qemu-arm")
    with pytest.raises(Unusable) as caught:
        emulator_for(ARM_V7, {"PATH": str(dynamic)}, AMD64, "/nowhere")
    assert str(caught.value) == (
        "a linux/arm/v7 image on amd64 needs a static qemu-arm, which is not on PATH"
    )
