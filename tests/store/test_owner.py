"""Whose process is gone, and of whom that cannot be told."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scratchtasks.store.owner import (
    Owner,
    is_surely_gone,
    owner_in,
    stat_of_process,
    this_process,
)

TELL = "from scratchtasks.store.owner import this_process; print(this_process(), flush=True);"


@pytest.fixture
def child() -> Iterator[tuple["subprocess.Popen[str]", Owner]]:
    """A process that waits, and what it says of itself."""
    argv = [sys.executable, "-c", f"{TELL} input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        owner = owner_in(process.stdout.readline().strip())
        assert owner is not None
        yield process, owner
        process.kill()


def test_a_process_is_gone_when_it_is_dead_even_if_nobody_has_asked(
    child: tuple["subprocess.Popen[str]", Owner],
) -> None:
    process, owner = child
    assert owner.pid == process.pid
    assert not is_surely_gone(owner)
    process.kill()
    while stat_of_process(process.pid)[0] != b"Z":
        pass
    assert is_surely_gone(owner)
    process.wait()
    assert is_surely_gone(owner)


def test_who_has_its_pid_now_is_another_one() -> None:
    assert not is_surely_gone(this_process())
    assert is_surely_gone(replace(this_process(), started="1"))


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"boot": "b" * 32}, True),  # this machine has been started anew since
        ({"boot": "b" * 32, "host": "c" * 16}, False),
        ({"boot": "b" * 32, "host": "0"}, False),
        ({"boot": "0"}, False),
        ({"host": "c" * 16}, True),  # renamed since
        ({"space": "1"}, False),  # in another container
        ({"space": "0"}, False),
        ({"started": "0"}, False),
    ],
)
def test_what_cannot_be_told_is_not_gone(change: dict[str, str], gone: bool) -> None:
    dead = replace(this_process(), started="1")
    assert is_surely_gone(replace(dead, **change)) is gone  # type: ignore[arg-type]


def test_its_text_can_stand_in_a_tag_and_comes_back() -> None:
    owner = this_process()
    assert re.fullmatch(r"[a-z0-9][a-z0-9.]{0,99}", str(owner))
    assert owner_in(str(owner)) == owner


@pytest.mark.parametrize("text", ["", "latest", "1.2", "1.2.3.4.5.6", "x.1.2.3.4", "1..2.3.4", "²"])
def test_other_texts_are_nobodys(text: str) -> None:
    assert owner_in(text) is None
