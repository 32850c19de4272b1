"""Check a whole store, and mend what can be mended: `memento verify`.

Knows: the store's folders, what may be wrong in each (`checks`). May not know: who is told.

Nothing is unpickled: a store may come from a stranger. It may be checked while runs work on it. So what looks wrong is
looked at again before it is told, half-written files and checkpoints of living runs are left alone, and what is mended
is mended under the writer's lock, after a third look.

    index        SQLite's own check, the schema, texts, the counter    -> rebuilt from what can be read
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
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import StoreDamaged
from memento.layout import FOLDERS, INDEX, PAYLOADS
from memento.store import checks
from memento.store.database import Database
from memento.store.liveness import Liveness, running
from memento.store.location import find_store
from memento.store.problems import Problem, Report, payload_fault
from memento.store.salvage import rebuild
from memento.store.store import Store
from memento.store.verify_files import Files
from memento.store.verify_rows import Rows
from memento.values.payloads import PayloadDir


def verify(
    path: str | os.PathLike[str] | None = None, *, repair: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Report:
    """Check everything that a store keeps; unpickles nothing, and may be called while runs go on.

    Parameters
    ----------
    path : path, optional
        The store's folder; by default the project's.
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
    report = Report(find_store(path))
    readable = _verify_index(report, repair, clock)
    if not readable:
        _verify_files_alone(report)
        return report
    with Store.open(report.path, create=False, readonly=not repair, clock=clock) as store:
        report.notes += store.notes
        for finding in [*Rows(store, report).look(), *Files(store, report).look()]:
            if finding.still():
                done = repair and finding.mend()
                report.problems.append(replace(finding.problem, repaired=done))
    return report


def _verify_index(report: Report, repair: bool, clock: Clock) -> bool:
    """Check the index; return whether rows can be read, or could be made so."""
    root, index = report.path, report.path / INDEX
    gone = not index.exists() and any((root / name).is_dir() for name in FOLDERS)
    try:
        if gone:
            faults = ["it is gone"]
        else:
            with Store.open(root, create=False, readonly=True, clock=clock) as store:
                faults = checks.index_faults(store._database.connection())
    except StoreDamaged as error:
        faults = [error.problem]
    if not faults:
        return True
    problem = Problem(
        "index",
        INDEX,
        "; ".join(faults[:3]) + ("; ..." if len(faults) > 3 else ""),
        "a new one is made; all tasks count as not computed"
        if gone
        else "it is rebuilt from what can be read, and the damaged one kept",
    )
    if repair and not gone and _is_busy(index, clock):
        report.notes.append("A run is at work on the damaged index: end it, then repair.")
    elif repair:
        if gone:
            Store.open(root, clock=clock).close()
        else:
            report.notes += rebuild(index, certain=True)
        problem = replace(problem, repaired=True)
    report.problems.append(problem)
    return problem.repaired


def _is_busy(index: Path, clock: Clock) -> bool:
    """Tell whether a run is at work on a damaged index, as far as that can be read."""
    with suppress(Exception), closing(Database(index, readonly=True)) as database:
        return bool(running(database.connection(), Liveness(clock)))
    return False


def _verify_files_alone(report: Report) -> None:
    """Check what needs no index: the files of values."""
    payloads = PayloadDir(report.path / PAYLOADS)
    for ref in payloads.refs():
        what = payload_fault(payloads, ref, report)
        if what:
            report.problems.append(Problem("value", f"{PAYLOADS}/{ref}", what, "repaired when the index is"))
