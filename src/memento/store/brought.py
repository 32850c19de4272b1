"""Turn what another store tells of an experiment into what a run of this one can write.

Knows: records of both, what runs and versions of the code are called in each. May not know: which rows are taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence

from memento.errors import PayloadDamaged
from memento.index.declared_values import Declared
from memento.index.types import Brought, Numbers
from memento.records import (
    DAMAGED,
    DONE,
    FAILED,
    Attempt,
    LogSlice,
    Outcome,
    Piece,
    Series,
    TaskRecord,
    TaskRow,
)
from memento.store.store import Store
from memento.values.places import checked

_LATEST = 1e11  # seconds since 1970: what is later than the year 5000 is no time


def row_of(store: Store, record: TaskRecord, numbers: Numbers, params: str) -> TaskRow:
    """Return a task as a run here would commit it; raises PayloadDamaged where it is not what was written."""
    if record.run not in numbers.runs:
        raise PayloadDamaged(str(store.location), f"run {record.run}, which computed it, is not known.", "")
    own = record.pieces[-1] if record.pieces else None
    part = own or record
    outcome = Outcome(
        0,
        record.status,
        record.attempt,
        *(part.started, part.runtime, part.cpu_time, part.memory),
        record.virtual,
        record.worker,
        record.value,
        _metrics(store, record),
        record.artifacts,
        log_of(record.log, numbers),
        record.failure,
        json.dumps(record.warnings) if record.warnings else None,
        tuple(_piece(piece, numbers) for piece in record.pieces[:-1]),
        None,
        record.steps or None,
    )
    return TaskRow(record.key, params, record.repeat, numbers.codes.get(record.code, 0), outcome)


def key_text(record: TaskRecord) -> str:
    """Return a task's key in hexadecimal, or whatever a stranger's row has in its place."""
    key: object = record.key
    return key.hex() if isinstance(key, bytes) else repr(key)


def wrong_in(record: TaskRecord) -> str:
    """Say what is wrong with a row, so that nobody could show it; "" where nothing is."""
    times = (record.started, record.runtime, record.cpu_time or 0.0)
    numbers = (record.attempt, record.repeat, *times)
    is_right = (
        len(key_text(record)) == 32
        and record.status in (DONE, FAILED)
        and all(isinstance(number, (int, float)) for number in numbers)
        and all(0.0 <= time < _LATEST for time in times)
        and (record.value is None or record.value.format != DAMAGED)
    )
    return "" if is_right else "its row in the index is not what was written"


def attempt_of(attempt: Attempt, row: TaskRow, numbers: Numbers) -> TaskRow:
    """Return an earlier attempt at a task as a row."""
    a = attempt
    facts = (0, a.status, a.number, a.started, a.runtime, a.cpu_time, a.memory, None, a.worker, None, (), ())
    return row._replace(outcome=Outcome(*facts, log_of(a.log, numbers), a.failure))


def log_of(log: LogSlice | None, numbers: Numbers) -> LogSlice | None:
    """Return where output stands here; nowhere where the other store's index leads out of its folder."""
    if log is None:
        return None
    try:
        run, _, name = checked(log.file).partition("/")
    except ValueError:
        return None
    return log._replace(file=f"{numbers.names.get(run, run)}/{name}")


def history_of(other: Store, experiment: str, computed: Collection[int]) -> Brought:
    """Return what a store tells of an experiment beside its rows, which the runs `computed` have written.

    Those may have another name: of an experiment that was renamed as far as it could be.
    """
    index = other.index
    names = index.names_of_runs()
    runs = [(names[run.id], run) for run in reversed(index.runs())]
    runs = [(name, run) for name, run in runs if run.info.experiment == experiment or run.id in computed]
    runs = [(name, run) for name, run in runs if isinstance(run.started, (int, float))]
    history = index.history(experiment)
    # All versions, since what counts as what leads from one to the next.
    codes, seen = index.codes(history.digests), index.codes_seen(history.digests)
    told = {number: (version, *seen[number]) for number, version in codes.items() if number in seen}
    changes = [change for change in history.changes if told.keys() >= set(change)]
    adoptions = [one for one in history.adoptions if one.code in told and one.present in told]
    return Brought(runs, told, changes, adoptions)


def words_of(axes: Sequence[Declared], here: Sequence[Sequence[str]]) -> Callable[[str], str]:
    """Return how parameters of a row (JSON) read where the values of `axes` are called so."""
    changed = {
        (axis.name, was): now
        for axis, fragments in zip(axes, here, strict=True)
        for was, now in zip(axis.fragments, fragments, strict=True)
        if was != now
    }

    def words(params: str) -> str:
        if not changed:
            return params
        read = json.loads(params)
        return json.dumps(
            {name: json.loads(changed.get((name, _dumped(v)), _dumped(v))) for name, v in read.items()},
            ensure_ascii=False,
        )

    return words


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _metrics(store: Store, record: TaskRecord) -> tuple[Series, ...]:
    found = []
    for name, (x, y) in store.index.metrics(record).items():
        known = y[y == y]
        low, high = (float(known.min()), float(known.max())) if len(known) else (float("nan"), float("nan"))
        data = x.astype("<f8").tobytes() + y.astype("<f8").tobytes()
        found.append(Series(name, len(y), float(y[-1]), low, high, data))
    return tuple(found)


def _piece(piece: Attempt, numbers: Numbers) -> Piece:
    run = f"-{numbers.runs.get(piece.run, 0):x}"  # as much of its name as is looked at
    facts = (piece.started, piece.runtime, piece.cpu_time, piece.memory, piece.worker)
    return Piece(run, piece.number, *facts, log_of(piece.log, numbers))
