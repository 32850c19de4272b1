"""`memento ls`, `show`: what a store holds, read while runs go on, without unpickling anything.

Knows: the store's read side. May not know: runs' inner workings; values beyond their open formats.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from memento.cli.exit_codes import UsageError
from memento.cli.parameters_of_tasks import Told, loaded, plain_text, that_fit, told_of
from memento.keys.code_files import COMMAND
from memento.records import INTERRUPTED, Attempt, TaskRecord
from memento.store.location import find_store
from memento.store.step_records import read_record, step_text
from memento.store.store import Store
from memento.values.describe import LargeValue
from memento.wording import duration, named, number_of, one_line, safe_text, size_text

_ROWS = 50  # tasks in a list for people
_PREVIEW = 60  # characters of a value in a list
_READ = 1 << 20  # bytes of a value's file that is read to show it alone


def open_store(path: Path | None) -> Store:
    """Open the store for reading only.

    Raises
    ------
    UsageError
        There is none at the place.
    """
    place = find_store(path)
    if not place.exists():
        raise UsageError(
            f"there is no store at {place} yet. Run an experiment first, or name one with --store."
        )
    return Store.open(place, create=False, trusted=False, readonly=True)


def find_key(store: Store, key: str) -> bytes:
    """Return the one key that begins with `key`, of a task that is finished or running now.

    Raises
    ------
    UsageError
        None or several do.
    """
    if not 3 <= len(key) <= 32 or not all(c in "0123456789abcdef" for c in key.lower()):
        raise UsageError(
            f"{key!r} is no key: give 3 to 32 of its hexadecimal digits, as `memento ls` prints them."
        )
    found = [record.key for record in store.index.find(key)]
    found += [now.key for now in store.working() if now.key.hex().startswith(key.lower())]
    keys = sorted(set(found))
    if not keys:
        raise UsageError(f"no task's key begins with {key!r}; `memento ls` lists them.")
    if len(keys) > 1:
        some = ", ".join(k.hex() for k in keys[:5]) + (", ..." if len(keys) > 5 else "")
        raise UsageError(f"{len(keys)} tasks' keys begin with {key!r} ({some}): give more digits.")
    return keys[0]


def find_task(store: Store, key: str) -> TaskRecord:
    """Return the one finished task whose key begins with `key`.

    Raises
    ------
    UsageError
        None or several do, or it has not finished yet.
    """
    found = store.index.find(find_key(store, key).hex())
    if not found:
        raise UsageError(f"task {key} is running; `memento logs -f {key}` shows what it prints.")
    return found[0]


def print_safe(text: str, end: str = "\n") -> None:
    """Print foreign text without what would steer the terminal; an open escape ends with its line."""
    sys.stdout.write("\n".join(safe_text(line) for line in text.split("\n")) + end)
    sys.stdout.flush()


def print_tasks(
    path: Path | None, experiment: str | None, *, failed: bool, limit: int | None, as_json: bool
) -> None:
    """Print tasks, the newest first."""
    if limit is None:
        limit = 0 if as_json else _ROWS
    with open_store(path) as store:
        wanted = None if experiment is None else one_experiment(experiment, store)
        records = store.index.recent(wanted, status="failed" if failed else None, limit=limit or None)
        told = told_of(store, records)
        if as_json:
            print_json([_as_dict(store, record, told[record.key]) for record in records])
            return
        rows = [
            (
                record.key.hex()[:12],
                record.status,
                duration(record.runtime),
                parameters,
                _value_text(store, record, _PREVIEW),
            )
            for record, parameters in zip(records, that_fit(records, told), strict=True)
        ]
    if not rows:
        print("no tasks")
        return
    _print_table(("key", "status", "time", "parameters", "value"), rows)
    if limit and len(rows) == limit:
        print(f"... only the newest {limit} are shown; --limit 0 shows all")


def print_task(path: Path | None, key: str, *, as_json: bool) -> None:
    """Print all that is known of one task."""
    with open_store(path) as store:
        record = find_task(store, key)
        attempts = store.index.attempts(record.key)
        told = told_of(store, [record])[record.key]
        run = command_of(store, record)
        if as_json:
            attempted = [_attempt_dict(a) for a in attempts]
            print_json(_as_dict(store, record, told, _READ) | {"command": run, "attempts": attempted})
            return
        print(f"key         {record.key.hex()}")
        print(f"experiment  {one_line(record.experiment)}")
        if run is not None:
            print(f"command     {one_line(run)}")
        for name, value in (told.own | told.upstream).items():
            of = f" ({one_line(plain_text(told.contents[name]), 400)})" if name in told.contents else ""
            print(f"  {one_line(name)} = {one_line(str(value) if of else plain_text(value), 400)}{of}")
        if record.repeat:
            print(f"  repeat = {record.repeat}")
        settings = loaded(record.settings)
        if settings:
            print(f"settings    {one_line(plain_text(settings), 400)}")
        print(f"status      {record.status}")
        if record.value is not None:
            print(f"value       {_value_text(store, record, 2_000, _READ)}")
        for name, (_, y) in store.index.metrics(record).items():
            print(f"metric      {one_line(name)}: {number_of(len(y), 'value')}, last {float(y[-1]):.6g}")
        for name in record.artifacts:
            print(f"artifact    {one_line(name)}")
        for step in record.steps:
            print(f"step        {_step_text(store, step)}")
        for warning in record.warnings:
            times = f" ({warning.count} times)" if warning.count > 1 else ""
            place = f" ({one_line(warning.place)})" if warning.place else ""
            print(f"warning     {one_line(f'{warning.category}: {warning.message}', 400)}{place}{times}")
        if len(record.pieces) > 1:
            pieces = f"{len(record.pieces)} attempts, each from the checkpoint before"
            print(f"time        {duration(record.runtime)} in {pieces}")
        for attempt in attempts:
            _print_attempt(attempt)


def command_of(store: Store, record: TaskRecord) -> str | None:
    """Return the command that a task ran, with its placeholders; None where it ran a function."""
    code = store.index.codes([record.code]).get(record.code)
    told = code.functions.get(COMMAND) if code is not None else None
    return told[1].partition(" = ")[2] if told is not None else None


def _step_text(store: Store, key: bytes) -> str:
    """Say what is known of a shared step."""
    record = read_record(store.root, key)
    if record is None:
        return f"{key.hex()}, which is not kept any more"
    took = f"computed in {duration(record.runtime)} by task {record.task.hex()[:12]}"
    return f"{one_line(step_text(record), 200)}: {size_text(record.value.size)}, {took}"


def _print_attempt(attempt: Attempt) -> None:
    memory = f", {size_text(attempt.memory)}" if attempt.memory else ""
    kept = ""
    if attempt.kept is not None and attempt.status != INTERRUPTED:
        kept = f" (the next went on from {duration(attempt.kept)})"
    took = f"{duration(attempt.runtime)}{kept}{memory}"
    print(
        f"attempt {attempt.number}   {attempt.status} in run {attempt.run} after {took},"
        f" {time_text(attempt.started)} on {one_line(attempt.worker)}"
    )
    failure = attempt.failure
    if failure is None:
        return
    print(f"  {one_line(f'{failure.type}: {failure.message}', 2_000)}")
    for title, text in (("traceback", failure.traceback), ("last output", failure.output)):
        if text.strip():
            print(f"  {title}")
            print_safe("\n".join(f"    {line}" for line in text.rstrip().split("\n")))


def _as_dict(store: Store, record: TaskRecord, told: Told, most: int = 0) -> dict[str, Any]:
    found, value = store.readable(record, most)
    failure = record.failure
    return {
        "key": record.key.hex(),
        "experiment": record.experiment,
        "parameters": told.own | told.upstream,
        "contents": told.contents,  # of values that have labels
        "settings": loaded(record.settings),
        "repeat": record.repeat,
        "status": record.status,
        "started": record.started,
        "runtime": record.runtime,
        "cpu_time": record.cpu_time,
        "memory": record.memory,
        "attempt": record.attempt,
        "value": value if found else None,
        "value_type": record.value.type if record.value else None,
        "value_description": loaded(record.value.shown) if record.value and record.value.shown else None,
        "error": f"{failure.type}: {failure.message}" if failure else None,
        "warnings": [warning._asdict() for warning in record.warnings],
        "steps": [step.hex() for step in record.steps],
    }


def _attempt_dict(attempt: Attempt) -> dict[str, Any]:
    failure = attempt.failure
    return {
        "number": attempt.number,
        "run": attempt.run,
        "status": attempt.status,
        "started": attempt.started,
        "runtime": attempt.runtime,
        "cpu_time": attempt.cpu_time,
        "kept": attempt.kept,
        "memory": attempt.memory,
        "worker": attempt.worker,
        "kind": failure.kind if failure else None,
        "error": f"{failure.type}: {failure.message}" if failure else None,
        "traceback": failure.traceback if failure else None,
        "output": failure.output if failure else None,
    }


def _value_text(store: Store, record: TaskRecord, limit: int, most: int = 0) -> str:
    if record.status != "done":
        failure = record.failure
        return "" if failure is None else one_line(f"{failure.type}: {failure.message}", limit)
    found, value = store.readable(record, most)
    if found:
        return one_line(repr(value), limit)
    assert record.value is not None
    return one_line(f"<{LargeValue.of(record.value)}>", limit) if record.value.type else "<damaged>"


def one_experiment(wanted: str, store: Store) -> str:
    """Return the one experiment with this name, or whose name or file ends so.

    Raises
    ------
    UsageError
        None or several do.
    """
    names = [name for name, _, _ in store.index.experiments()]
    matches = named(wanted, names)
    if len(matches) == 1:
        return matches[0]
    raise UsageError(
        f"no single experiment is named {wanted!r}; the store has: {', '.join(names) or 'none'}."
    )


def time_text(seconds: float) -> str:
    """Say a moment in this place's time."""
    return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_json(value: Any) -> None:
    """Print what a script reads."""
    print(json.dumps(_strict(value), indent=2, default=str))


def _strict(value: Any) -> Any:
    """What JSON can say: it has no infinity and no NaN, though Python's writer would write them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _strict(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def _print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
