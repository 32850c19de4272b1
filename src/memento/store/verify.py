"""Check a whole store, and mend what can be mended: `memento verify`.

Knows: an index, values, what may be wrong with rows and values. May not know: who is told.

Nothing is unpickled: a store may come from a stranger. It may be checked while runs work on it. So what looks wrong is
looked at again before it is told, half-written files and checkpoints of living runs are left alone, and what is mended
is mended while nobody else writes, after a third look.

    index        its own check (`Index.faults`)                        -> rebuilt from what can be read
    rows         checksum, types, one a task                           -> the task counts as not computed
    values       digest of each file, files that rows name             -> set aside; the task counts as not computed
    checkpoints  both generations                                      -> set aside; the other one is used
    steps        records and their values                              -> set aside; computed again when needed
    files        half-written ones of dead runs; what is not ours      -> removed; set aside
    artifacts    whether they are there                                -> the task counts as not computed
    metrics      checksum of each                                      -> the task counts as not computed
    logs         whether they are there, to their end                  -> the task is kept without
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import NotAStore, PayloadDamaged, StoreDamaged
from memento.index.types import Checked
from memento.layout import DEFINITIONS, FOLDERS, INDEX, PAYLOADS, Layout, user_name
from memento.records import TaskRecord
from memento.store.far import check_owned, names_of
from memento.store.location import Location, StorePath, find_store
from memento.store.opening import kind_of
from memento.store.store import Store
from memento.store.upstream import tasks_named
from memento.store.verify_files import Files, Finding, Problem, Report, payload_fault, unreadable
from memento.values.codecs import parsed
from memento.values.payloads import PayloadDir
from memento.values.pickle_codec import definitions_named_by

_AGAIN = "the task will be computed again"


def verify(path: StorePath | None = None, *, repair: bool = False, clock: Clock = SYSTEM_CLOCK) -> Report:
    """Check everything that a store keeps; unpickles nothing, and may be called while runs go on.

    Parameters
    ----------
    path : path or address, optional
        The store's folder, or the address of its index; by default the project's.
    repair : bool, default=False
        Mend what can be mended. What is damaged is set aside, never deleted; its tasks count as not computed, and the
        next run computes them.
    clock : Clock
        Where time comes from.

    Returns
    -------
    Report
        What is wrong, with which task, and what was done about it.

    Raises
    ------
    NotAStore
        There is no store.
    StoreTooNew
        A later release wrote it.

    Examples
    --------
    >>> import memento, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> experiment = memento.Memento(lambda context, config: 1.5, executor="serial", name="e", store=folder)
    >>> results = experiment.run({"parameters": {"x": [1, 2]}})
    >>> report = memento.verify(folder)
    >>> report.whole, report.tasks
    (True, 2)
    """
    location = find_store(path)
    report = Report(Path(location.root), str(location))
    if not _verify_index(location, report, repair, clock):
        payloads = PayloadDir(report.path / PAYLOADS)
        for ref in payloads.refs():  # what needs no index
            what = payload_fault(payloads, ref, report)
            if what:
                report.problems.append(
                    Problem("value", f"{PAYLOADS}/{ref}", what, "repaired when the index is")
                )
        return report
    with Store.open(location, create=False, readonly=not repair, clock=clock) as store:
        if store.missing:
            raise NotAStore(str(location), store.missing, "Verify it where they are seen.")
        if store.far is not None:
            check_owned(store.far)  # which also tells where its server is away
        report.path = store.path
        report.notes += store.notes
        for finding in [*_Rows(store, report).look(), *Files(store, report).look()]:
            if finding.still():
                done = repair and finding.mend() is not False
                report.problems.append(replace(finding.problem, repaired=done))
    return report


def _verify_index(location: Location, report: Report, repair: bool, clock: Clock) -> bool:
    """Check the index; return whether rows can be read, or could be made so."""
    kind, place = kind_of(location), location.address or location.root
    gone = (
        not location.address
        and not kind.exists(place)
        and any((report.path / name).is_dir() for name in FOLDERS)
    )
    try:
        if gone:
            faults = ["it is gone"]
        else:
            with Store.open(location, create=False, readonly=True, clock=clock) as store:
                faults = store.index.faults()
    except StoreDamaged as error:
        faults = [error.problem]
    if not faults:
        return True
    what = "; ".join(faults[:3]) + ("; ..." if len(faults) > 3 else "")
    remedy = "it is rebuilt from what can be read, and the damaged one kept"
    if gone:
        remedy = "a new one is made; all tasks count as not computed"
    repaired = False
    if repair and gone:
        Store.open(location, clock=clock).close()
        repaired = True
    elif repair:
        notes = kind.rebuild(place, clock)
        repaired = notes is not None
        report.notes += notes or ["A run is at work on the damaged index: end it, then repair."]
    report.problems.append(Problem("index", INDEX, what, remedy, repaired=repaired))
    return repaired


class _Rows:
    """Looks at rows and values; what rows name is known once they have been looked at."""

    def __init__(self, store: Store, report: Report) -> None:
        self._store, self._index, self._report = store, store.index, report
        self._named: dict[str, list[int]] = {}  # payload -> the rows that name it
        self._needed: dict[str, int] = {}  # payload of definitions -> how many values need it
        self._lines: set[str] = set()  # keys of tasks that others were computed from
        self._keys: set[str] = set()

    def look(self) -> Iterator[Finding]:
        """Yield all that looks wrong."""
        yield from self._rows()
        yield from self._values()
        self._note_definitions()
        self._note_upstream()

    # --- rows ------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Finding]:
        for row in self._index.check():
            self._report.tasks += 1
            self._keys.add(row.key)
            fault, kind = row.fault, row.kind
            if not fault and row.value is not None and parsed(row.value.format) is None:
                fault = "its row does not say where its value is"
            if not fault:
                fault, kind = self._artifact_fault(row), "artifact"
            if fault:
                yield self._row(row, fault, kind)
                continue
            if row.value is not None and row.value.ref is not None:
                self._named.setdefault(row.value.ref, []).append(row.id)
            elif row.value is not None and row.value.format == "pickle" and row.value.data is not None:
                self._need(definitions_named_by(memoryview(row.value.data)))
            if '"task ' in row.params:
                self._lines.update(tasks_named(row.params))
        if self._index.strays():
            problem = Problem("row", INDEX, "values and metrics of no task are in it", "they are removed")
            yield Finding(
                problem, lambda: bool(self._index.strays()), lambda: self._index.strays(remove=True)
            )

    def _artifact_fault(self, row: Checked) -> str:
        layout = Layout(str(self._store.path))
        with suppress(ValueError):
            for name in row.artifacts:
                path = layout.artifact(row.key, name)
                if not os.path.exists(path) and not self._is_far(os.path.relpath(path, layout.root)):
                    return f"its artifact {user_name(name)!r} is gone"
        return ""

    @cached_property
    def _far_files(self) -> list[str]:
        """Names in the object store, in order; none where there is none."""
        return [] if self._store.far is None else sorted(names_of(self._store.far))

    def _is_far(self, name: str) -> bool:
        """Tell whether there is such a name, or one below it."""
        at = bisect_left(self._far_files, name)
        return any(one == name or one.startswith(f"{name}/") for one in self._far_files[at : at + 1])

    def _row(self, row: Checked, fault: str, kind: str) -> Finding:
        remedy = _AGAIN
        if kind == "twice":
            kind, remedy = "row", "the older one is removed"
        problem = Problem(kind, INDEX, fault, remedy, row.key, row.experiment, row.params)
        return Finding(problem, lambda: self._index.has(row.id), lambda: self._index.discard([row.id]))

    # --- values ----------------------------------------------------------------------------------------

    def _values(self) -> Iterator[Finding]:
        payloads = self._store.payloads
        there = set(payloads.refs())
        for ref in sorted(there | self._named.keys()):
            closed = None if self._far_files else unreadable(self._store.path, payloads.root / ref)
            if closed is not None:
                yield closed
                continue
            fault = payload_fault(payloads, ref, self._report)
            if fault:
                owners = list(self._index.records(self._named.get(ref, ())))
                yield from (self._value(record, ref, fault) for record in owners)
                if not owners and ref in there:
                    yield self._file(ref, fault)
            elif ref.endswith(".pickle") and ref in self._named:
                needed = definitions_named_by(payloads.read(ref, mapped=True))
                self._need(needed, len(self._named[ref]))

    def _value(self, record: TaskRecord, ref: str, fault: str) -> Finding:
        remedy = f"the file is set aside, and {_AGAIN}"
        task = (record.key.hex(), record.experiment, record.params)
        return Finding(
            Problem("value", f"{PAYLOADS}/{ref}", fault, remedy, *task),
            lambda: self._index.has(record.id) and bool(payload_fault(self._store.payloads, ref)),
            lambda: self._store.discard(record, f"memento verify: {fault}", gone=True),
        )

    def _file(self, ref: str, fault: str) -> Finding:
        """A damaged file that no task has as its value: definitions, or garbage."""
        payloads = self._store.payloads
        kind = "definitions" if ref.startswith(f"{DEFINITIONS}/") else "value"
        problem = Problem(kind, f"{PAYLOADS}/{ref}", fault, "it is set aside")
        return Finding(
            problem,
            lambda: bool(payload_fault(payloads, ref)) and payloads.exists(ref),
            lambda: payloads.set_aside(ref, f"memento verify: {fault}\n"),
        )

    def _need(self, ref: str | None, times: int = 1) -> None:
        if ref is not None:
            self._needed[ref] = self._needed.get(ref, 0) + times

    # --- notes -----------------------------------------------------------------------------------------

    def _note_definitions(self) -> None:
        for ref, count in self._needed.items():
            gone = True
            with suppress(PayloadDamaged):
                gone = not self._store.payloads.exists(ref)
            if gone:
                self._report.notes.append(
                    f"The definitions of classes that {count} values need (payloads/{ref}) are gone: these values can"
                    " be read where their script runs, and not elsewhere."
                )

    def _note_upstream(self) -> None:
        gone = self._lines - self._keys
        if gone:
            self._report.notes.append(
                f"Results of {len(gone)} tasks, from which others were computed, are not in the store any"
                " more: when their matrices run, they are computed, and then what depends on them."
            )
