"""An index of tables: begin runs, change rows, keep it in order.

Knows: the tables. May not know: which database keeps them, values, the store's other files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memento.index.tables.reader import Reader
from memento.index.types import Checked, Command, Living, Names, Renamed, SetBack

if TYPE_CHECKING:
    from memento.index.declared_values import Declared
    from memento.index.run_contract import Run
    from memento.index.tables.base import Connection
    from memento.index.tables.writer import TableRun
    from memento.records import CodeVersion, RunInfo, TaskRecord


class TableIndex(Reader):
    """The half of the index that writes; one for a database adds how it is opened, and answers questions in SQL."""

    @property
    def run_class(self) -> type[TableRun]:
        """What writes a run's results."""
        from memento.index.tables.writer import TableRun

        return TableRun

    # --- writing ---------------------------------------------------------------------------------------

    def begin(
        self, info: RunInfo, cached: int = 0, committed: Callable[[Collection[bytes]], None] | None = None
    ) -> Run:
        from memento import faultpoints
        from memento.index.lease import run_name
        from memento.index.tables import rows
        from memento.index.tables.write_values import drop_leases

        now = self.clock.now()
        dead = [owner.run for owner in self._owners() if self.leases.is_dead(owner)]
        # The first result that waits for the disk takes along what came before it; until then power takes nothing.
        with self.database.writing(durable=False) as connection:
            drop_leases(connection, dead)
            experiment = _experiment(connection, info.experiment)
            number = connection.execute(self.sql.NEXT_RUN).fetchone()[0]
            name = run_name(now, info.pid, number)
            connection.execute(
                self.sql.ADD_RUN, (number, *rows.run_values(info, name, experiment, now, cached))
            )
            last = connection.execute(self.sql.LAST_TASK).fetchone()[0]
            last_command = connection.execute(self.sql.LAST_COMMAND).fetchone()[0]
        faultpoints.at("run.begun")
        # What others committed since this index was last scanned is news to the plan that came of the scan.
        seen = self._scanned.get(info.experiment, last)
        row = (number, name, experiment, info.experiment)
        return self.run_class(self.database, self.clock, row, seen, last_command, self.leases, committed)

    def note_codes(
        self,
        experiment: str,
        fresh: Iterable[CodeVersion],
        current: Iterable[bytes],
        stale: Iterable[tuple[int, bytes]],
        run: int | None,
    ) -> None:
        from memento.index.tables.write_values import add_code
        from memento.index.versions import presents

        with self.database.writing(durable=False) as connection:  # as the run itself: results come later
            for version in fresh:
                add_code(connection, version, self.clock.now(), run)
            ids = {digest: number for number, digest in connection.execute(self.sql.CODE_DIGESTS)}
            wanted = presents(ids, current, stale)
            place = _experiment(connection, experiment)
            noted: dict[int, set[int]] = {}
            for code, present in connection.execute(self.sql.CHANGES, (place,)):
                noted.setdefault(code, set()).add(present)
            for code, now in wanted.items():
                if noted.get(code) != now:
                    connection.execute(self.sql.DROP_CHANGES, (place, code))
                    changes = [(place, code, present) for present in sorted(now)]
                    connection.executemany(self.sql.ADD_CHANGE, changes)

    def relabel(self, experiment: str, axes: Sequence[Declared]) -> None:
        from memento.index.declared_values import joined
        from memento.index.tables.write_values import declare

        number = self._experiment(experiment)
        rows = self.database.all(self.sql.AXES, (number,))
        # Looked at first: a store that cannot be written may be read.
        if number is not None and joined(rows, axes)[1] != rows:
            with self.database.writing(durable=False) as connection:
                declare(connection, number, axes)

    def adopt(
        self, experiment: str, changes: Iterable[tuple[int, int]], who: str, verified: int, results: int
    ) -> None:
        number, now = self._experiment(experiment), self.clock.now()
        rows = [(number, *change, now, who, verified, results) for change in changes]
        with self.database.writing() as connection:
            connection.executemany(self.sql.ADD_ADOPTION, rows)

    def forget(self, keys: Iterable[bytes]) -> int:
        from memento.index.tables.write_values import drop_tasks

        wanted = set(keys)
        with self.database.writing() as connection:
            doomed = [number for key, number in connection.execute(self.sql.KEYS_AND_IDS) if key in wanted]
            drop_tasks(connection, doomed, keep_attempts=False)
            connection.executemany(self.sql.DROP_ATTEMPTS, [(key,) for key in wanted])
        return len(doomed)

    def retry(self, keys: Collection[bytes] | None, experiment: str | None) -> list[TaskRecord]:
        from memento.index.tables.write_values import drop_tasks

        wanted = None if keys is None else set(keys)
        with self.database.writing() as connection:
            found = connection.execute(self.sql.FAILED_TASKS, {"experiment": experiment}).fetchall()
            ids = [number for number, key in found if wanted is None or key in wanted]
            retried = list(self.records(ids))
            drop_tasks(connection, ids, keep_attempts=True)
        return retried

    def set_back(self, experiment: str | None = None) -> list[SetBack]:
        found = self.database.all(self.sql.SET_BACK, {"experiment": experiment})
        alive = {owner.run for owner in self.living().runs} if found else set()
        return [SetBack(*row[:4]) for row in found if row[2] not in alive]

    def discard(self, ids: Iterable[int], *, unless_living: bool = False) -> list[int]:
        from memento.index.tables.write_values import drop_tasks

        with self.database.writing() as connection:
            if unless_living and self.living().runs:
                return []
            there = [number for number in ids if connection.execute(self.sql.HAS_TASK, (number,)).fetchone()]
            drop_tasks(connection, there, keep_attempts=False)
        return there

    def rename(self, old: str, new: str, folders: Container[bytes]) -> Renamed:
        from memento.index.tables.renaming import rename

        with self.database.writing() as connection:
            return rename(connection, self.leases, old, new, folders)

    def moves(self) -> list[tuple[bytes, bytes]]:
        return self.database.all(self.sql.MOVES)

    def moved(self, keys: Iterable[bytes]) -> None:
        with self.database.writing() as connection:
            connection.executemany(self.sql.DROP_MOVE, [(key,) for key in keys])

    def send(self, command: Command) -> int:
        from memento.index.tables import rows

        with self.database.writing() as connection:
            values = rows.cleaned(
                (*command[:3], json.dumps(dict(command.arguments)), command.sender, self.clock.now())
            )
            return connection.add(self.sql.SEND, values)

    def ids_of_run(self, run: int) -> list[int]:
        return [number for (number,) in self.database.all(self.sql.IDS_OF_RUN, (run,))]

    # --- maintenance -----------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[Living]:
        with self.database.writing(durable=False):
            yield self.living()

    def has(self, number: int) -> bool:
        return bool(self.database.all(self.sql.HAS_TASK, (number,)))

    def names(
        self, keys: Container[bytes], files: Container[str], after: int = 0, without: Container[int] = ()
    ) -> Names:
        from memento.index.tables.rows import step_keys

        refs: set[str] = set()
        done: dict[bytes, int] = {}
        known: set[bytes] = set()
        steps = Counter[bytes]()
        with self.database.snapshot() as connection:
            last = int(connection.execute(self.sql.LAST_TASK).fetchone()[0])
            for number, key, is_done, ref, log, used in connection.execute(self.sql.NAMES_OF_TASKS, (after,)):
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
                refs.update(log for (log,) in connection.execute(self.sql.LOGS_OF_ATTEMPTS) if log in files)
        return Names(last, refs, done, known, steps)

    def check(self) -> Iterator[Checked]:
        from memento.index.tables.row_checks import check_rows

        return check_rows(self.database)

    def strays(self, *, remove: bool = False) -> int:
        found = sum(int(self.database.all(statement)[0][0]) for statement in self.sql.ORPHANS)
        if found and remove:
            with self.database.writing() as connection:
                for statement in self.sql.DROP_ORPHANS:
                    connection.execute(statement)
        return found

    def log_ends(self) -> dict[str, int]:
        return {file: end for file, end in self.database.all(self.sql.LOG_ENDS) if isinstance(end, int)}

    def forget_log(self, file: str, size: int) -> None:
        with self.database.writing() as connection:
            for statement in self.sql.DROP_LOGS:
                connection.execute(statement, (file, size))


def _experiment(connection: Connection, name: str) -> int:
    """Return the number of an experiment, which is made where it is new."""
    connection.execute(connection.sql.ADD_EXPERIMENT, (name,))
    return int(connection.execute(connection.sql.EXPERIMENT_ID, (name,)).fetchone()[0])
