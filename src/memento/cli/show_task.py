"""`memento show KEY`: all that a store knows of one task, without unpickling anything.

Knows: the store's read side. May not know: runs' inner workings; values beyond their open formats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.cli.choosing import one_key
from memento.cli.open_store import open_store
from memento.cli.printing import print_json, print_safe, time_text
from memento.cli.task_text import (
    Told,
    as_dict,
    command_of,
    in_words,
    loaded,
    plain_text,
    short_value,
    told_of,
    value_of,
)
from memento.cli.waiting import find_any
from memento.index.attempts import memory_limits
from memento.records import INTERRUPTED, Attempt, TaskRecord
from memento.store.imported import origin_of
from memento.store.location import StorePath
from memento.store.step_records import read_record, step_text
from memento.store.store import Store
from memento.store.task_folders import keys_with_states
from memento.values.describe import LargeValue
from memento.wording import duration, number_of, one_line, size_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Metrics = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

_RUNS = 100  # the newest; one that goes on is among them
_UNKNOWN = "started runtime cpu_time memory value value_type value_description error command".split()
_BARS = "▁▂▃▄▅▆▇█"
_READ = 1 << 20  # bytes of a value's file that is read to show it alone


def print_task(path: StorePath | None, task: Sequence[str], *, as_json: bool) -> None:
    """Print all that is known of one task, named by KEY or NAME=VALUE, also of one that has not finished."""
    with open_store(path) as store:
        found = find_any(store, one_key(store, task))
        record = next(iter(store.index.find(found.hex())), None)
        attempts, now = store.index.attempts(found), unfinished_text(store, found)
        if record is None:
            _print_unfinished(store, found, attempts, as_json=as_json)
            return
        told = told_of(store, [record])[record.key]
        metrics = store.index.metrics(record)
        if as_json:
            print_json("show", _as_json(store, record, told, attempts, now, metrics))
            return
        _print_identity(store, record, told)
        running = f" (and {now})" if now else ""
        print(f"status      {record.status}{running}")
        _print_origin(store, record)
        _print_value(store, record)
        for line in metric_lines(metrics):
            print(f"metric      {line}")
        for name, file in store.artifact_places(record).items():
            print(f"artifact    {one_line(name)}: {one_line(file)}")
        for step in record.steps:
            print(f"step        {_step_text(store, step)}")
        for warning in record.warnings:
            times = f" ({warning.count} times)" if warning.count > 1 else ""
            place = f" ({one_line(warning.place)})" if warning.place else ""
            print(f"warning     {one_line(f'{warning.category}: {warning.message}', 400)}{place}{times}")
        pieces = (
            f" in {len(record.pieces)} attempts, each from the checkpoint before"
            if len(record.pieces) > 1
            else ""
        )
        memory = f", {size_text(record.memory)} of memory" if record.memory else ""
        print(f"time        {duration(record.runtime)}{pieces}{memory}")
        _print_attempts(attempts)


def unfinished_text(store: Store, key: bytes) -> str:
    """Say what there is of a task beside its row: that it runs now, or a checkpoint; "" where there is nothing."""
    at = next((working for working in store.working() if working.key == key), None)
    if at is not None:
        return f"it is running now, in run {at.run}"
    if key in store.index.living().claimed:
        return "a run has taken it and computes it soon or now"
    return "it has a checkpoint to go on from" if key in keys_with_states(store.path) else ""


def _print_unfinished(store: Store, key: bytes, attempts: list[Attempt], *, as_json: bool) -> None:
    now = unfinished_text(store, key)
    at = {working.run for working in store.working() if working.key == key}
    at |= {attempt.run for attempt in attempts}
    experiment = next((r.info.experiment for r in store.index.runs(limit=_RUNS) if r.id in at), "")
    if as_json:
        told: dict[str, Any] = dict.fromkeys(_UNKNOWN)
        told |= {"key": key.hex(), "experiment": experiment, "status": "unfinished", "now": now, "repeat": 0}
        told |= {"parameters": {}, "contents": {}, "settings": {}, "warnings": [], "steps": []}
        tried = {"attempt": len(attempts) + 1, "attempts": _attempt_dicts(attempts)}
        print_json("show", told | tried)
        return
    print(f"key         {key.hex()}")
    if experiment:
        print(f"experiment  {one_line(experiment)}")
    before = "it was tried before" if attempts else "it has not begun"
    print(f"status      not finished: {now or before}")
    print(
        f"            `memento logs -f {key.hex()[:12]}` shows what it prints; its parameters stand here when it ends"
    )
    _print_attempts(attempts)


def _as_json(
    store: Store, record: TaskRecord, told: Told, attempts: list[Attempt], now: str, metrics: Metrics
) -> dict[str, Any]:
    origin = origin_of(store, record)
    return as_dict(store, record, told, _READ) | {
        "command": command_of(store, record),
        "imported": origin and origin._asdict(),
        "run": record.run,
        "code": record.code,
        "now": now,
        "artifacts": store.artifact_places(record),
        "metrics": {name: _metric_dict(y.tolist()) for name, (_, y) in metrics.items()},
        "attempts": _attempt_dicts(attempts),
    }


def _print_identity(store: Store, record: TaskRecord, told: Told) -> None:
    print(f"key         {record.key.hex()}")
    print(f"experiment  {one_line(record.experiment)}")
    run = command_of(store, record)
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


def _print_origin(store: Store, record: TaskRecord) -> None:
    origin = origin_of(store, record)
    if origin is not None:
        print(f"imported    {one_line(str(origin))}")
    print(
        f"run         {record.run}, with version {record.code} of the code (`memento why` says what has changed)"
    )


def _print_value(store: Store, record: TaskRecord) -> None:
    found, value = value_of(store, record, _READ)
    if not found:
        return
    assert record.value is not None  # else nothing was found
    kind, known = record.value.type, LargeValue.of(record.value).known
    if isinstance(value, dict) and value:
        print("value")
        _print_items({name: repr(one) for name, one in value.items()})
    elif known.items:  # of one that is not unpickled
        print(f"value       <{one_line(known.what)}, {size_text(record.value.size)}>")
        _print_items({name: str(one) for name, one in in_words(known.items).items()})
    else:
        shown = value if isinstance(value, str) and kind != "builtins:str" else repr(value)
        print(f"value       {one_line(shown, 2_000)}")


def _print_items(texts: Mapping[Any, str]) -> None:
    for name, text in texts.items():
        print(f"  {one_line(str(name), 100)}: {one_line(text, 400)}")


def _metric_dict(values: Sequence[float]) -> dict[str, Any]:
    known = [value for value in values if math.isfinite(value)]
    return {
        "count": len(values),
        "first": values[0] if values else None,
        "last": values[-1] if values else None,
        "min": min(known, default=None),
        "max": max(known, default=None),
    }


def metric_lines(metrics: Metrics) -> list[str]:
    """Return a line for each metric: how it went, and its last value."""
    lines = []
    for name, (_, y) in metrics.items():
        told = _metric_dict(y.tolist())
        head = f"{one_line(name)}: {number_of(told['count'], 'value')}, last {short_value(told['last'], 20)}"
        if told["count"] > 1:
            more = ", ".join(f"{word} {short_value(told[word], 20)}" for word in ("first", "min", "max"))
            head += f", {more}  {sparkline(y.tolist())}"
        lines.append(head)
    return lines


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """Draw numbers as a row of bars, a column for several where they are many; "·" stands for what is no number.

    >>> sparkline([1, 2, 3, float("nan"), 8])
    '▁▂▃·█'
    """
    step = max(1, -(-len(values) // width))
    groups = [[v for v in values[at : at + step] if math.isfinite(v)] for at in range(0, len(values), step)]
    means = [math.fsum(one / len(group) for one in group) if group else math.nan for group in groups]
    known = [mean for mean in means if math.isfinite(mean)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    room = (high / 2 - low / 2) or 1.0  # halves: a difference of the largest numbers is more than any number
    bars = [
        len(_BARS) // 2
        if high == low
        else round((mean / 2 - low / 2) / room * (len(_BARS) - 1))
        if mean == mean
        else -1
        for mean in means
    ]
    return "".join("·" if bar < 0 else _BARS[bar] for bar in bars)


def _step_text(store: Store, key: bytes) -> str:
    """Say what is known of a shared step."""
    record = read_record(store.root, key)
    if record is None:
        return f"{key.hex()}, which is not kept any more"
    took = f"computed in {duration(record.runtime)} by task {record.task.hex()[:12]}"
    return f"{one_line(step_text(record), 200)}: {size_text(record.value.size)}, {took}"


def _print_attempts(attempts: Sequence[Attempt]) -> None:
    for attempt, limit in zip(attempts, memory_limits(attempts), strict=True):
        _print_attempt(attempt, f" with {size_text(limit)}" if limit else "")


def _print_attempt(attempt: Attempt, limit: str) -> None:
    memory = f", {size_text(attempt.memory)}" if attempt.memory else ""
    kept = ""
    if attempt.kept is not None and attempt.status != INTERRUPTED:
        kept = f" (the next went on from {duration(attempt.kept)})"
    took = f"{duration(attempt.runtime)}{kept}{memory}"
    print(
        f"attempt {attempt.number}{limit}   {attempt.status} in run {attempt.run} after {took},"
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


def _attempt_dicts(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [_attempt_dict(*both) for both in zip(attempts, memory_limits(attempts), strict=True)]


def _attempt_dict(attempt: Attempt, limit: int | None) -> dict[str, Any]:
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
        "memory_limit": limit,
    }
