"""Say what the parameters of stored tasks are: values by their labels, upstream tasks by their own parameters.

Knows: rows of a store, the readable JSON in them. May not know: matrices, values, how anything is printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

from memento.index.declared_values import by_label
from memento.records import TaskRecord
from memento.store.store import Store
from memento.store.upstream import tasks_named
from memento.wording import one_line

_WIDTH = 100  # characters of parameters in a list


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
    return [_joined(_parameters(record, told[record.key])) for record in records]


def _upstream(store: Store, records: Sequence[TaskRecord]) -> dict[bytes, dict[str, Any]]:
    """Return for tasks that take the results of others the parameters of those: "first.lr" and so on."""
    known: dict[bytes, dict[str, Any]] = {}
    named = {key for record in records for key in map(_task_key, loaded(record.params).values()) if key}
    while named:
        found = {key: loaded(params) for key, params in store.index.parameters(named).items()}
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

    return {record.key: deeper(loaded(record.params), "", False) for record in records} if known else {}


def _task_key(value: Any) -> bytes:
    """Return the key of the upstream task that a parameter names; nothing for other values."""
    found = tasks_named(json.dumps(value)) if isinstance(value, str) else []
    return bytes.fromhex(found[0]) if found else b""


def that_fit(records: Sequence[TaskRecord], told: dict[bytes, Told]) -> list[str]:
    """Return the parameters of each task; where they are too long, without those that say nothing more of it."""
    all_of = [_parameters(record, told[record.key]) for record in records]
    columns: dict[tuple[str, ...], list[list[str]]] = {}  # of tasks that have the same parameters
    for own in all_of:
        for column, text in zip(columns.setdefault(tuple(own), [[] for _ in own]), own.values(), strict=True):
            column.append(text)
    differ = {
        names: [len(set(one)) > 1 and one not in each[:place] for place, one in enumerate(each)]
        for names, each in columns.items()
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


def _parameters(record: TaskRecord, told: Told) -> dict[str, str]:
    """Return a text for each parameter, those of upstream tasks too."""
    # An upstream task says less than its parameters.
    under = {name.partition(".")[0] for name in told.upstream}
    own = {name: value for name, value in told.own.items() if not (name in under and _task_key(value))}
    texts = {
        name: str(value) if name in told.contents else plain_text(value)
        for name, value in (own | told.upstream).items()
    }
    return texts | {"repeat": str(record.repeat)} if record.repeat else texts


def plain_text(value: Any) -> str:
    """Show a name like "sklearn.svm._classes:SVC" as people say it."""
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
