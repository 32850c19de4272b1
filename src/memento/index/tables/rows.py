"""Turn rows of the index into records and records into rows; the one decoder and encoder of each.

Knows: the records and the order of columns in `sql`. May not know: connections, files, processes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat as each
from typing import Any

from memento.index.attempts import pieces_of, whole
from memento.index.lease import KEY
from memento.index.tables import checksums
from memento.index.types import Activity, Command, Event, Standing
from memento.records import (
    DAMAGED,
    DONE,
    RAISED,
    Attempt,
    CodeVersion,
    Encoded,
    Failure,
    LogSlice,
    RunInfo,
    RunRecord,
    Series,
    TaskRecord,
    TaskRow,
    Warned,
)

_NO_LOG = (None, None, None)


def task_values(row: TaskRow, number: int, experiment: int, run: int, tiny: int) -> tuple[Any, ...]:
    """Return the columns of `sql.ADD_TASK`; a value of more bytes than `tiny` does not stand in its row."""
    key, params, repeat, code, outcome = row
    pieces = None
    if outcome.earlier:
        outcome, shares = whole(outcome, run)
        pieces = json.dumps(shares)
    value, failure, series = outcome.value, outcome.failure, len(outcome.metrics)
    kind, data, ref, size, type_name, shown = value if value is not None else (None,) * 6
    why = None if failure is None else failure_text(failure)
    status, started, runtime = outcome.status, outcome.started, outcome.runtime
    cpu_time, memory, virtual = outcome.cpu_time, outcome.memory, outcome.virtual
    facts = checksums.facts_sum(
        status == DONE, started, runtime, cpu_time, memory, why, experiment, repeat, virtual, series
    )
    own = data if data is not None and len(data) <= tiny else None
    artifacts = json.dumps(outcome.artifacts) if outcome.artifacts else None
    return (
        number, key, status, code, runtime, experiment, run, repeat, outcome.attempt, started, cpu_time, memory,
        virtual, outcome.worker, params, kind, type_name, size, own, checksums.row_sum(key, params, value), series,
        facts, ref, *(outcome.log or _NO_LOG), artifacts, why, failure and failure.exception, outcome.warnings, pieces,
        b"".join(outcome.steps) if outcome.steps else None,
        shown,
    )  # fmt: skip


def plain_values(
    rows: Sequence[TaskRow], first: int, experiment: int, run: int, tiny: int
) -> list[tuple[Any, ...]] | None:
    """Return the columns of `sql.ADD_PLAIN_TASK` for all rows, the first of this number; None where one has more."""
    keys, params, repeats, codes, outcomes = zip(*rows, strict=True)
    (
        _, status, attempt, started, runtime, cpu_time, memory, virtual, worker, values, metrics, artifacts, logs,
        failures, warnings, earlier, _, steps,
    ) = zip(*outcomes, strict=True)  # fmt: skip
    if any(map(any, (metrics, artifacts, logs, failures, warnings, earlier, steps))) or None in values:
        return None
    formats, data, _, sizes, types, shown = zip(*values, strict=True)
    if None in data or any(shown) or any(map(tiny.__lt__, map(len, data))):
        return None
    row_sums = checksums.row_sums(keys, params, formats, types, data)
    facts_sums = checksums.facts_sums(started, runtime, cpu_time, memory, experiment, repeats, virtual)
    columns: tuple[Iterable[Any], ...] = (
        range(first, first + len(rows)), keys, status, codes, runtime, each(experiment), each(run), repeats, attempt,
        started, cpu_time, memory, virtual, worker, params, formats, types, sizes, data, row_sums, each(0), facts_sums,
    )  # fmt: skip
    return list(zip(*columns))  # noqa: B905 - what is the same in all rows has no end


def metric_values(task: int, series: Series) -> tuple[Any, ...]:
    """Return the columns of `sql.ADD_METRIC`."""
    data_sum = zlib.crc32(series.data)
    if "\0" in series.name:
        series = series._replace(name=series.name.replace("\0", "\\x00"))
    return (task, *series, data_sum, checksums.curve_sum(task, *series[:5], data_sum))


def metrics_are_as_written(rows: Iterable[tuple[Any, ...]], expected: int) -> bool:
    """Tell whether the metrics of one task (rows of `sql.METRIC_LASTS`, or with data) are what was written, and all."""
    found = 0
    try:
        for task, _, name, count, last, minimum, maximum, data_sum, checksum, *data in rows:
            if checksums.curve_sum(task, name, count, last, minimum, maximum, data_sum) != checksum:
                return False
            if data and zlib.crc32(data[0]) != data_sum:
                return False
            found += 1
    except (TypeError, AttributeError, struct.error, OverflowError):  # a column that changed even its type
        return False
    return found == expected


def attempt_values(row: TaskRow, experiment: int, run: int) -> tuple[Any, ...]:
    """Return the columns of `sql.ADD_ATTEMPT`."""
    outcome, failure, pieces = row.outcome, row.outcome.failure, None
    if outcome.earlier:
        outcome, shares = whole(outcome, run)
        pieces = json.dumps(shares)
    why = None if failure is None else failure_text(failure)
    return (
        row.key, experiment, run, outcome.attempt, outcome.status, outcome.started, outcome.runtime, outcome.cpu_time,
        outcome.memory, outcome.worker, *(outcome.log or _NO_LOG), why, failure and failure.exception, pieces,
    )  # fmt: skip


def task_record(
    row: tuple[Any, ...], experiments: Mapping[int, str], settings: Mapping[int, str]
) -> TaskRecord:
    """Build a record from the columns of `sql.TASKS`."""
    value = None if row[15] is None else Encoded(row[15], row[19], row[18], row[17], row[16], row[32])
    status, failure = row[6], row[24]
    facts = (row[0], status == DONE, *row[9:13], failure, row[2], row[5], row[13], row[27], row[28])
    if not is_as_written(row[1], row[3], value, row[26]) or not facts_are_as_written((facts,)):
        # What it came to is not known: reading its value says so.
        value, status, failure = Encoded(DAMAGED, None, None, 0, ""), DONE, None
    why = None if failure is None else read_failure(failure, row[25])
    return TaskRecord(
        id=row[0],
        key=row[1],
        experiment=experiments[row[2]],
        params=row[3],
        settings=settings[row[4]],
        run=row[4],
        repeat=row[5],
        status=status,
        code=row[7],
        attempt=row[8],
        started=row[9],
        runtime=row[10],
        cpu_time=row[11],
        memory=row[12],
        virtual=row[13],
        worker=row[14],
        value=value,
        log=None if row[20] is None else LogSlice(row[20], row[21], row[22]),
        artifacts=() if row[23] is None else tuple(_parsed(row[23], [])),
        failure=why,
        warnings=() if row[29] is None else warnings_of(row[29]),
        pieces=() if row[30] is None else pieces_of(_parsed(row[30], []), status, why),
        steps=() if row[31] is None else step_keys(row[31]),
    )


def step_keys(joined: object) -> tuple[bytes, ...]:
    """Build the keys of the steps that a task used; none of a column that changed even its type."""
    if not isinstance(joined, bytes):
        return ()
    return tuple(joined[at : at + KEY] for at in range(0, len(joined), KEY))


def warnings_of(text: str) -> tuple[Warned, ...]:
    """Build what a task warned of from its JSON."""
    try:
        return tuple(Warned._make(entry) for entry in _parsed(text, []))
    except TypeError:  # damaged, as `_parsed` has it
        return ()


def is_as_written(key: bytes, params: str, value: tuple[Any, ...] | None, checksum: object) -> bool:
    """Tell whether a row still has the checksum that it was written with."""
    try:
        return checksums.row_sum(key, params, value) == checksum
    except (TypeError, AttributeError):  # a column that changed even its type
        return False


def facts_are_as_written(rows: Iterable[tuple[Any, ...]]) -> bool:
    """Tell whether rows still have the facts that they were written with.

    Each begins like one of `sql.OUTLINES`: an id, the columns of `facts_sum`, and the checksum.
    """
    try:
        wrong = [row[0] for row in rows if checksums.facts_sum(*row[1:11]) != row[11]]
    except (TypeError, AttributeError, struct.error, OverflowError):
        return False
    return not wrong


def attempt_records(row: tuple[Any, ...]) -> tuple[Attempt, ...]:
    """Build records from the columns of `sql.ATTEMPTS`: of an attempt, and of those from which it went on."""
    failure = None if row[11] is None else read_failure(row[11], row[12])
    pieces = () if row[13] is None else pieces_of(_parsed(row[13], []), row[1], failure)
    if pieces:
        return pieces
    log = None if row[8] is None else LogSlice(*row[8:11])
    return (Attempt._make((*row[:8], failure, log, None)),)


def run_values(info: RunInfo, name: str, experiment: int, now: float, cached: int) -> tuple[Any, ...]:
    """Return the columns of `sql.ADD_RUN`."""
    counts = json.dumps({"cached": cached})
    provenance = json.dumps(info.provenance, default=str)
    values = (
        name, experiment, now, now, info.tasks, counts, info.matrix_id, info.settings, info.host, info.pid,
        info.process_started, info.boot_id, json.dumps(info.argv), provenance,
    )  # fmt: skip
    return cleaned(values)


def cleaned(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return columns whose texts are Unicode without zeros: what no database takes is shown escaped."""
    return tuple(
        value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        if isinstance(value, str)
        else value
        for value in values
    )


def run_record(row: tuple[Any, ...]) -> RunRecord:
    """Build a record from the columns of `sql.RUNS`; its status is "" while it holds a lease."""
    number, _, experiment, outcome, started, heartbeat, ended, tasks, counts, matrix_id, settings = row[:11]
    host, pid, process_started, boot_id, argv, provenance = row[11:17]
    who = (host, pid, process_started, boot_id)
    info = RunInfo(
        experiment, tasks, settings, matrix_id, *who, tuple(_parsed(argv, [])), _parsed(provenance, {})
    )
    status = outcome or ("died" if ended is not None else "")
    return RunRecord(number, info, started, heartbeat, ended, status, _parsed(counts, {}))


def code_values(code: CodeVersion, parts: Sequence[int], run: int | None, now: float) -> tuple[Any, ...]:
    """Return the columns of `sql.ADD_CODE`."""
    functions = json.dumps({} if parts else code.functions)
    unfollowed = json.dumps(() if parts else code.unfollowed)
    return (code.digest, functions, json.dumps(parts), int(code.mixed), unfollowed, run, now)


def code_version(row: tuple[Any, ...]) -> tuple[CodeVersion, list[int]]:
    """Build a code version, and the ids of its parts, from the columns of `sql.CODES`."""
    _, digest, functions, parts, mixed, unfollowed = row
    loaded = _parsed(functions, {})
    readable = {name: (entry[0], entry[1]) for name, entry in loaded.items()}
    version = CodeVersion(digest, readable, tuple(_parsed(unfollowed, [])), mixed=bool(mixed))
    return version, _parsed(parts, [])


def read_command(row: tuple[Any, ...]) -> Command:
    """Build a command from the columns of `sql.COMMANDS`."""
    kind, run, experiment, arguments, sender, sent, number = row
    return Command(kind, run, experiment, _parsed(arguments, {}), sender, sent, number)


def activity_text(activities: Sequence[Activity], standing: Standing | None) -> str:
    """Return what workers are at, and how far their run is, as JSON."""
    workers = [
        [a.worker, a.key.hex(), a.since, a.done, a.total, dict(a.metrics), a.doing, a.config]
        for a in activities
    ]
    return json.dumps({"workers": workers, "standing": standing})


def read_activity(text: str) -> tuple[list[Activity], Standing | None]:
    """Build from its JSON what workers are at, and how far their run is."""
    told = _parsed(text, {})
    try:
        workers = [Activity(worker, bytes.fromhex(key), *more) for worker, key, *more in told["workers"]]
        return workers, None if told["standing"] is None else Standing(*told["standing"])
    except (ValueError, TypeError, KeyError):
        return [], None


def read_event(row: tuple[Any, ...]) -> Event:
    """Build an event from the columns of `sql.EVENTS`."""
    number, run, at, kind, data = row
    return Event(number, run, at, kind, _parsed(data, {}))


def failure_text(failure: Failure) -> str:
    """Return a failure as readable JSON, without its pickled exception."""
    fields = failure._asdict()
    del fields["exception"], fields["lineage"]
    for name in ("code", "path", "memory_limit", "next_limit"):
        if not fields[name]:
            del fields[name]
    return json.dumps(fields)


def read_failure(text: str, exception: bytes | None = None) -> Failure:
    """Build a failure from its JSON and its pickled exception."""
    try:
        return Failure(exception=exception, **json.loads(text))
    except (ValueError, TypeError):
        return Failure(
            RAISED, "Unreadable", "the index's record of this failure is damaged", "", "", None, ""
        )


def _parsed(text: str, empty: Any) -> Any:
    """Parse what only informs people; where it is damaged, it says nothing rather than stop a run."""
    try:
        loaded = json.loads(text)
    except (ValueError, TypeError):
        return empty
    return loaded if isinstance(loaded, type(empty)) else empty
