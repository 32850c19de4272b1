"""Look at the rows of tasks, and at the values that they name.

Knows: what may be wrong with a row (`checks`), files of values. May not know: any other file of the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from memento.errors import PayloadDamaged
from memento.layout import ARTIFACTS, INDEX, PAYLOADS
from memento.records import TaskRecord
from memento.store import checks, sql
from memento.store.problems import Finding, Look, Problem, Report, payload_fault
from memento.store.run import drop_tasks
from memento.store.store import Store
from memento.values.framing import definitions_named_by

_BULK = 8_192  # rows read at once
_AGAIN = "the task will be computed again"


class Rows(Look):
    """Looks at rows and values; what rows name is known once they have been looked at."""

    def __init__(self, store: Store, report: Report) -> None:
        super().__init__(store, report)
        self._named: dict[str, list[int]] = {}  # payload -> the rows that name it
        self._needed: dict[str, int] = {}  # payload of definitions -> how many values need it
        self._lines: set[str] = set()  # keys of tasks that others were computed from

    def look(self) -> Iterator[Finding]:
        """Yield all that looks wrong."""
        yield from self._rows()
        yield from self._values()
        self._note_definitions()
        self._note_upstream()

    # --- rows ------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Finding]:
        experiments = dict(self.all(sql.EXPERIMENT_NAMES))
        first, last = self.all(sql.ID_RANGE)[0]
        told = set()
        for number in range(first, last + 1, _BULK):
            part = (number, number + _BULK - 1)
            with self.database.explaining():
                metrics = self.database.connection().execute(sql.METRICS_IN_ID_RANGE, part)
                wrong = checks.wrong_metrics(metrics)  # one task's at a time: they may be large
            for row in self.all(sql.TASKS_IN_ID_RANGE, part):
                self.report.tasks += 1
                fault, kind = checks.row_fault(row, experiments), "row"
                if fault is None and row[0] in wrong:
                    fault, kind = "its metrics in the index are not what was written", "metric"
                if fault is None:
                    fault, kind = self._artifact_fault(row), "artifact"
                if fault is not None:
                    told.add(row[0])
                    yield self._row(kind, row, fault, experiments)
                    continue
                if row[18] is not None:
                    self._named.setdefault(row[18], []).append(row[0])
                elif row[15] == "pickle":
                    self._need(definitions_named_by(memoryview(row[19])))
                if '"task ' in row[3]:
                    self._lines.update(checks.UPSTREAM.findall(row[3]))
        for (number,) in self.all(sql.TWO_ROWS):
            if number in told:
                continue
            row = self.all(sql.TASKS_IN_ID_RANGE, (number, number))[0]
            yield self._row(
                "row", row, "it has two rows in the index", experiments, "the older one is removed"
            )
        if self.all(sql.ORPHANS)[0][0]:
            problem = Problem("row", INDEX, "values and metrics of no task are in it", "they are removed")
            yield Finding(problem, lambda: bool(self.all(sql.ORPHANS)[0][0]), self._drop_orphans)

    def _artifact_fault(self, row: tuple[Any, ...]) -> str | None:
        if row[23] is None or not isinstance(row[1], bytes):
            return None
        folder = self.root / ARTIFACTS / row[1].hex()
        with suppress(ValueError, TypeError):
            gone = [name for name in json.loads(str(row[23])) if not (folder / str(name)).exists()]
            return f"its artifact {gone[0]!r} is gone" if gone else None
        return None

    def _row(
        self,
        kind: str,
        row: tuple[Any, ...],
        fault: str,
        experiments: dict[int, str],
        remedy: str = _AGAIN,
    ) -> Finding:
        number, key, experiment, params = row[:4]
        assert isinstance(number, int)
        name = experiments.get(experiment, "") if isinstance(experiment, int) else ""
        shown = key.hex() if isinstance(key, bytes) else str(key)
        problem = Problem(kind, INDEX, fault, remedy, shown, name, str(params))
        return Finding(problem, lambda: self._has_row(number), lambda: self._drop_row(number))

    def _has_row(self, number: int) -> bool:
        return bool(self.all(sql.HAS_TASK, (number,)))

    def _drop_row(self, number: int) -> bool:
        with self.database.writing() as connection:
            drop_tasks(connection, [number], keep_attempts=False)
        return True

    def _drop_orphans(self) -> bool:
        with self.database.writing() as connection:
            for statement in sql.DROP_ORPHANS:
                connection.execute(statement)
        return True

    # --- values ----------------------------------------------------------------------------------------

    def _values(self) -> Iterator[Finding]:
        payloads = self.store.payloads
        there = set(payloads.refs())
        for ref in sorted(there | self._named.keys()):
            unreadable = self.unreadable(payloads.root / ref)
            if unreadable is not None:
                yield unreadable
                continue
            fault = payload_fault(payloads, ref, self.report)
            if fault:
                owners = list(self.store.records(self._named.get(ref, ())))
                yield from (self._value(record, ref, fault) for record in owners)
                if not owners and ref in there:
                    yield self._file(ref, fault)
            elif ref.endswith(".pickle") and ref in self._named:
                needed = definitions_named_by(payloads.read(ref, map_file=True, verify=False))
                self._need(needed, len(self._named[ref]))

    def _value(self, record: TaskRecord, ref: str, fault: str) -> Finding:
        def still() -> bool:
            named = bool(self.all(sql.ROW_NAMES_PAYLOAD, (record.id, ref)))
            return named and bool(payload_fault(self.store.payloads, ref))

        def mend() -> bool:
            self.store.discard(record, f"memento verify: {fault}")
            return True

        problem = Problem(
            "value",
            f"{PAYLOADS}/{ref}",
            fault,
            f"the file is set aside, and {_AGAIN}",
            record.key.hex(),
            record.experiment,
            record.params,
        )
        return Finding(problem, still, mend)

    def _file(self, ref: str, fault: str) -> Finding:
        """A damaged file that no task has as its value: definitions, or garbage."""

        def still() -> bool:
            return bool(payload_fault(self.store.payloads, ref)) and self.store.payloads.path(ref).exists()

        def mend() -> bool:
            self.store.payloads.set_aside(ref, f"memento verify: {fault}\n")
            return True

        kind = "definitions" if ref.startswith("classes/") else "value"
        return Finding(Problem(kind, f"{PAYLOADS}/{ref}", fault, "it is set aside"), still, mend)

    def _need(self, ref: str | None, times: int = 1) -> None:
        if ref is not None:
            self._needed[ref] = self._needed.get(ref, 0) + times

    # --- notes -----------------------------------------------------------------------------------------

    def _note_definitions(self) -> None:
        for ref, count in self._needed.items():
            gone = True
            with suppress(PayloadDamaged):
                gone = not self.store.payloads.path(ref).exists()
            if gone:
                self.report.notes.append(
                    f"The definitions of classes that {count} values need ({PAYLOADS}/{ref}) are gone: these values can"
                    " be read where their script runs, and not elsewhere."
                )

    def _note_upstream(self) -> None:
        if self._lines:
            self._lines -= {key.hex() for (key,) in self.all(sql.KEYS) if isinstance(key, bytes)}
        if self._lines:
            self.report.notes.append(
                f"Results of {len(self._lines)} tasks, from which others were computed, are not in the store any"
                " more: when their matrices run, they are computed, and then what depends on them."
            )
