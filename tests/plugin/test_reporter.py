"""What a real doit prints with our reporter: plain, failing, in parallel; and its summary."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scratchtasks.plugin.events import Events, Finished, Message, Started, Work
from scratchtasks.plugin.reporter import ScratchReporter
from scratchtasks.plugin.summary import summary

from .reporting import plain_environment, reporting_workspace


def _run(folder: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "doit", "run", *arguments],
        cwd=folder,
        env=plain_environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, re.sub(r"\d+\.\d\d s\n\Z", "N s\n", done.stdout), done.stderr


_MIXED = """\
def task_binary():
    yield build("binary", "api", "warns")
    yield build("binary", "web", "hit")
    yield build("binary", "old", "fresh")
def task_image():
    yield build("image", "api", "ran", deps=["binary:api"])
    yield build("image", "web", "hit", deps=["binary:web"])
    yield build("image", "old", "fresh", deps=["binary:old"])
"""


@pytest.mark.parametrize("parallel", [(), ("-n", "3", "-P", "thread")])
def test_what_ran_is_said_and_the_rest_is_counted(
    tmp_path: Path, parallel: tuple[str, ...]
) -> None:
    code, out, err = _run(reporting_workspace(tmp_path, _MIXED), *parallel)
    assert (code, out, err) == (
        0,
        "//services/api:binary  GoCompile (linux/amd64)  1.24 s\n"
        "//services/api:image  Assemble (linux/amd64)  1.24 s\n"
        "3 images, 1 rebuilt, 1 from cache, 1 up to date, N s\n",
        "warning from //services/api:binary\n",
    )


def test_up_to_date_tasks_are_named_when_asked(tmp_path: Path) -> None:
    _, out, _ = _run(reporting_workspace(tmp_path, _MIXED), "-v", "2", "image:old")
    assert out == (
        "//services/old:binary  up to date\n"
        "//services/old:image  up to date\n"
        "1 image up to date, N s\n"
    )


def test_without_images_tasks_are_counted(tmp_path: Path) -> None:
    _, out, _ = _run(reporting_workspace(tmp_path, _MIXED), "binary")
    assert out.splitlines()[-1] == "3 tasks, 1 ran, 1 from cache, 1 up to date, N s"


def test_what_the_loader_left_out_is_up_to_date(tmp_path: Path) -> None:
    folder = reporting_workspace(tmp_path, _MIXED)
    assert _run(folder, LEFT_OUT="1") == (0, "4 images up to date, N s\n", "")


def test_a_failure_is_said_once_without_a_traceback(tmp_path: Path) -> None:
    error = "//services/api:binary: not static: needs libz.so.1\\n    hint: CGO_ENABLED=0"
    dodo = (
        "def task_binary():\n"
        "    yield group()\n"
        f"    yield build('binary', 'api', error='{error}')\n"
        f"    yield build('binary', 'web', error='{error}')\n"
        "def task_image():\n"
        "    yield group()\n"
        "    yield build('image', 'api', deps=['binary:api'])\n"
        "    yield build('image', 'web', deps=['binary:web'])\n"
        "    yield build('image', 'old', 'fresh')\n"
    )
    code, out, err = _run(reporting_workspace(tmp_path, dodo), "--continue")
    assert (code, out, err) == (
        2,
        "3 images, 1 up to date, 2 failed, N s\n",
        "error: //services/api:binary: not static: needs libz.so.1\n    hint: CGO_ENABLED=0\n",
    )


_THREE = """\
def task_binary():
    yield group()
    yield build('binary', 'api', error='api: no')
    yield build('binary', 'web', 'fresh')
    yield build('binary', 'old', 'fresh')
def task_image():
    yield group()
    yield build('image', 'api', deps=['binary:api'])
    yield build('image', 'web', 'fresh', deps=['binary:web'])
    yield build('image', 'old', 'fresh', deps=['binary:old'])
"""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "3 images, 1 failed, 2 not looked at"),
        (("--continue",), "3 images, 2 up to date, 1 failed"),
    ],
)
def test_where_a_failure_ends_the_run_the_rest_was_not_looked_at(
    options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    code, out, err = _run(reporting_workspace(tmp_path, _THREE), *options)
    assert (code != 0, out, err) == (True, f"{told}, N s\n", "error: api: no\n")


_SENT = """\
def task_rootfs():
    yield build('rootfs', 'api', 'fresh')
    yield build('rootfs', 'web', 'hit')
def task_image():
    yield build('image', 'api', 'fresh', deps=['rootfs:api'])
    yield build('image', 'web', 'fresh', deps=['rootfs:web'])
def task_load():
    yield after('load', 'api', of='rootfs')
    yield after('load', 'web', of='rootfs')
def task_push():
    yield after('push', 'api', error='api: refused')
    yield after('push', 'web', error='web: refused')
def task_smoke():
    yield after('smoke', 'api')
    yield after('smoke', 'web', result=None)
def task_mine(): return {'actions': ['exit 1']}
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("load",), "2 images, 1 from cache, 1 up to date, 2 loaded"),
        (("load:api",), "1 image loaded"),
        (("push",), "2 images up to date, 1 push failed"),
        (("--continue", "push"), "2 images up to date, 2 pushes failed"),
        (("-n", "2", "-P", "process", "smoke"), "2 images up to date, 1 tried out"),
        (("smoke:web",), "1 image up to date"),
        (("-s", "load:api"), "1 image, 1 loaded"),
        (("--continue", "load:api", "image:api", "mine"),
         "1 image up to date, 1 loaded, 1 other task failed"),
    ],
)  # fmt: skip
def test_what_is_done_with_images_is_told(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    _, out, _ = _run(reporting_workspace(tmp_path, _SENT), *words)
    assert out.splitlines()[-1] == f"{told}, N s"


@pytest.mark.parametrize(
    ("one", "other", "words", "told"),
    [
        ("ran", "fresh", ("load",), "1 image, 1 rebuilt, 1 loaded"),
        ("hit", "fresh", ("load",), "1 image, 1 from cache, 1 loaded"),
        ("fresh", "fresh", ("load",), "1 image loaded"),
        ("ran", "ran", ("rootfs",), "2 tasks, 2 ran"),
    ],
)
def test_what_is_loaded_may_be_made_of_parts(
    one: str, other: str, words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """As the root file system of an image that is not for this machine's own platform is."""
    dodo = f"""
def task_rootfs():
    yield build('rootfs', 'api@linux/386', {one!r})
    yield build('rootfs', 'api@linux/arm64', {other!r})
    deps = ['rootfs:api@linux/386', 'rootfs:api@linux/arm64']
    yield {{**group(), "name": "api", "task_dep": deps, "uptodate": [{one == "fresh"}],
           "actions": ["true"]}}
def task_load():
    yield after('load', 'api', of='rootfs')
"""
    _, out, _ = _run(reporting_workspace(tmp_path, dodo), *words)
    assert out.splitlines()[-1] == f"{told}, N s"


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    dodo = "def task_image():\n    yield build('image', 'api', 'crashes')\n"
    code, out, err = _run(reporting_workspace(tmp_path, dodo))
    assert (code, out) == (1, "1 image, 1 failed, N s\n")
    assert err == "error: crashed\nValueError: a bug\n\n"


def test_users_own_tasks_look_as_they_do_in_doit(tmp_path: Path) -> None:
    dodo = (
        "def task_mine(): return {'actions': ['echo said; echo erred >&2; exit 3']}\n"
        "def task_fine(): return {'actions': ['true']}\n"
        "def task_done(): return {'actions': ['true'], 'uptodate': [True]}\n"
    )
    folder = reporting_workspace(tmp_path, dodo)
    ours = _run(folder, "--continue", "fine", "done", "mine")
    assert ours == _run(folder, "--continue", "-r", "console", "fine", "done", "mine")
    assert ours[0] == 1
    assert "mine <stdout>:\nsaid\n" in ours[1]


@pytest.mark.parametrize("name", ["zero", "executed-only", "json", "error-only", "console"])
def test_the_stock_reporters_still_work(tmp_path: Path, name: str) -> None:
    code, out, err = _run(reporting_workspace(tmp_path, _MIXED), "-r", name)
    assert code == 0
    assert err == "warning from //services/api:binary\n"  # nobody swallows a compiler's message
    assert ("binary:api" in out) == (name not in ("zero", "error-only"))


def test_ours_can_be_chosen_by_name(tmp_path: Path) -> None:
    code, out, err = _run(reporting_workspace(tmp_path, _MIXED), "-r", "scratch")
    assert (code, out.count("image"), err) == (0, 1, "warning from //services/api:binary\n")


def test_output_may_go_to_a_file(tmp_path: Path) -> None:
    code, out, _ = _run(reporting_workspace(tmp_path, _MIXED), "-o", "said.txt")
    assert (code, out) == (0, "")
    assert (tmp_path / "said.txt").read_text().count("\n") == 3


def test_letters_the_terminal_does_not_know_are_no_crash(tmp_path: Path) -> None:
    dodo = "def task_image():\n    yield build('image', 'caf\\u00e9\\x1b[2J')\n"
    code, out, _ = _run(reporting_workspace(tmp_path, dodo), PYTHONIOENCODING="ascii")
    assert (code, out.splitlines()[0]) == (
        0,
        "//services/caf\\xe9?[2J:image  Assemble (linux/amd64)  1.24 s",
    )


def test_doits_own_complaints_are_one_line(tmp_path: Path) -> None:
    dodo = (
        "def task_a(): return {'actions': [(print,)], 'targets': ['x']}\n"
        "def task_image():\n    yield build('image', 'api', 'fresh')\n"
    )
    code, out, err = _run(reporting_workspace(tmp_path, dodo))
    assert (code, err[:7], out.count("#")) == (2, "error: ", 0)


def test_the_summary_names_what_there_was() -> None:
    def said(count: int, noun: str = "image", **counts: int) -> str:
        return summary(count, noun, counts, 0.411)

    assert said(4, current=4) == "4 images up to date, 0.41 s"
    assert said(1, current=1) == "1 image up to date, 0.41 s"
    assert said(4, ran=1, hit=3) == "4 images, 1 rebuilt, 3 from cache, 0.41 s"
    assert said(4, current=2, ran=1, failed=1) == (
        "4 images, 1 rebuilt, 2 up to date, 1 failed, 0.41 s"
    )
    assert said(2, "task", ran=1, left=1) == "2 tasks, 1 ran, 1 not looked at, 0.41 s"


@pytest.mark.parametrize(
    ("counts", "after", "told"),
    [
        ({"current": 2}, {("push", "failed"): 1}, "2 images up to date, 1 push failed"),
        ({"current": 2}, {("push", "done"): 2}, "2 images pushed"),
        ({"current": 2}, {("push", "done"): 1}, "2 images up to date, 1 pushed"),
        (
            {"current": 2},
            {("load", "done"): 2, ("smoke", "done"): 2},
            "2 images up to date, 2 loaded, 2 tried out",
        ),
        ({"ran": 1, "current": 1}, {("load", "done"): 2},
         "2 images, 1 rebuilt, 1 up to date, 2 loaded"),
        (
            {"current": 2},
            {("smoke", "failed"): 2, ("load", "failed"): 1, ("other", "failed"): 1},
            "2 images up to date, 1 load failed, 2 smoke tests failed, 1 other task failed",
        ),
        ({"current": 2}, {("smoke", "done"): 2, ("other", "failed"): 2},
         "2 images up to date, 2 tried out, 2 other tasks failed"),
        ({"failed": 1, "left": 1}, {}, "2 images, 1 failed, 1 not looked at"),
        ({}, {("push", "done"): 2}, "2 images, 2 pushed"),
    ],
)  # fmt: skip
def test_the_summary_names_what_was_done_with_images(
    counts: dict[str, int], after: dict[tuple[str, str], int], told: str
) -> None:
    assert summary(2, "image", counts, 0.411, after) == f"{told}, 0.41 s"


def test_a_batch_is_one_line_until_its_last_member_ended() -> None:
    events = Events()
    reporter = ScratchReporter.bound_to(events, {})(sys.stdout, {})
    works = tuple(Work(f"n{n}", f"//s{n}:binary", "GoCompile") for n in range(3))
    events.emit(Started(works))
    lines = reporter._display._lines
    assert [text for text, _ in lines.values()] == ["//s0:binary and 2 more  GoCompile"]
    for work in works:
        assert lines
        events.emit(Finished(work, "hit"))
    assert not lines


def test_a_listener_that_left_hears_nothing_and_messages_find_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    events, heard = Events(), list[object]()
    leave = events.subscribe(heard.append, shows_messages=True)
    events.show(b"one\n")
    leave()
    events.show(b"two\n")
    assert heard == [Message(b"one\n")]
    assert capfd.readouterr().err == "two\n"


_PLANNED = """\
import os
from loading import events
from scratchtasks.plugin.events import Foreseen, Work
many = [f"s{number:02}" for number in range(int(os.environ["MANY"]))]
def error_of(name):
    return f"//services/{name}:binary: no"
def work_of(name):
    return Work(f"//services/{name}:binary@linux/amd64", f"//services/{name}:binary", "GoList")
def task_image():
    events.emit(Foreseen(tuple((work_of(name), error_of(name)) for name in many)))
    yield group()
    for name in many:
        yield build("image", name, deps=[f"binary:{name}"])
def task_binary():
    yield group()
    for name in reversed(many):
        yield build("binary", name, error=error_of(name))
"""


@pytest.mark.parametrize("options", [(), ("-n", "3", "-P", "thread"), ("--continue",)])
@pytest.mark.parametrize("words", [("image",), ("binary", "image")])
def test_all_that_planning_found_to_fail_is_told_once_in_its_order(
    words: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = reporting_workspace(tmp_path, _PLANNED)
    code, out, err = _run(folder, *options, *words, MANY="4")
    errors = [f"error: //services/s{number:02}:binary: no" for number in range(4)]
    assert (code != 0, err.splitlines()) == (True, errors)
    assert out == "4 images, 4 failed, N s\n"


@pytest.mark.parametrize("options", [(), ("--continue",)])
def test_of_hundreds_that_fail_one_run_tells_some_and_counts_the_rest(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = reporting_workspace(tmp_path, _PLANNED)
    _, _, err = _run(folder, *options, "image", MANY="50")
    errors = [f"error: //services/s{number:02}:binary: no" for number in range(50)]
    rest = ["and 30 more errors: --continue tells them all"]
    assert err.splitlines() == (errors if options else errors[:20] + rest)
