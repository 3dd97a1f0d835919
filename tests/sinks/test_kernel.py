"""What a kernel runs beside its own architecture."""

from pathlib import Path

import pytest

from scratchtasks.sinks import kernel
from scratchtasks.sinks.kernel import emulated, in_turn, natives


def test_the_architecture_before_it_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert natives("amd64", is_here=True) == ("amd64", "386")
    assert natives("386", is_here=True) == ("386",)
    assert natives("riscv64", is_here=True) == ("riscv64",)
    # Not all arm64 processors have the older instructions: the kernel knows.
    for runs_arm, here in ((True, ("arm64", "arm")), (False, ("arm64",))):
        monkeypatch.setattr(kernel, "_runs_arm", lambda told=runs_arm: told)
        assert natives("arm64", is_here=True) == here
        assert natives("arm64", is_here=False) == ("arm64", "arm")


def test_what_suits_a_machine_comes_first_whatever_it_is_found_to_run() -> None:
    rest = ("riscv64", "s390x", "ppc64le")
    assert in_turn("amd64") == ("amd64", "386", "arm64", "arm", *rest)
    assert in_turn("arm64") == ("arm64", "arm", "amd64", "386", *rest)
    assert in_turn("s390x")[:2] == ("s390x", "amd64")


def test_the_kernel_is_asked_by_a_personality_that_is_given_back() -> None:
    with open("/proc/self/personality") as file:
        before = file.read()
    kernel._runs_arm()
    with open("/proc/self/personality") as file:
        assert file.read() == before


def test_what_qemu_is_registered_for(tmp_path: Path) -> None:
    assert list(emulated(str(tmp_path))) == []
    for name, flags in (("arm", "F"), ("s390x", "OCF"), ("riscv64", "OC")):
        (tmp_path / f"qemu-{name}").write_text(f"enabled\nflags: {flags}\n")
    assert list(emulated(str(tmp_path))) == ["arm", "s390x"]
