"""The database: what is kept when a run is killed, shared, damaged or fed with nonsense."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from doit.dependency import JSONCodec
from doit.exceptions import InvalidTask

from scratchtasks.plugin.backend import SqliteWalBackend

_CONFIG = """\
[tool.doit]
backend = "wal"
dep_file = ".scratch/doit.db"
verbosity = 2
[tool.doit.plugins.backend]
wal = "scratchtasks.plugin.backend:SqliteWalBackend"
"""


def _backend(path: Path) -> SqliteWalBackend:
    return SqliteWalBackend(str(path), JSONCodec())


def _finish(backend: SqliteWalBackend, task: str, **values: object) -> None:
    """What doit's save_success does."""
    backend.set(task, "_values_:", values)
    backend.set(task, "checker:", "MD5Checker")
    backend.set(task, "deps:", ("a", "b"))


def _workspace(folder: Path, dodo: str) -> Path:
    (folder / "pyproject.toml").write_text(_CONFIG)
    (folder / "dodo.py").write_text("from doit.tools import run_once\n" + dodo)
    return folder


def _start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "doit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = _start(folder, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _rows(path: Path) -> dict[str, object]:
    with sqlite3.connect(path) as db:
        rows = {name: json.loads(data) for name, data in db.execute("SELECT * FROM doit")}
    db.close()
    return rows


def test_a_finished_task_is_on_disk_at_once(tmp_path: Path) -> None:
    backend = _backend(tmp_path / ".scratch" / "doit.db")
    _finish(backend, "image:api", key="k1")
    assert _rows(tmp_path / ".scratch" / "doit.db") == {
        "image:api": {"_values_:": {"key": "k1"}, "checker:": "MD5Checker", "deps:": ["a", "b"]}
    }
    backend.dump()


def test_our_own_tasks_are_written_by_the_dozen_and_before_any_other(tmp_path: Path) -> None:
    path = tmp_path / "db"
    backend = _backend(path)
    for number in range(70):
        _finish(backend, f"image:{number}", scratchtasks="k")
    assert len(_rows(path)) == 64
    backend.remove("image:69")
    _finish(backend, "users", key="k")
    assert set(_rows(path)) == {*(f"image:{number}" for number in range(69)), "users"}
    _finish(backend, "image:last", scratchtasks="k")
    assert backend.get("image:last", "_values_:") == {"scratchtasks": "k"}
    backend.dump()
    assert "image:last" in _rows(path)


def test_a_row_is_written_when_its_last_key_arrives_and_dropped_if_it_never_does(
    tmp_path: Path,
) -> None:
    backend = _backend(tmp_path / "db")
    backend.set("half", "_values_:", {"key": "new"})
    assert backend.get("half", "_values_:") == {"key": "new"}
    backend.dump()
    assert not _backend(tmp_path / "db").in_("half")


def test_ignore_is_kept_beside_the_rest_of_the_row(tmp_path: Path) -> None:
    backend = _backend(tmp_path / "db")
    _finish(backend, "t", key="k")
    backend.set("t", "ignore:", "1")
    other = _backend(tmp_path / "db")
    assert (other.get("t", "ignore:"), other.get("t", "_values_:")) == ("1", {"key": "k"})
    backend.dump()
    other.dump()


def test_forgetting_is_kept_at_once(tmp_path: Path) -> None:
    backend = _backend(tmp_path / "db")
    for task in ("a", "b", "c"):
        _finish(backend, task)
    backend.remove("a")
    assert sorted(_rows(tmp_path / "db")) == ["b", "c"]
    assert not backend.in_("a")
    assert backend.get("a", "deps:") is None
    backend.remove_all()
    assert _rows(tmp_path / "db") == {}
    assert not backend.in_("b")
    backend.dump()


def test_nothing_is_opened_or_created_before_it_is_needed(tmp_path: Path) -> None:
    backend = _backend(tmp_path / ".scratch" / "doit.db")
    backend.dump()
    assert not (tmp_path / ".scratch").exists()
    code = "import sys, scratchtasks.plugin.backend; print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_two_writers_keep_all_rows_and_the_last_one_wins(tmp_path: Path) -> None:
    one, two = _backend(tmp_path / "db"), _backend(tmp_path / "db")
    _finish(one, "mine", by="one")
    _finish(two, "yours", by="two")
    _finish(one, "both", by="one")
    _finish(two, "both", by="two")
    one.dump()
    two.dump()
    fresh = _backend(tmp_path / "db")
    found = [fresh.get(task, "_values_:")["by"] for task in ("mine", "yours", "both")]
    assert found == ["one", "two", "two"]
    fresh.dump()


def test_what_json_refuses_costs_that_task_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = _backend(tmp_path / "db")
    _finish(backend, "bad", key="old")
    _finish(backend, "bad", good=1, when={1, 2})
    _finish(backend, "good", key="k")
    assert capsys.readouterr().err == (
        "bad: finished, but not recorded, so it will run again: its value 'when'"
        " (wanted JSON, got set)\n"
    )
    assert sorted(_rows(tmp_path / "db")) == ["good"]
    assert backend.get("bad", "_values_:")["when"] == {1, 2}  # getargs of this run still work
    backend.dump()


@pytest.mark.parametrize("kind", ["text", "torn", "foreign", "doit", "emptied"])
def test_a_damaged_or_foreign_file_is_moved_aside_and_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "doit.db"
    if kind == "text":
        path.write_bytes(b"no database at all\n" * 100)
    elif kind in ("foreign", "doit"):
        with sqlite3.connect(path) as db:
            name = "doit" if kind == "doit" else "bookmarks"
            db.execute(f"CREATE TABLE {name} (task_id text not null primary key, task_data json)")
        db.close()
    else:
        backend = _backend(path)
        for number in range(200):
            _finish(backend, f"t{number}", text="x" * 100)
        backend.dump()
        if kind == "torn":
            path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
        else:
            with sqlite3.connect(path) as db:
                db.execute("DROP TABLE doit")
            db.close()
    before = path.read_bytes()

    backend = _backend(path)
    assert backend.get("t7", "deps:") is None
    _finish(backend, "new")
    backend.dump()

    why = {
        "text": "file is not a database",
        "torn": "database disk image is malformed",
        "foreign": "the database of another program",
        "doit": "the database of another program",
        "emptied": "no such table: doit",
    }[kind]
    assert capsys.readouterr().err == f"{path}: {why}: moved to {path}.damaged and begun anew\n"
    assert (tmp_path / "doit.db.damaged").read_bytes() == before
    assert sorted(_rows(path)) == ["new"]


def test_a_damaged_row_is_a_task_that_never_ran(tmp_path: Path) -> None:
    backend = _backend(tmp_path / "db")
    _finish(backend, "t")
    _finish(backend, "u")
    backend.dump()
    with sqlite3.connect(tmp_path / "db") as db:
        db.execute("UPDATE doit SET task_data = cast(x'7bff' AS TEXT) WHERE task_id = 't'")
    db.close()
    backend = _backend(tmp_path / "db")
    assert not backend.in_("t")
    assert backend.in_("u")
    backend.dump()


def test_a_file_removed_under_a_run_costs_time_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s" / "db"
    backend = _backend(path)
    _finish(backend, "before")
    shutil.rmtree(path.parent)
    _finish(backend, "after")
    backend.dump()
    backend = _backend(path)
    assert not backend.in_("before")
    _finish(backend, "next")
    assert sorted(_rows(path)) == ["next"]
    assert capsys.readouterr().err == ""
    backend.dump()


def test_two_that_find_the_same_damage_keep_the_new_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "db"
    early = _backend(path)
    for number in range(100):
        _finish(early, f"t{number}", text="x" * 200)
    early.dump()
    late = _backend(path)
    assert late.in_("t0")
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    early = _backend(path)
    _finish(early, "new")
    assert not all(late.in_(f"t{number}") for number in range(1, 100))
    _finish(late, "newer")
    early.dump()
    late.dump()
    assert sorted(_rows(path)) == ["new", "newer"]
    assert capsys.readouterr().err == (
        f"{path}: file is not a database: moved to {path}.damaged and begun anew\n"
    )


def test_a_path_that_cannot_be_a_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    with pytest.raises(InvalidTask) as caught:
        _backend(tmp_path / "db").get("t", "deps:")
    assert str(caught.value) == (
        f"{tmp_path}/db: cannot be used as doit's database: unable to open database file"
    )


def test_kill_9_keeps_every_finished_task(tmp_path: Path) -> None:
    folder = _workspace(
        tmp_path,
        "import os, signal\n"
        "def die(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def task_t():\n"
        "    for n in range(20):\n"
        "        yield {'name': f'{n:02}', 'actions': [die if n == 12 else (lambda: None)],\n"
        "               'uptodate': [run_once]}\n",
    )
    code, _, _ = _run(folder, "run", "t")
    assert code == -signal.SIGKILL
    (folder / "dodo.py").write_text((folder / "dodo.py").read_text().replace("n == 12", "False"))
    code, out, err = _run(folder, "run", "t")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith(".")] == [
        f".  t:{n:02}" for n in range(12, 20)
    ]


def test_two_doits_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = _workspace(
        tmp_path,
        "def task_t():\n"
        "    for n in range(300):\n"
        "        yield {'name': f'{n}', 'actions': [lambda: None], 'uptodate': [run_once]}\n",
    )
    names = [[f"t:{n}" for n in range(300) if n % 2 == odd] for odd in (0, 1)]
    both = [_start(folder, "run", *half) for half in names]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.count(".  t:") == 150
    assert len(_rows(folder / ".scratch" / "doit.db")) == 300
    code, out, _ = _run(folder, "run", "t")
    assert (code, out.count("-- t:")) == (0, 300)


def test_doit_goes_on_after_a_value_that_is_no_json(tmp_path: Path) -> None:
    folder = _workspace(
        tmp_path,
        "def task_bad(): return {'actions': [lambda: {'made': b'x'}], 'uptodate': [run_once]}\n"
        "def task_good(): return {'actions': [lambda: {'made': 'x'}], 'uptodate': [run_once]}\n",
    )
    code, out, err = _run(folder, "run", "bad", "good")
    assert (code, out) == (0, ".  bad\n.  good\n")
    assert err == (
        "bad: finished, but not recorded, so it will run again: its value 'made'"
        " (wanted JSON, got bytes)\n"
    )
    assert _run(folder, "run", "bad", "good")[1] == ".  bad\n-- good\n"


def test_doits_own_commands_work(tmp_path: Path) -> None:
    folder = _workspace(
        tmp_path,
        "def task_t():\n"
        "    for n in 'ab':\n"
        "        yield {'name': n, 'actions': [lambda: None], 'uptodate': [run_once]}\n",
    )
    assert _run(folder, "run", "t")[1] == ".  t:a\n.  t:b\n"
    assert _run(folder, "forget", "t:a")[0] == 0
    assert _run(folder, "ignore", "t:b")[0] == 0
    assert _run(folder, "run", "t")[1] == ".  t:a\n!! t:b\n!! t\n"
    assert _run(folder, "list", "--all", "--status", "t:a")[1].split()[:2] == ["U", "t:a"]
    assert _run(folder, "forget", "--all")[0] == 0
    assert _run(folder, "run", "t")[1] == ".  t:a\n.  t:b\n"
