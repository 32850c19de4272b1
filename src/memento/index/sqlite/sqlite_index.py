"""The index as an SQLite file: open it, begin runs, change rows, keep it in order.

Knows: the tables, the file's marks. May not know: values, the store's other files.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from memento.clock import Clock
from memento.errors import NotAStore, StoreDamaged, StoreTooNew
from memento.index.sqlite import sql
from memento.index.sqlite.database import Database, make_tables, schema_faults
from memento.index.sqlite.reader import Reader
from memento.index.types import Checked, Command, Living, Names, Renamed
from memento.layout import FOLDERS, INDEX, INDEX_REBUILT, INDEX_SUSPECT

if TYPE_CHECKING:
    from memento.index.contract import Run
    from memento.index.declared_values import Declared
    from memento.records import CodeVersion, RunInfo, TaskRecord

_HEADER = b"SQLite format 3\0"


class SqliteIndex(Reader):
    """A store's records in ``index.sqlite``."""

    # --- opening ---------------------------------------------------------------------------------------

    @classmethod
    def exists(cls, folder: str) -> bool:
        return os.path.isfile(os.path.join(folder, INDEX))

    @classmethod
    def open(cls, folder: str, *, create: bool, readonly: bool, clock: Clock) -> SqliteIndex:
        path = os.path.join(folder, INDEX)
        _check_header(folder, path)
        notes: list[str] = []
        marks = (INDEX_SUSPECT, INDEX_REBUILT)
        if not readonly and any(os.path.exists(os.path.join(folder, name)) for name in marks):
            notes += _rebuild(path)
        database = Database(path, readonly=readonly)
        try:
            _check(database, may_make=create)
        except StoreDamaged:
            database.close()
            if readonly:
                raise
            notes += _rebuild(path)
            database = Database(path)
            _check(database, may_make=True)
        except BaseException:
            database.close()
            raise
        return cls(database, clock, notes)

    @classmethod
    def rebuild(cls, folder: str, clock: Clock) -> list[str] | None:
        path = os.path.join(folder, INDEX)
        with suppress(Exception), closing(cls(Database(path, readonly=True), clock, [])) as index:
            if index.living().runs:  # as far as that can be read
                return None
        return _rebuild(path, certain=True)

    def close(self) -> None:
        self.database.close()

    @property
    def is_gone(self) -> bool:
        return not os.path.exists(self.database.location)

    # --- writing ---------------------------------------------------------------------------------------

    def begin(
        self, info: RunInfo, cached: int = 0, committed: Callable[[Collection[bytes]], None] | None = None
    ) -> Run:
        from memento import faultpoints
        from memento.index.lease import run_name
        from memento.index.sqlite import rows
        from memento.index.sqlite.write_values import drop_leases
        from memento.index.sqlite.writer import SqliteRun

        now = self.clock.now()
        dead = [owner.run for owner in self._owners() if self.leases.is_dead(owner)]
        # The first result that waits for the disk takes along what came before it; until then power takes nothing.
        with self.database.writing(durable=False) as connection:
            drop_leases(connection, dead)
            experiment = _experiment(connection, info.experiment)
            number = connection.execute(sql.NEXT_RUN).fetchone()[0]
            name = run_name(now, info.pid, number)
            connection.execute(sql.ADD_RUN, (number, *rows.run_values(info, name, experiment, now, cached)))
            last = connection.execute(sql.LAST_TASK).fetchone()[0]
            last_command = connection.execute(sql.LAST_COMMAND).fetchone()[0]
        faultpoints.at("run.begun")
        # What others committed since this index was last scanned is news to the plan that came of the scan.
        seen = self._scanned.get(info.experiment, last)
        row = (number, name, experiment, info.experiment)
        return SqliteRun(self.database, self.clock, row, seen, last_command, self.leases, committed)

    def note_codes(
        self,
        experiment: str,
        fresh: Iterable[CodeVersion],
        current: Iterable[bytes],
        stale: Iterable[tuple[int, bytes]],
        run: int | None,
    ) -> None:
        from memento.index.sqlite.write_values import add_code
        from memento.index.versions import presents

        with self.database.writing(durable=False) as connection:  # as the run itself: results come later
            for version in fresh:
                add_code(connection, version, self.clock.now(), run)
            ids = {digest: number for number, digest in connection.execute(sql.CODE_DIGESTS)}
            wanted = presents(ids, current, stale)
            place = _experiment(connection, experiment)
            noted: dict[int, set[int]] = {}
            for code, present in connection.execute(sql.CHANGES, (place,)):
                noted.setdefault(code, set()).add(present)
            for code, now in wanted.items():
                if noted.get(code) != now:
                    connection.execute(sql.DROP_CHANGES, (place, code))
                    changes = [(place, code, present) for present in sorted(now)]
                    connection.executemany(sql.ADD_CHANGE, changes)

    def relabel(self, experiment: str, axes: Sequence[Declared]) -> None:
        from memento.index.declared_values import joined
        from memento.index.sqlite.write_values import declare

        number = self._experiment(experiment)
        rows = self.database.all(sql.AXES, (number,))
        if (
            number is not None and joined(rows, axes)[1] != rows
        ):  # looked at first: a store that cannot be written may be read
            with self.database.writing(durable=False) as connection:
                declare(connection, number, axes)

    def adopt(
        self, experiment: str, changes: Iterable[tuple[int, int]], who: str, verified: int, results: int
    ) -> None:
        number, now = self._experiment(experiment), self.clock.now()
        rows = [(number, *change, now, who, verified, results) for change in changes]
        with self.database.writing() as connection:
            connection.executemany(sql.ADD_ADOPTION, rows)

    def forget(self, keys: Iterable[bytes]) -> int:
        from memento.index.sqlite.write_values import drop_tasks

        wanted = set(keys)
        with self.database.writing() as connection:
            doomed = [number for key, number in connection.execute(sql.KEYS_AND_IDS) if key in wanted]
            drop_tasks(connection, doomed, keep_attempts=False)
            connection.executemany(sql.DROP_ATTEMPTS, [(key,) for key in wanted])
        return len(doomed)

    def retry(self, keys: Collection[bytes] | None, experiment: str | None) -> list[TaskRecord]:
        from memento.index.sqlite.write_values import drop_tasks

        wanted = None if keys is None else set(keys)
        with self.database.writing() as connection:
            found = connection.execute(sql.FAILED_TASKS, {"experiment": experiment}).fetchall()
            ids = [number for number, key in found if wanted is None or key in wanted]
            retried = list(self.records(ids))
            drop_tasks(connection, ids, keep_attempts=True)
        return retried

    def discard(self, ids: Iterable[int], *, unless_living: bool = False) -> list[int]:
        from memento.index.sqlite.write_values import drop_tasks

        with self.database.writing() as connection:
            if unless_living and self.living().runs:
                return []
            there = [number for number in ids if connection.execute(sql.HAS_TASK, (number,)).fetchone()]
            drop_tasks(connection, there, keep_attempts=False)
        return there

    def rename(self, old: str, new: str, folders: Container[bytes]) -> Renamed:
        from memento.index.sqlite.renaming import rename

        with self.database.writing() as connection:
            return rename(connection, self.leases, old, new, folders)

    def moves(self) -> list[tuple[bytes, bytes]]:
        return self.database.all(sql.MOVES)

    def moved(self, keys: Iterable[bytes]) -> None:
        with self.database.writing() as connection:
            connection.executemany(sql.DROP_MOVE, [(key,) for key in keys])

    def send(self, command: Command) -> int:
        from memento.index.sqlite import rows

        with self.database.writing() as connection:
            values = rows.cleaned(
                (*command[:3], json.dumps(dict(command.arguments)), command.sender, self.clock.now())
            )
            return int(connection.execute(sql.SEND, values).lastrowid or 0)

    # --- maintenance -----------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[Living]:
        with self.database.writing(durable=False):
            yield self.living()

    def has(self, number: int) -> bool:
        return bool(self.database.all(sql.HAS_TASK, (number,)))

    def names(
        self, keys: Container[bytes], files: Container[str], after: int = 0, without: Container[int] = ()
    ) -> Names:
        from memento.index.sqlite.rows import step_keys

        refs: set[str] = set()
        done: dict[bytes, int] = {}
        known: set[bytes] = set()
        steps = Counter[bytes]()
        with self.database.snapshot() as connection:
            last = int(connection.execute(sql.LAST_TASK).fetchone()[0])
            for number, key, is_done, ref, log, used in connection.execute(sql.NAMES_OF_TASKS, (after,)):
                if number in without:
                    continue
                if key in keys:
                    known.add(key)
                    if is_done:
                        done[key] = number
                if ref in files:
                    refs.add(ref)
                if log in files:
                    refs.add(log)
                if used is not None:
                    steps.update(step_keys(used))
            if not after:
                refs.update(log for (log,) in connection.execute(sql.LOGS_OF_ATTEMPTS) if log in files)
        return Names(last, refs, done, known, steps)

    def faults(self) -> list[str]:
        from memento.index.sqlite.checks import index_faults

        with self.database.explaining():
            return index_faults(self.database.connection())

    def check(self) -> Iterator[Checked]:
        from memento.index.sqlite.checks import check_rows

        return check_rows(self.database)

    def strays(self, *, remove: bool = False) -> int:
        found = int(self.database.all(sql.ORPHANS)[0][0])
        if found and remove:
            with self.database.writing() as connection:
                for statement in sql.DROP_ORPHANS:
                    connection.execute(statement)
        return found

    def log_ends(self) -> dict[str, int]:
        return {file: end for file, end in self.database.all(sql.LOG_ENDS) if isinstance(end, int)}

    def forget_log(self, file: str, size: int) -> None:
        with self.database.writing() as connection:
            for statement in sql.DROP_LOGS:
                connection.execute(statement, (file, size))


def _experiment(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of an experiment, which is made where it is new."""
    connection.execute(sql.ADD_EXPERIMENT, (name,))
    return int(connection.execute(sql.EXPERIMENT_ID, (name,)).fetchone()[0])


def _rebuild(path: str, *, certain: bool = False) -> list[str]:
    from pathlib import Path

    from memento.index.sqlite.recovery import rebuild

    return rebuild(Path(path), certain=certain)


def _check_header(folder: str, path: str) -> None:
    """Refuse a file of this name that is none of ours.

    Beside a store's folders it is not even looked at: to close it would drop all locks that SQLite has on it in this
    process.
    """
    if not os.path.isfile(path) or any(os.path.isdir(os.path.join(folder, name)) for name in FOLDERS):
        return
    with open(path, "rb") as file:
        header = file.read(len(_HEADER))
    if header not in (b"", _HEADER):
        raise NotAStore(path, "this file is no index of Memento.", "Choose another folder for the store.")


def _check(database: Database, *, may_make: bool) -> None:
    path = database.location
    with database.explaining():
        connection = database.connection()
        application, version = _marks(connection)
        if (application, version) == (0, 0) and not connection.execute(sql.TABLE_COUNT).fetchone()[0]:
            if not may_make:
                raise NotAStore(path, "the index is empty.", "Check the path, or run an experiment first.")
            _make_tables(database)
            return
    if application != sql.APPLICATION_ID:
        raise NotAStore(
            path, "this SQLite file belongs to another program.", "Choose another folder for the store."
        )
    if version > sql.VERSION:
        raise StoreTooNew(
            path,
            f"a later release of Memento wrote it (format {version}, this one knows {sql.VERSION}).",
            "Install the latest release: pip install -U memento-ml.",
        )
    try:
        with database.explaining():
            altered = schema_faults(connection) if version == sql.VERSION else []
            connection.execute(sql.PAGES_LOOK_RIGHT).fetchone()
            counter = connection.execute(sql.COUNTER_LOOKS_RIGHT).fetchone()
    except sqlite3.OperationalError as error:  # a table is missing: no SQLite fault, but not what we wrote
        raise StoreDamaged(path, f"the index is damaged ({error}).", "Run again: it is rebuilt.") from error
    if altered or counter != (1,):
        what = altered[0] if altered else "its counter"
        raise StoreDamaged(path, f"the index is damaged ({what}).", "Run again: it is rebuilt.")


def _make_tables(database: Database) -> None:
    with database.writing() as connection:
        if _marks(connection) == (sql.APPLICATION_ID, sql.VERSION):
            return  # another process was first
        make_tables(connection)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    return (
        connection.execute("PRAGMA application_id").fetchone()[0],
        connection.execute("PRAGMA user_version").fetchone()[0],
    )
