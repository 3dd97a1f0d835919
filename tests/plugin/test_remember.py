"""The paths of a memo: what nothing depends on any more goes, and the rest means what it did."""

import time
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path

import pytest

from scratchtasks.plugin.memo import Known, Memo, read_meanings, read_memo, write_memo
from scratchtasks.plugin.recall import stale_services
from scratchtasks.plugin.remember import Table
from scratchtasks.store.signature import Watch, value_at

NAMES = ("a", "b", "c", "d", "e")
HEAD, ENVIRONMENT = "head", "environment"


def watch(path: str) -> Watch:
    value, note = value_at("file", path)
    return path, ("file", "", value), note


def known(table: Table, paths: Iterable[str]) -> Known:
    return Known("", table.numbers_of(map(watch, paths)), "sha256:0")


def remembered(before: Memo | None, read: dict[str, list[str]]) -> Memo:
    """What a run knows that has looked at the services that have *read* those files."""
    table = Table(before, read)
    services = {**(before.services if before else {})}
    services |= {name: known(table, paths) for name, paths in read.items()}
    common = table.numbers_of([watch("tool")])
    return table.memo(HEAD, float("inf"), common, services, {})


def written(memo: Memo) -> Memo:
    """*memo*, by way of the disk."""
    write_memo(memo, "memo", ENVIRONMENT)
    found = read_memo("memo", ENVIRONMENT, HEAD)
    assert found is not None
    assert read_meanings(found, "memo", ENVIRONMENT)
    return found


@pytest.mark.parametrize("dropped", [1, 60])
def test_paths_that_are_dropped_take_no_other_with_them(dropped: int, tmp_path: Path) -> None:
    """60 of 66 are so many that all others get new numbers."""
    with chdir(tmp_path):
        own = {name: f"{name}.txt" for name in NAMES}
        many = [f"many{number}" for number in range(dropped)]
        for path in (*own.values(), *many, "tool"):
            Path(path).write_text(path)
        time.sleep(0.06)
        first = {"a": [*many, own["a"]], **{name: [own[name]] for name in NAMES[1:]}}
        memo = written(remembered(None, first))
        assert stale_services(memo, "memo", ENVIRONMENT) == set()
        memo = written(remembered(memo, {"a": [own["a"]]}))
        assert (len(memo.paths) < len(NAMES) + 1 + dropped) == (dropped > 1)
        assert stale_services(memo, "memo", ENVIRONMENT) == set()
        assert memo.token  # and no path had to be read for that
        for path in many:
            Path(path).unlink()
        assert stale_services(memo, "memo", ENVIRONMENT) == set()
        for name, path in own.items():
            Path(path).write_text("another")
            assert stale_services(written(memo), "memo", ENVIRONMENT) == {name}
            Path(path).write_text(path)
            assert stale_services(written(memo), "memo", ENVIRONMENT) == set()
        Path("tool").write_text("another")
        assert stale_services(written(memo), "memo", ENVIRONMENT) is None
