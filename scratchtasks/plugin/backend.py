"""doit's database as one SQLite file in WAL mode: a finished task is recorded at once.

doit's own backends write when a run ends, so a SIGKILL loses all of it, and two runs at once
lose each other's tasks.  Here every task is one row: the last writer of a row wins, and nobody's
other rows are touched.  A user's task is written by a statement of its own; ours, whose results
are in the store already, by the dozen, for each commit takes a millisecond.

Losing this file costs time, never correctness: what is stale is decided by action keys.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from doit.exceptions import InvalidTask

if TYPE_CHECKING:
    import sqlite3

_APPLICATION_ID = 0x73637274
_USER_VERSION = 1
_BUSY_SECONDS = 30.0
_LAST_KEYS = ("deps:", "ignore:")
"""The last keys that doit writes for a finished and for an ignored task: the row is complete."""

_CORRUPT, _NOT_A_DATABASE, _NO_SUCH_TABLE, _BUSY = 11, 26, 1, 5

OUR_VALUE = "scratchtasks"
"""The name of the value that our tasks give doit to keep: the key of what they made."""

_TOGETHER = 64
"""Rows of ours in one statement; SQLite takes 999 values and more."""

_READ = "SELECT task_data FROM doit WHERE task_id = ?"
_WRITE = "INSERT OR REPLACE INTO doit VALUES "
_DELETE = "DELETE FROM doit WHERE task_id = ?"


class Codec(Protocol):
    """What doit hands to a backend to turn a row into text and back."""

    def encode(self, data: Any) -> Any: ...
    def decode(self, data: Any) -> Any: ...


class _Foreign(Exception):
    """A sound SQLite file that is not ours."""


class SqliteWalBackend:
    """doit's backend interface over the SQLite file *name*, opened when it is first needed.

    *codec* encodes rows; *module_name* belongs to doit's dbm backend and is ignored.

    All methods raise InvalidTask, which doit prints without a traceback, when the file cannot be
    used (no permission, disk full).  A damaged or foreign file is moved to `NAME.damaged` with a
    line on stderr, and begun anew.
    """

    desc = "SQLite in WAL mode: each finished task is kept at once"

    def __init__(self, name: str, codec: Codec, *, module_name: str | None = None) -> None:
        self.name = name
        self._path = os.path.abspath(name)  # a task may change the working directory
        self._codec = codec
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._rows: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, Any] = {}

    def get(self, task_id: str, dependency: str) -> Any:
        """The value that was set, or None."""
        return self._row(task_id).get(dependency)

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Remember *value*; the row is committed when the last key of a finished task arrives, or
        soon after if the task is ours."""
        self._row(task_id)[dependency] = value
        if dependency in _LAST_KEYS:
            self._commit(task_id)

    def in_(self, task_id: str) -> bool:
        """Whether anything is known about *task_id*."""
        return bool(self._row(task_id))

    def remove(self, task_id: str) -> None:
        """Forget *task_id*, committed at once."""
        self._rows[task_id] = {}
        self._waiting.pop(task_id, None)
        self._execute(_DELETE, task_id)

    def remove_all(self) -> None:
        """Forget every task, committed at once."""
        self._rows.clear()
        self._waiting.clear()
        self._execute("DELETE FROM doit")

    def dump(self) -> None:
        """Close the file; a row whose last key never arrived (interrupted) is dropped."""
        self._rows.clear()
        try:
            self._flush()
        finally:
            self._close()

    def _row(self, task_id: str) -> dict[str, Any]:
        row = self._rows.get(task_id)
        if row is None:
            found = self._execute(_READ, task_id)
            row = self._rows[task_id] = self._decoded(found[0]) if found else {}
        return row

    def _decoded(self, data: Any) -> dict[str, Any]:
        try:
            row = self._codec.decode(data)
        except ValueError:
            return {}  # a damaged row is a task that never ran
        return row if isinstance(row, dict) else {}

    def _commit(self, task_id: str) -> None:
        row = self._rows[task_id]
        try:
            data = self._codec.encode(row)
        except (TypeError, ValueError, RecursionError) as error:
            # Raising here would end the whole run and abandon what other threads are building.
            self._execute(_DELETE, task_id)
            fault = self._fault(row) or str(error)
            _tell(f"{task_id}: finished, but not recorded, so it will run again: {fault}")
        else:
            self._waiting[task_id] = data
            values = row.get("_values_:")
            is_ours = isinstance(values, dict) and OUR_VALUE in values
            if not is_ours or len(self._waiting) >= _TOGETHER:
                self._flush()

    def _flush(self) -> None:
        """Commit all rows that wait for it."""
        rows, self._waiting = self._waiting, {}
        if rows:
            values = (value for row in rows.items() for value in row)
            self._execute(_WRITE + ", ".join(["(?, ?)"] * len(rows)), *values)

    def _fault(self, row: dict[str, Any]) -> str:
        """Which value of *row* the codec refuses, for people."""
        values = row.get("_values_:")
        for key, value in values.items() if isinstance(values, dict) else ():
            try:
                self._codec.encode({key: value})
            except (TypeError, ValueError, RecursionError):
                return f"its value {key!r} (wanted JSON, got {type(value).__name__})"
        return ""

    def _execute(self, statement: str, *values: Any) -> Any:
        """The first row that *statement* gives, or None; the file is mended once if need be."""
        import sqlite3

        for is_mended in (False, True):
            try:
                if self._db is None:
                    self._open()
                assert self._db is not None
                return self._db.execute(statement, values).fetchone()
            except (sqlite3.DatabaseError, _Foreign, OSError) as error:
                if is_mended or not _is_damage(error):
                    raise self._refusal(error) from error
                self._begin_anew(str(error))
        return None

    def _refusal(self, error: Exception) -> InvalidTask:
        return InvalidTask(f"{self.name}: cannot be used as doit's database: {error}")

    def _open(self) -> None:
        import sqlite3

        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        db = self._db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._inode = os.stat(self._path).st_ino
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        if not _is_ours(db):
            _switch_to_wal(db)
            # Two processes may come here at once: only one may find the file empty.
            db.execute("BEGIN IMMEDIATE")
            if not _is_ours(db):
                db.execute("CREATE TABLE doit (task_id TEXT NOT NULL PRIMARY KEY, task_data)")
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {_USER_VERSION}")
            db.execute("COMMIT")
        # A power loss may drop the last commits, but never tears the file.
        db.execute("PRAGMA synchronous = NORMAL")

    def _begin_anew(self, reason: str) -> None:
        inode = self._inode
        self._close()
        with _locked(os.path.dirname(self._path)):
            try:
                is_same = os.stat(self._path).st_ino == inode
            except FileNotFoundError:
                is_same = False
            if not is_same:
                return  # another process was faster
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(self._path + suffix, f"{self._path}.damaged{suffix}")
        _tell(f"{self.name}: {reason}: moved to {self.name}.damaged and begun anew")

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _is_ours(db: "sqlite3.Connection") -> bool:
    """Whether *db* has our table; False while it is empty.  Raises: _Foreign."""
    # One statement, one state: another process may just be making the table.
    application, version, tables = db.execute(
        "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id AS a, pragma_user_version AS v"
    ).fetchone()
    if (application, version) == (_APPLICATION_ID, _USER_VERSION):
        return True
    if application or version or tables:
        raise _Foreign("the database of another program")
    return False


def _switch_to_wal(db: "sqlite3.Connection") -> None:
    """Switch, waiting for others: SQLite does not honour the busy timeout for this statement."""
    import sqlite3

    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, _Foreign) or code in (_CORRUPT, _NOT_A_DATABASE, _NO_SUCH_TABLE)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Alone among all processes that mend a database in *folder*."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
