"""Batches: stale actions that one call can make, and no others."""

import threading
from dataclasses import replace

import pytest

from scratchtasks.execute.operation import World
from scratchtasks.execute.plan import Plan, plan, run_batches, run_probes

from .ledger import Ledger, action

NAMES = ["//:a", "//:b", "//:c"]


@pytest.fixture
def ledger(world: World) -> Ledger:
    found = Ledger(world, [action("a", "x"), action("b", "y"), action("c", "z")])
    found.concat.batch = "together"
    found.write(x="X\n", y="Y\n", z="Z\n")
    return found


def test_all_stale_ones_go_together(ledger: Ledger) -> None:
    assert plan(ledger.engine(), NAMES, 16) == Plan((tuple(NAMES),))
    assert plan(ledger.engine(), NAMES[:2], 16) == Plan((tuple(NAMES[:2]),))
    assert ledger.concat.ran == []


def test_fresh_ones_and_hits_are_left_out(ledger: Ledger) -> None:
    ledger.build("a", "b", "c")
    assert plan(ledger.engine(), NAMES, 16) == Plan()
    ledger.write(x="1\n", y="1\n")
    assert plan(ledger.engine(), NAMES, 16) == Plan((("//:a", "//:b"),))
    ledger.build("a", "b")
    ledger.write(x="X\n", y="Y\n", z="1\n")
    assert plan(ledger.engine(), NAMES, 16) == Plan()


def test_one_alone_needs_no_batch(ledger: Ledger) -> None:
    assert plan(ledger.engine(), NAMES[:1], 16) == Plan()
    ledger.concat.batch = ""
    assert plan(ledger.engine(), NAMES, 16) == Plan()


def test_what_waits_for_another_is_no_part(ledger: Ledger) -> None:
    waiting = ledger.with_actions(*ledger.actions[:2], action("c", deps=["a"]))
    assert plan(waiting.engine(), NAMES, 16) == Plan((("//:a", "//:b"),))


def test_what_cannot_be_decided_is_no_part(ledger: Ledger) -> None:
    ledger.concat.toolchain = ""
    assert plan(ledger.engine(), NAMES, 16) == Plan()


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


def test_probes_that_need_a_call_each_are_run_side_by_side(world: World) -> None:
    ledger = Ledger(world, [action(name, name, op="probe") for name in ("p", "q")])
    ledger.probe.batch = "{name}"
    ledger.write(p="P\n", q="Q\n")
    both = threading.Barrier(2, timeout=30)

    def during() -> None:
        both.wait()

    ledger.probe.during = during
    run_probes(ledger.engine(), ["//:p", "//:q"])
    assert sorted(ledger.probe.ran) == [("//:p",), ("//:q",)]


@pytest.fixture
def compilers(world: World) -> Ledger:
    """Three programs of one compiler and one of another, none of which go together."""
    ops = {"a": "c_build", "b": "c_build", "c": "c_build", "d": "go_build"}
    found = Ledger(world, [action(name, name, op=op) for name, op in ops.items()])
    found.write(a="A\n", b="B\n", c="C\n", d="D\n")
    return found


def test_compiler_calls_that_make_one_each_are_made_side_by_side(compilers: Ledger) -> None:
    names = ["//:a", "//:b", "//:c", "//:d"]
    alone = tuple((name,) for name in names)
    assert plan(compilers.engine(), names, 16) == Plan(alone)
    assert plan(compilers.engine(), names, 16, with_singles=False) == Plan()
    assert plan(compilers.engine(), names[:1], 16) == Plan()


def test_what_compilers_have_made_alone_is_assembled_side_by_side(compilers: Ledger) -> None:
    roots = [action(f"r{name}", deps=[name], op="rootfs") for name in ("a", "d")]
    both = compilers.with_actions(*compilers.actions, *roots)
    planned = plan(both.engine(), ["//:a", "//:d", "//:ra", "//:rd"], 16)
    assert planned == Plan((("//:a",), ("//:d",)), ((("//:ra",), ("//:rd",)),))


def test_the_first_call_of_a_compiler_fills_its_cache_for_the_others(compilers: Ledger) -> None:
    pairs = {name: threading.Barrier(2, timeout=30) for name in ("ahead", "after")}
    turn = iter(("ahead", "ahead", "after", "after"))

    def during() -> None:
        pairs[next(turn)].wait()

    compilers.concat.during = during
    run_batches(compilers.engine(), [("//:a",), ("//:b",), ("//:c",), ("//:d",)], 4)
    first, second = compilers.concat.ran[:2], compilers.concat.ran[2:]
    assert (sorted(first), sorted(second)) == ([("//:a",), ("//:d",)], [("//:b",), ("//:c",)])


ROOTS = ["//:a", "//:b", "//:ra", "//:rb"]


@pytest.fixture
def roots(world: World) -> Ledger:
    """What compiles, and the own work that comes after it."""
    found = Ledger(
        world,
        [
            action("a", "x"),
            action("b", "y"),
            action("ra", deps=["a"], op="rootfs"),
            action("rb", deps=["b"], op="rootfs"),
        ],
    )
    found.concat.batch = "together"
    found.write(x="X\n", y="Y\n")
    return found


def test_own_work_after_a_batch_is_done_side_by_side(roots: Ledger) -> None:
    planned = plan(roots.engine(), ROOTS, 16)
    assert planned == Plan((("//:a", "//:b"),), ((("//:ra",), ("//:rb",)),))


def test_own_work_that_is_ready_needs_no_batch(roots: Ledger) -> None:
    roots.build("a", "b")
    assert plan(roots.engine(), ROOTS, 16) == Plan((), ((("//:ra",), ("//:rb",)),))
    assert plan(roots.engine(), ROOTS[:3], 16) == Plan()
    roots.build("ra")
    assert plan(roots.engine(), ROOTS, 16) == Plan()


def test_own_work_after_what_is_compiled_alone_waits_for_its_task(roots: Ledger) -> None:
    roots.concat.batch = ""
    assert plan(roots.engine(), ROOTS, 16) == Plan()


def test_own_work_after_own_work_is_one_chain(roots: Ledger) -> None:
    made = [replace(each, op="prebuilt") for each in roots.actions[:2]]
    chained = roots.with_actions(*made, *roots.actions[2:])
    wanted = (("//:a", "//:ra"), ("//:b", "//:rb"))
    assert plan(chained.engine(), ROOTS, 16) == Plan((), (wanted,))
    # An image for two platforms.
    both = chained.with_actions(*chained.actions, action("i", deps=["ra", "rb"], op="image"))
    one = ("//:a", "//:ra", "//:b", "//:rb", "//:i")
    assert plan(both.engine(), [*ROOTS, "//:i"], 16) == Plan()
    other = both.with_actions(*both.actions, action("c", "z", op="prebuilt"))
    other.write(z="Z\n")
    assert plan(other.engine(), [*ROOTS, "//:i", "//:c"], 16) == Plan((), ((one, ("//:c",)),))


def test_many_chains_are_several_groups(world: World) -> None:
    names = [f"n{number:02}" for number in range(20)]
    many = Ledger(world, [action(name, "x", op="prebuilt") for name in names])
    many.write(x="X\n")
    planned = plan(many.engine(), [f"//:{name}" for name in names], 16)
    assert [len(group) for group in planned.groups] == [16, 4]
    assert [chain for group in planned.groups for chain in group] == [(f"//:{n}",) for n in names]


def test_essentials_come_first_for_all_that_wait_for_them(world: World) -> None:
    shop = Ledger(
        world,
        [
            action("certs", "x", op="essentials"),
            action("ra", "y", deps=["certs"], op="rootfs"),
            action("rb", "z", deps=["certs"], op="rootfs"),
        ],
    )
    shop.write(x="X\n", y="Y\n", z="Z\n")
    names = ["//:certs", "//:ra", "//:rb"]
    roots = (("//:ra",), ("//:rb",))
    assert plan(shop.engine(), names, 16) == Plan((), ((("//:certs",),), roots))
    assert plan(shop.engine(), names[:2], 16) == Plan()
    shop.build("certs")
    assert plan(shop.engine(), names, 16) == Plan((), (roots,))
