"""`memento ls`, `show`: what a store holds, read while runs go on, without unpickling anything.

Knows: the store's read side. May not know: runs' inner workings; values beyond their open formats.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import compress
from pathlib import Path
from typing import Any

from memento.cli.exit_codes import UsageError
from memento.keys.code_files import COMMAND
from memento.records import INTERRUPTED, Attempt, TaskRecord
from memento.store.location import find_store
from memento.store.step_records import read_record, step_text
from memento.store.store import Store
from memento.store.upstream import tasks_named
from memento.values.describe import LargeValue
from memento.wording import duration, number_of, one_line, safe_text, short_name, size_text

_ROWS = 50  # tasks in a list for people
_PREVIEW = 60  # characters of a value in a list
_WIDTH = 100  # characters of parameters in a list
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
        upstream = _upstream(store, records)
        if as_json:
            print_json([_as_dict(store, record, upstream) for record in records])
            return
        rows = [
            (
                record.key.hex()[:12],
                record.status,
                duration(record.runtime),
                parameters,
                _value_text(store, record, _PREVIEW),
            )
            for record, parameters in zip(records, _that_fit(records, upstream), strict=True)
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
        upstream = _upstream(store, [record])
        run = command_of(store, record)
        if as_json:
            told = _as_dict(store, record, upstream, _READ)
            print_json(told | {"command": run} | {"attempts": [_attempt_dict(a) for a in attempts]})
            return
        print(f"key         {record.key.hex()}")
        print(f"experiment  {one_line(record.experiment)}")
        if run is not None:
            print(f"command     {one_line(run)}")
        for name, value in (_load(record.params) | upstream.get(record.key, {})).items():
            print(f"  {one_line(name)} = {one_line(_plain(value), 400)}")
        if record.repeat:
            print(f"  repeat = {record.repeat}")
        settings = _load(record.settings)
        if settings:
            print(f"settings    {one_line(_plain(settings), 400)}")
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


def _upstream(store: Store, records: Iterable[TaskRecord]) -> dict[bytes, dict[str, Any]]:
    """Return for tasks that take the results of others the parameters of those: "first.lr" and so on."""
    known: dict[bytes, dict[str, Any]] = {}
    records = list(records)
    named = {key for record in records for key in map(_task_key, _load(record.params).values()) if key}
    while named:
        found = {key: _load(params) for key, params in store.index.parameters(named).items()}
        known |= found
        named = {
            key for params in found.values() for key in map(_task_key, params.values()) if key
        } - known.keys()

    def deeper(params: dict[str, Any], under: str, inside: bool) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, value in params.items():
            key = _task_key(value)
            if key in known:
                told |= deeper(known[key], f"{under}{name}.", True)
            elif inside:
                told[under + name] = value
        return told

    return {record.key: deeper(_load(record.params), "", False) for record in records} if known else {}


def _task_key(value: Any) -> bytes:
    """Return the key of the upstream task that a parameter names; nothing for other values."""
    found = tasks_named(json.dumps(value)) if isinstance(value, str) else []
    return bytes.fromhex(found[0]) if found else b""


def _as_dict(
    store: Store, record: TaskRecord, upstream: dict[bytes, dict[str, Any]], most: int = 0
) -> dict[str, Any]:
    found, value = store.readable(record, most)
    failure = record.failure
    return {
        "key": record.key.hex(),
        "experiment": record.experiment,
        "parameters": _load(record.params) | upstream.get(record.key, {}),
        "settings": _load(record.settings),
        "repeat": record.repeat,
        "status": record.status,
        "started": record.started,
        "runtime": record.runtime,
        "cpu_time": record.cpu_time,
        "memory": record.memory,
        "attempt": record.attempt,
        "value": value if found else None,
        "value_type": record.value.type if record.value else None,
        "value_description": _load(record.value.shown) if record.value and record.value.shown else None,
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
    """Return the one experiment with this name, or whose name ends so.

    Raises
    ------
    UsageError
        None or several do.
    """
    names = [name for name, _, _ in store.index.experiments()]
    matches = (
        [name for name in names if name == wanted]
        or [name for name in names if short_name(name) == wanted]
        or [name for name in names if name.endswith(wanted) or short_name(name).endswith(wanted)]
    )
    if len(matches) == 1:
        return matches[0]
    raise UsageError(
        f"no single experiment is named {wanted!r}; the store has: {', '.join(names) or 'none'}."
    )


def _that_fit(records: Sequence[TaskRecord], upstream: dict[bytes, dict[str, Any]]) -> list[str]:
    """Return the parameters of each task; where they are too long, without those that say nothing more of it."""
    all_of = [_parameters(record, upstream) for record in records]
    columns: dict[tuple[str, ...], list[list[str]]] = {}  # of tasks that have the same parameters
    for own in all_of:
        for column, text in zip(columns.setdefault(tuple(own), [[] for _ in own]), own.values(), strict=True):
            column.append(text)
    differ = {
        names: [len(set(one)) > 1 and one not in told[:place] for place, one in enumerate(told)]
        for names, told in columns.items()
    }
    texts = []
    for own in all_of:
        text = _joined(own)
        if len(text) > _WIDTH:
            text = _joined(dict(compress(own.items(), differ[tuple(own)]))) or text
        texts.append(one_line(text, _WIDTH))
    return texts


def _joined(parameters: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def _parameters(record: TaskRecord, upstream: dict[bytes, dict[str, Any]]) -> dict[str, str]:
    """Return a text for each parameter, those of upstream tasks too."""
    more = upstream.get(record.key, {})
    under = {name.partition(".")[0] for name in more}  # an upstream task says less than its parameters
    own = {
        name: value
        for name, value in _load(record.params).items()
        if not (name in under and _task_key(value))
    }
    texts = {name: _plain(value) for name, value in (own | more).items()}
    return texts | {"repeat": str(record.repeat)} if record.repeat else texts


def _plain(value: Any) -> str:
    """Show a name like "sklearn.svm._classes:SVC" as people say it."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    module, _, name = value.partition(":")
    # "red:green" may be a text of the user's; a dotted module before the colon is hardly one.
    file = module.removesuffix(".py").replace("/", ".") if module.endswith(".py") else module
    dotted = "." in module and all(part.isidentifier() for part in file.split("."))
    return name if dotted and all(part.isidentifier() for part in name.split(".")) else value


def _load(text: str) -> dict[str, Any]:
    try:
        loaded = json.loads(text)
    except ValueError:
        return {"?": text}
    return loaded if isinstance(loaded, dict) else {"?": loaded}


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
