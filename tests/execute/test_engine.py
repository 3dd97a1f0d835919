"""Verdicts and builds: what runs, what is a hit, what is fresh, and why."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.action import Action
from scratchtasks.core.errors import ActionFailed, ScratchError, StoreError
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.operation import World
from scratchtasks.execute.stamp import stamp_path

from .ledger import Ledger, action


@pytest.fixture
def ledger(world: World) -> Ledger:
    """a joins x and y; b joins a's result and z."""
    found = Ledger(world, [action("a", "x", "y"), action("b", "z", deps=["a"])])
    found.write(x="X\n", y="Y\n", z="Z\n")
    return found


def test_first_it_runs_then_it_is_fresh(ledger: Ledger) -> None:
    assert ledger.build("a", "b") == ["x\ny\n", "z\nx\ny\n"]
    assert ledger.concat.ran == [("//:a",), ("//:b",)]
    engine = ledger.engine()
    assert engine.verdict("//:a").fresh
    assert engine.verdict("//:b").fresh
    assert ledger.build("a", "b") == ["x\ny\n", "z\nx\ny\n"]
    assert (ledger.concat.ran, ledger.notes.told) == ([], [])


def test_a_change_runs_what_depends_on_it(ledger: Ledger) -> None:
    ledger.build("a", "b")
    ledger.write(z="other\n")
    assert ledger.build("a", "b") == ["x\ny\n", "other\nx\ny\n"]
    assert ledger.concat.ran == [("//:b",)]
    ledger.write(x="other\n")
    assert ledger.build("a", "b") == ["other\ny\n", "other\nother\ny\n"]
    assert ledger.concat.ran == [("//:a",), ("//:b",)]


def test_changed_back_is_a_hit(ledger: Ledger) -> None:
    ledger.build("a", "b")
    ledger.write(x="other\n")
    ledger.build("a", "b")
    ledger.write(x="X\n")
    assert ledger.build("a", "b") == ["x\ny\n", "z\nx\ny\n"]
    assert ledger.concat.ran == []
    assert [(name, how) for name, how, _ in ledger.notes.told] == [("//:a", "hit"), ("//:b", "hit")]


def test_an_equal_result_stops_the_change(ledger: Ledger) -> None:
    ledger.build("a", "b")
    ledger.write(x="x\n")  # lower() makes the same of both
    assert ledger.build("a", "b") == ["x\ny\n", "z\nx\ny\n"]
    assert ledger.concat.ran == [("//:a",)]


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: setattr(ledger.concat, "version", 2),
        lambda ledger: setattr(ledger.concat, "toolchain", "cc 2"),
        lambda ledger: ledger.actions.__setitem__(0, action("a", "y", "x")),
        lambda ledger: ledger.actions.__setitem__(
            0, replace(ledger.actions[0], platform=Platform("linux", "arm64"))
        ),
        lambda ledger: ledger.actions.__setitem__(0, replace(ledger.actions[0], op="probe")),
    ],
)
def test_every_part_of_the_description_is_part_of_the_key(
    change: Callable[[Ledger], None], ledger: Ledger
) -> None:
    ledger.actions.pop()
    before = ledger.engine().verdict("//:a").key
    ledger.build("a")
    change(ledger)
    engine = ledger.engine()
    (name,) = engine.actions
    after = engine.verdict(name)
    assert not after.fresh
    assert after.result is None
    assert before != after.key


def test_names_for_people_are_no_part_of_the_key(ledger: Ledger) -> None:
    ledger.build("a")
    key = ledger.engine().verdict("//:a").key
    ledger.actions[0] = replace(ledger.actions[0], label=Label("", "c"), mnemonic="Other")
    verdict = ledger.with_actions(ledger.actions[0]).engine().verdict("//:c")
    assert verdict.key == key
    assert verdict.result is not None


def test_what_only_running_could_tell_counts_from_then_on(ledger: Ledger) -> None:
    one = ledger.with_actions(action("a", "x", late=["h"]))
    one.write(h="H\n")
    assert one.build("a") == ["x\nh\n"]
    one.write(h="other\n")
    assert one.build("a") == ["x\nother\n"]
    assert one.concat.ran == [("//:a",)]
    one.write(h="H\n")
    assert one.build("a") == ["x\nh\n"]
    assert one.concat.ran == []
    os.unlink(f"{one.world.root}/h")
    assert one.build("a") == ["x\nno h\n"]
    one.write(h="H\n")
    os.unlink(stamp_path(one.world.scratch, one.actions[0]))
    assert one.build("a") == ["x\nh\n"]
    assert one.concat.ran == []


def test_another_switch_may_read_other_files(ledger: Ledger) -> None:
    """Two sets of inputs for one description: both are tried."""
    one = ledger.with_actions(action("a", "x", late=["h"]))
    two = ledger.with_actions(action("a", "x", late=["g"]))
    one.write(h="H\n", g="G\n")
    for each in (one, two, one, two):
        each.build("a")
    assert two.concat.ran == one.concat.ran == []


@pytest.mark.parametrize("name", ["x", "h"])
def test_a_file_that_changes_meanwhile_is_read_again(name: str, ledger: Ledger) -> None:
    one = ledger.with_actions(action("a", "x", late=["h"]))
    one.write(h="H\n")
    changes = ["2\n"]
    one.concat.during = lambda: one.write(**{name: changes.pop()}) if changes else None
    (text,) = one.build("a")
    assert "2\n" in text
    assert len(one.concat.ran) in (2, 3)  # within one tick of the clock it is not sure
    assert one.build("a") == [text]
    assert one.concat.ran == []


def test_what_changes_meanwhile_and_changes_back_is_read_again(ledger: Ledger) -> None:
    """The run may have read either."""
    ledger.build("a")
    ledger.write(x="X 2\n")
    time.sleep(0.05)  # until a clock's tick has passed

    def during() -> None:
        ledger.concat.during = lambda: None
        time.sleep(0.05)
        ledger.write(x="other\n")
        ledger.write(x="X 2\n")

    ledger.concat.during = during
    ledger.build("a")
    assert len(ledger.concat.ran) == 2


def test_a_run_that_writes_what_it_reads_is_believed_the_second_time(ledger: Ledger) -> None:
    def during() -> None:
        time.sleep(0.05)
        ledger.write(x="X 2\n")

    ledger.build("a")
    ledger.write(x="X 2\n")
    ledger.concat.during = during
    ledger.build("a")
    assert len(ledger.concat.ran) == 2


@pytest.mark.parametrize("change", ["removed", "replaced by a symlink to an old file"])
def test_what_the_run_alone_names_may_go_meanwhile(change: str, ledger: Ledger) -> None:
    one = ledger.with_actions(action("a", "x", late=["h"]))
    one.write(h="H\n", old="old\n")
    path = Path(ledger.world.root, "h")

    def during() -> None:
        one.concat.during = lambda: None
        path.unlink()
        if change != "removed":
            path.symlink_to("old")

    one.concat.during = during
    expected = ["x\nno h\n" if change == "removed" else "x\nold\n"]
    assert one.build("a") == expected
    assert one.build("a") == expected


@pytest.mark.parametrize("place", ["sub", "sub/deep"])
@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_folder_of_what_the_run_alone_names_may_be_swapped(
    place: str, is_link: bool, is_written: bool, ledger: Ledger
) -> None:
    """What is in the new one may be of long ago."""
    one = ledger.with_actions(action("a", "x", late=[f"{place}/h"]))
    root = Path(ledger.world.root)
    for name in ("new", "old"):
        (root / place.replace("sub", name)).mkdir(parents=True)
        one.write(**{f"{place.replace('sub', name)}/h": f"{name}\n"})

    def put(name: str) -> None:
        if is_link:
            (root / "link").symlink_to(name)
            (root / "link").rename(root / "sub")
        else:
            (root / name).rename(root / "sub")

    def during() -> None:
        one.concat.during = lambda: None
        if not is_link:
            (root / "sub").rename(root / "old")
        put("new")
        if is_written:
            one.write(**{f"{place}/other": ""})

    put("old")
    time.sleep(0.05)  # until a clock's tick has passed
    one.concat.during = during
    assert one.build("a") == ["x\nnew\n"]
    assert one.build("a") == ["x\nnew\n"]


def test_a_run_that_writes_beside_what_it_reads_is_believed_the_second_time(
    ledger: Ledger,
) -> None:
    one = ledger.with_actions(action("a", "x", late=["sub/h"]))
    (Path(one.world.root) / "sub").mkdir()
    one.write(**{"sub/h": "H\n"})
    time.sleep(0.05)  # until a clock's tick has passed
    numbers = iter(range(99))

    def during() -> None:
        number = next(numbers)
        one.write(**{f"beside{number}": "", f"sub/in{number}": ""})

    one.concat.during = during
    assert one.build("a") == ["x\nh\n"]
    assert len(one.concat.ran) == 2


def test_a_compiler_that_is_upgraded_at_work(ledger: Ledger) -> None:
    def during() -> None:
        ledger.concat.toolchain = "cc 2"

    ledger.concat.during = during
    ledger.build("a")
    assert len(ledger.concat.ran) == 2
    ledger.concat.toolchain = "cc 1"
    assert not ledger.engine().verdict("//:a").fresh
    assert ledger.engine().verdict("//:a").result is None  # nothing was kept under its name


def test_a_compiler_that_is_removed_at_work_is_an_error(ledger: Ledger) -> None:
    def during() -> None:
        ledger.concat.toolchain = ""

    ledger.concat.during = during
    with pytest.raises(ScratchError, match=r"^cc: is missing$"):
        ledger.build("a")


def test_a_file_that_never_rests_is_an_error(ledger: Ledger) -> None:
    numbers = iter(range(99))
    ledger.concat.during = lambda: ledger.write(x=f"{next(numbers)}\n")
    with pytest.raises(ActionFailed) as caught:
        ledger.build("a")
    assert str(caught.value) == (
        "//:a: its inputs kept changing while it was built\n    hint: run doit again when they rest"
    )
    ledger.concat.during = lambda: None
    assert ledger.build("a") == ["2\ny\n"]


def test_a_failure_is_raised_each_time_and_forgotten_by_the_next_run(ledger: Ledger) -> None:
    ledger.build("a")
    ledger.write(x="error")
    engine = ledger.engine()
    for _ in range(2):
        with pytest.raises(ActionFailed, match=r"^//:a: found an error$"):
            engine.build("//:a")
    assert ledger.concat.ran == [("//:a",)]
    with pytest.raises(ActionFailed):
        ledger.build("a")
    ledger.write(x="X\n")
    assert ledger.build("a") == ["x\ny\n"]
    assert ledger.concat.ran == []


def test_a_run_of_many_keeps_what_succeeded(ledger: Ledger) -> None:
    two = ledger.with_actions(action("a", "x"), action("b", "y"))
    two.write(x="error")
    engine = two.engine()
    results = engine.run(["//:a", "//:b"])
    assert isinstance(results["//:a"], ActionFailed)
    assert two.concat.ran == [("//:a", "//:b")]
    assert engine.build("//:b") == results["//:b"]
    told = [(name, how) for name, how, _ in two.notes.told if how != "started"]
    assert told == [("//:a", "failed"), ("//:b", "ran")]


def test_what_it_read_and_cannot_be_read_again_is_no_neighbours_affair(ledger: Ledger) -> None:
    more = ledger.with_actions(action("a", late=["x"]), action("c", "y"))

    def change() -> None:
        os.unlink(f"{ledger.world.root}/x")
        os.symlink("x", f"{ledger.world.root}/x")

    more.concat.during = change
    engine = more.engine()
    found = engine.run(["//:a", "//:c"])
    message = f"{ledger.world.root}/x: cannot be read: too many levels of symbolic links"
    assert str(found["//:a"]) == message
    assert found["//:c"] is engine.build("//:c")
    with pytest.raises(StoreError) as caught:
        engine.build("//:a")
    assert str(caught.value) == message
    assert [how for _, how, _ in more.notes.told] == ["started", "started", "failed", "ran"]


def test_where_nothing_can_be_run_each_of_many_says_so(ledger: Ledger) -> None:
    more = ledger.with_actions(action("a", "x"), action("c", "y"))
    engine = more.engine()
    assert [engine.verdict(f"//:{name}").word for name in "ac"] == ["stale", "stale"]
    shutil.rmtree(ledger.world.scratch)
    Path(ledger.world.scratch).write_text("")
    told = [(name, str(error)) for name, error in engine.run(["//:a", "//:c"]).items()]
    clock = f"{ledger.world.scratch}/clock.{os.getpid()}.{threading.get_ident()}"
    why = f"    hint: {ledger.world.scratch} is no folder"
    message = f"{clock}: cannot be written: file exists\n{why}"
    assert told == [("//:a", message), ("//:c", message)]


def test_what_can_no_longer_be_read_is_for_the_next_run_to_judge(ledger: Ledger) -> None:
    one = ledger.with_actions(action("a", "x", late=["h"]), action("b", "y"))
    one.write(h="H\n")
    one.build("a")
    os.unlink(f"{one.world.root}/h")
    os.symlink("h", f"{one.world.root}/h")
    verdict = one.engine().verdict("//:a")
    fault = "cannot be read: too many levels of symbolic links"
    assert (verdict.error, verdict.reason) == (None, f"{one.world.root}/h: {fault}")


def test_what_is_known_to_be_read_and_cannot_be_is_an_error_of_that_action(ledger: Ledger) -> None:
    os.symlink("loop", f"{ledger.world.root}/loop")
    one = ledger.with_actions(action("a", "loop/x"), action("b", "y"))
    one.write(y="Y\n")
    engine = one.engine()
    fault = "cannot be read: too many levels of symbolic links"
    assert str(engine.verdict("//:a").error) == f"{one.world.root}/loop/x: {fault}"
    assert engine.verdict("//:b").error is None


def test_what_cannot_be_decided_is_an_error_of_its_dependents_too(ledger: Ledger) -> None:
    ledger.concat.toolchain = ""
    engine = ledger.engine()
    for name in ("//:a", "//:b"):
        verdict = engine.verdict(name)
        assert (verdict.fresh, str(verdict.error)) == (False, "cc: is missing")
        with pytest.raises(ScratchError, match=r"^cc: is missing$"):
            engine.build(name)


def test_a_dependent_waits_for_what_is_stale(ledger: Ledger) -> None:
    ledger.build("a", "b")
    ledger.write(x="other\n")
    engine = ledger.engine()
    verdict = engine.verdict("//:b")
    assert (verdict.fresh, verdict.job) == (False, None)
    assert verdict.reason == "//:a is to be rebuilt: x changed"
    engine.build("//:a")
    assert engine.verdict("//:b").job is not None


def test_a_probe_runs_when_a_verdict_asks_for_it(world: World) -> None:
    probed = Ledger(world, [action("a", "x", op="probe"), action("b", "z", deps=["a"])])
    probed.write(x="X\n", z="Z\n")
    assert probed.engine().verdict("//:b").job is not None
    assert probed.probe.ran == [("//:a",)]
    assert probed.concat.ran == []


def test_a_disturbed_action_asks_its_probe_again(world: World) -> None:
    probed = Ledger(world, [action("a", "x", op="probe"), action("b", "x", deps=["a"])])
    probed.write(x="1\n")
    changes = ["2\n"]
    probed.concat.during = lambda: probed.write(x=changes.pop()) if changes else None
    assert probed.build("b") == ["2\n2\n"]
    assert probed.build("b") == ["2\n2\n"]
    assert probed.concat.ran == []


@pytest.mark.parametrize("is_undone", [False, True])
def test_what_a_probe_has_read_changes_meanwhile(is_undone: bool, world: World) -> None:
    """The action may have read it, too, and its key would not tell."""
    probed = Ledger(world, [action("a", "x", op="probe"), action("b", "z", deps=["a"])])
    probed.write(x="X\n", z="Z\n")
    time.sleep(0.05)  # until a clock's tick has passed

    def during() -> None:
        probed.concat.during = lambda: None
        time.sleep(0.05)
        probed.write(x="x\n")  # gives the same result
        if is_undone:
            probed.write(x="X\n")

    probed.concat.during = during
    assert probed.build("b") == ["z\nx\n"]
    assert probed.concat.ran == [("//:b",), ("//:b",)]
    assert probed.build("b") == ["z\nx\n"]
    assert probed.concat.ran == []


@pytest.mark.parametrize("damage", ["unlink", "flip"])
def test_a_blob_that_is_not_whole_is_made_again(damage: str, ledger: Ledger) -> None:
    ledger.build("a", "b")
    engine = ledger.engine()
    result = engine.build("//:a")
    path = Path(ledger.world.store.path(result.outputs["out"].digest))
    if damage == "unlink":
        path.unlink()
    else:
        path.chmod(0o644)
        path.write_text("x\nZ\n")
    verdict = ledger.engine().verdict("//:a")
    assert verdict.reason.startswith(f"blob {result.outputs['out'].digest} is ")
    assert ledger.build("a", "b") == ["x\ny\n", "z\nx\ny\n"]
    assert ledger.concat.ran == [("//:a",)]


def test_another_process_may_have_built_it_meanwhile(ledger: Ledger) -> None:
    engine = ledger.engine()
    assert not engine.verdict("//:a").fresh
    other = Ledger(ledger.world, ledger.actions)
    other.build("a")
    engine.reset()
    assert engine.verdict("//:a").fresh


def test_reasons(ledger: Ledger) -> None:
    assert ledger.engine().verdict("//:a").reason == "it was never built here"
    ledger.build("a")
    ledger.write(x="1", y="2")
    assert ledger.engine().verdict("//:a").reason == "x changed; y changed"
    ledger.concat.toolchain = "cc 2"
    assert ledger.engine().verdict("//:a").reason == (
        'identity changed from "cc 1" to "cc 2"; x changed; y changed'
    )


def test_stamps_of_two_platforms_lie_apart(ledger: Ledger) -> None:
    one = replace(ledger.actions[0], platform=Platform("linux", "arm", "v7"))
    paths = {stamp_path("/s", each) for each in (ledger.actions[0], one)}
    assert paths == {"/s/stamps/a.json", "/s/stamps/a@linux-arm-v7.json"}
    nested = Action(label=Label("p/q", "n"), mnemonic="", op="", params={})
    assert stamp_path("/s", nested) == "/s/stamps/p/q/n.json"
