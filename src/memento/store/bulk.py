"""Read what many tasks came to, as columns: no object for each task.

Knows: the index's columns, how values are encoded. May not know: connections, who asks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from memento.errors import PayloadDamaged
from memento.store import rows
from memento.store.files import PayloadDir
from memento.store.formats import decode
from memento.store.records import DAMAGED, Encoded, Failure

_VALUE = slice(
    14, 19
)  # where the fields of an `Encoded` stand among the columns of `sql.OUTLINES_AND_VALUES`


class Outlines(NamedTuple):
    """Some tasks, a column for each fact, in the order of their ids."""

    ids: Sequence[int]
    done: Sequence[int]  # 1, or 0 for one that failed
    started: Sequence[float]  # UTC seconds
    runtime: Sequence[float]  # seconds
    cpu_time: Sequence[float | None]  # seconds
    memory: Sequence[int | None]  # bytes
    failures: dict[int, Failure]  # id -> why; of those that failed
    values: list[Any] | None  # what they returned, None for those that failed; None where not asked for


def outlines(found: Sequence[tuple[Any, ...]], payloads: PayloadDir | None, trusted: bool) -> Outlines:
    """Build columns from those of `sql.OUTLINES`, or of `sql.OUTLINES_AND_VALUES` where payloads are given.

    Raises
    ------
    PayloadDamaged
        A value, or its row, is not what was written.
    UntrustedStore
        A value is a pickle, and the store is not trusted.
    """
    if not found:
        return Outlines((), (), (), (), (), (), {}, None if payloads is None else [])
    if not rows.facts_are_as_written(found):
        raise PayloadDamaged("index.sqlite", "a row in the index is not what was written.")
    ids, done, started, runtime, cpu_time, memory, texts, *_ = zip(*found, strict=True)
    failures = {
        number: rows.read_failure(text) for number, text in zip(ids, texts, strict=True) if text is not None
    }
    values = None if payloads is None else _values(found, payloads, trusted)
    return Outlines(ids, done, started, runtime, cpu_time, memory, failures, values)


def _values(found: Sequence[tuple[Any, ...]], payloads: PayloadDir, trusted: bool) -> list[Any]:
    values: list[Any] = [None] * len(found)
    places: list[int] = []
    texts: list[bytes] = []
    for place, row in enumerate(found):
        if not row[1]:
            continue
        key, params, checksum = row[12], row[13], row[19]
        value = row[_VALUE]
        kind, data = value[:2]
        if not rows.is_as_written(key, params, None if kind is None else value, checksum):
            values[place] = decode(Encoded(DAMAGED, None, None, 0, ""), payloads, trusted)
        elif kind == "json" and data is not None:
            places.append(place)
            texts.append(data)
        elif kind is not None:
            values[place] = decode(Encoded(*value), payloads, trusted)
    # One parse for all: a call of the parser costs ten times what it takes to parse a number.
    for place, value in zip(places, json.loads(b"[" + b",".join(texts) + b"]"), strict=True):
        values[place] = value
    return values
