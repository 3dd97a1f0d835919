"""Batches: stale actions that one call can make, and no others."""

import pytest

from scratchtasks.execute.operation import World
from scratchtasks.execute.plan import compile_batches, run_probes

from .ledger import Ledger, action

NAMES = ["//:a", "//:b", "//:c"]


@pytest.fixture
def ledger(world: World) -> Ledger:
    found = Ledger(world, [action("a", "x"), action("b", "y"), action("c", "z")])
    found.concat.batch = "together"
    found.write(x="X\n", y="Y\n", z="Z\n")
    return found


def test_all_stale_ones_go_together(ledger: Ledger) -> None:
    assert compile_batches(ledger.engine(), NAMES) == [tuple(NAMES)]
    assert compile_batches(ledger.engine(), NAMES[:2]) == [tuple(NAMES[:2])]
    assert ledger.concat.ran == []


def test_fresh_ones_and_hits_are_left_out(ledger: Ledger) -> None:
    ledger.build("a", "b", "c")
    assert compile_batches(ledger.engine(), NAMES) == []
    ledger.write(x="1\n", y="1\n")
    assert compile_batches(ledger.engine(), NAMES) == [("//:a", "//:b")]
    ledger.build("a", "b")
    ledger.write(x="X\n", y="Y\n", z="1\n")
    assert compile_batches(ledger.engine(), NAMES) == []


def test_one_alone_needs_no_batch(ledger: Ledger) -> None:
    assert compile_batches(ledger.engine(), NAMES[:1]) == []
    ledger.concat.batch = ""
    assert compile_batches(ledger.engine(), NAMES) == []


def test_what_waits_for_another_is_no_part(ledger: Ledger) -> None:
    waiting = ledger.with_actions(*ledger.actions[:2], action("c", deps=["a"]))
    assert compile_batches(waiting.engine(), NAMES) == [("//:a", "//:b")]


def test_what_cannot_be_decided_is_no_part(ledger: Ledger) -> None:
    ledger.concat.toolchain = ""
    assert compile_batches(ledger.engine(), NAMES) == []


def test_probes_run_in_one_call_and_leave_their_failures_for_later(world: World) -> None:
    probes = [action(name, name, op="probe") for name in ("p", "q", "r")]
    ledger = Ledger(world, [*probes, action("a", "x", deps=["q"])])
    ledger.probe.batch = "together"
    ledger.write(p="P\n", q="error", r="R\n", x="X\n")
    engine = ledger.engine()
    run_probes(engine, [each.name for each in ledger.actions])
    assert ledger.probe.ran == [("//:p", "//:q", "//:r")]
    assert ledger.concat.ran == []
    assert str(engine.verdict("//:a").error) == "//:q: found an error"
    assert engine.verdict("//:r").fresh
