"""Stored tasks in words and as JSON: their parameters, values, errors, what they ran; nothing is unpickled.

Knows: rows of a store, the readable JSON in them, open formats of values. May not know: matrices, lists' layout.

Values stand there by their labels, upstream tasks by their own parameters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from memento.index.declared_values import by_label
from memento.keys.code_files import COMMAND
from memento.records import DONE, TaskRecord
from memento.store.store import Store
from memento.store.upstream import tasks_named
from memento.values.describe import LargeValue, Part
from memento.wording import one_line


class Told(NamedTuple):
    """What people are told of a task's parameters: values by their labels, and what these are labels of."""

    own: dict[str, Any]
    upstream: dict[str, Any]  # of the tasks whose results it takes: "first.lr"
    contents: dict[str, Any]


def told_of(store: Store, records: Sequence[TaskRecord]) -> dict[bytes, Told]:
    """Return the parameters of tasks as people are told of them."""
    labels = {name: store.index.labels(name) for name in {record.experiment for record in records}}
    upstream = _upstream(store, records)
    told = {}
    for record in records:
        own, more, known = loaded(record.params), upstream.get(record.key, {}), labels[record.experiment]
        inner = {name: known[last] for name in more if (last := name.rpartition(".")[2]) in known}
        shown, deeper = by_label(own, known), by_label(more, inner)
        contents = {n: v for n, v in (own | more).items() if (shown | deeper)[n] is not v}
        told[record.key] = Told(shown, deeper, contents)
    return told


def shown_parameters(store: Store, records: Sequence[TaskRecord]) -> list[str]:
    """Return the parameters of each task in a line."""
    told = told_of(store, records)
    texts = [_parameters(record, told[record.key]) for record in records]
    return [", ".join(f"{name}={text}" for name, text in own.items()) for own in texts]


def _upstream(store: Store, records: Sequence[TaskRecord]) -> dict[bytes, dict[str, Any]]:
    """Return for tasks that take the results of others the parameters of those: "first.lr" and so on."""
    known: dict[bytes, dict[str, Any]] = {}
    named = {key for record in records for key in map(task_key, loaded(record.params).values()) if key}
    while named:
        found = {key: loaded(params) for key, params in store.index.parameters(named).items()}
        known |= found
        named = {
            key for params in found.values() for key in map(task_key, params.values()) if key
        } - known.keys()

    def deeper(params: dict[str, Any], under: str, inside: bool) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, value in params.items():
            key = task_key(value)
            if key in known:
                told |= deeper(known[key], f"{under}{name}.", True)
            elif inside:
                told[under + name] = value
        return told

    return {record.key: deeper(loaded(record.params), "", False) for record in records} if known else {}


def task_key(value: Any) -> bytes:
    """Return the key of the upstream task that a parameter names; nothing for other values."""
    found = tasks_named(json.dumps(value)) if isinstance(value, str) else []
    return bytes.fromhex(found[0]) if found else b""


def texts_of(records: Sequence[TaskRecord], told: Mapping[bytes, Told]) -> list[dict[str, str]]:
    """Return a text for each parameter of each task; different values of one parameter have different texts."""
    texts = [_parameters(record, told[record.key]) for record in records]
    if any(record.repeat for record in records):
        texts = [own | {"repeat": str(record.repeat)} for record, own in zip(records, texts, strict=True)]
    meant: dict[tuple[str, str], set[str]] = {}
    for record, own in zip(records, texts, strict=True):
        values = _values(record, told)
        for name, text in own.items():
            meant.setdefault((name, text), set()).add(json.dumps(values.get(name), ensure_ascii=False))
    alike = {pair for pair, values in meant.items() if len(values) > 1}
    if not alike:
        return texts
    return [
        {
            name: _exactly(_values(record, told)[name]) if (name, text) in alike else text
            for name, text in own.items()
        }
        for record, own in zip(records, texts, strict=True)
    ]


def _values(record: TaskRecord, told: Mapping[bytes, Told]) -> dict[str, Any]:
    return told[record.key].own | told[record.key].upstream


def _exactly(value: Any) -> str:
    """Show a text that reads like another value as Python writes it, a name with its module as it is."""
    return repr(value) if isinstance(value, str) and plain_text(value) == value else str(value)


def _parameters(record: TaskRecord, told: Told) -> dict[str, str]:
    """Return a text for each parameter, those of upstream tasks too."""
    # An upstream task says less than its parameters.
    under = {name.partition(".")[0] for name in told.upstream}
    own = {name: value for name, value in told.own.items() if not (name in under and task_key(value))}
    texts = {
        name: str(value) if name in told.contents else plain_text(value)
        for name, value in (own | told.upstream).items()
    }
    return texts | {"repeat": str(record.repeat)} if record.repeat else texts


def plain_text(value: Any) -> str:
    """Show a name like "sklearn.svm._classes:SVC" as people say it; True, False and None as Python writes them."""
    if value is None or isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    module, _, name = value.partition(":")
    # "red:green" may be a text of the user's; a dotted module before the colon is hardly one.
    file = module.removesuffix(".py").replace("/", ".") if module.endswith(".py") else module
    dotted = "." in module and all(part.isidentifier() for part in file.split("."))
    return name if dotted and all(part.isidentifier() for part in name.split(".")) else value


def loaded(text: str) -> dict[str, Any]:
    """Read parameters or settings as a row has them; what makes no sense as it is."""
    try:
        loaded = json.loads(text)
    except ValueError:
        return {"?": text}
    return loaded if isinstance(loaded, dict) else {"?": loaded}


def command_of(store: Store, record: TaskRecord) -> str | None:
    """Return the command that a task ran, with its placeholders; None where it ran a function."""
    code = store.index.codes([record.code]).get(record.code)
    told = code.functions.get(COMMAND) if code is not None else None
    return told[1].partition(" = ")[2] if told is not None else None


def as_dict(store: Store, record: TaskRecord, told: Told, most: int = 0) -> dict[str, Any]:
    """Return a task as JSON has it; a value in a file of at most so many bytes is read."""
    found, value = store.readable(record, most)
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
        "error": error_text(record) or None,
        "warnings": [warning._asdict() for warning in record.warnings],
        "steps": [step.hex() for step in record.steps],
    }


def error_text(record: TaskRecord) -> str:
    """Say why a task failed; "" where it did not."""
    return "" if record.failure is None else f"{record.failure.type}: {record.failure.message}"


def value_of(store: Store, record: TaskRecord, most: int = 0, *, parts: bool = False) -> tuple[bool, Any]:
    """Return whether there is something to show of what a task returned, and that: a value, or a text of one.

    With `parts`, a value that would have to be unpickled or read is a dict of what is known of its items.
    """
    if record.status != DONE or record.value is None:
        return False, None
    found, value = store.readable(record, most)
    if found:
        return True, value
    large = LargeValue.of(record.value)
    if parts and large.known.items:
        return True, in_words(large.known.items)
    return True, f"<{large}>" if record.value.type else "<damaged>"


def in_words(items: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a value's items, with texts for those that are no plain data.

    >>> in_words({"acc": 0.5, "scores": Part("array 5 float64"), "test": {"cm": Part("array 2x2 float64")}})
    {'acc': 0.5, 'scores': 'array 5 float64', 'test': {'cm': 'array 2x2 float64'}}
    """
    return {name: _in_words(item) for name, item in items.items()}


def _in_words(item: Any) -> Any:
    if isinstance(item, dict):
        return in_words(item)
    if isinstance(item, Part):
        return item.what
    return item if item is None or isinstance(item, (bool, int, float, str)) else str(item)


def short_value(value: object, limit: int) -> str:
    """Show a value in a cell: a number by four digits, a text as it is.

    >>> short_value(0.912345678, 20), short_value(12345.678, 20), short_value(3, 20), short_value([1, 2], 20)
    ('0.9123', '12346', '3', '[1, 2]')
    """
    if isinstance(value, float) and math.isfinite(value):
        digits = f"{value:.4g}"
        return f"{value:.0f}" if "e" in digits and 1e3 <= abs(value) < 1e9 else digits
    return one_line(value if isinstance(value, str) else repr(value), limit)
