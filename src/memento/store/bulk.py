"""Read what many tasks came to, as columns: no object for each task, and no call of Python for each row.

Knows: the index's columns, how values are encoded, checksums of rows. May not know: connections, who asks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import PayloadDamaged
from memento.store import rows
from memento.store.files import PayloadDir
from memento.store.formats import decode
from memento.store.records import Encoded, Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FACTS = (1, 2, 3, 4, 5, 7, 8, 9, 10)  # where the numbers of `rows.facts_sum` stand among `sql.OUTLINES`
_VALUE = slice(14, 19)  # ... and the fields of an `Encoded` among `sql.OUTLINES_AND_VALUES`
_TYPES = frozenset((bytes, type(None)))  # of a value in the index


class Outlines(NamedTuple):
    """Some tasks, a column for each fact, in the order of their ids; nan where a measure was not taken."""

    ids: NDArray[np.int64]
    done: NDArray[np.bool_]  # or failed
    started: NDArray[np.float64]  # UTC seconds
    runtime: NDArray[np.float64]  # seconds
    cpu_time: NDArray[np.float64]  # seconds
    memory: NDArray[np.float64]  # bytes
    metrics: NDArray[np.int64]  # how many were recorded
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
    import numpy as np

    width = len(found[0]) if found else 19
    cells = list(chain.from_iterable(found))
    columns = [cells[place::width] for place in range(width)]
    try:
        ids = np.array(columns[0], dtype=np.int64)
        facts = np.array([columns[place] for place in _FACTS], dtype=np.float64)
        texts = {}
        if columns[6].count(None) < len(ids):
            texts = {at: text for at, text in enumerate(columns[6]) if text is not None}
        whole = _facts_are_as_written(facts, texts, columns[11])
        if payloads is not None and whole:
            # A value that became text keeps its bytes, and so its checksum.
            whole = list(map(zlib.crc32, columns[12])) == columns[13] and _TYPES.issuperset(
                map(type, columns[15])
            )
    except (TypeError, AttributeError, ValueError, OverflowError):  # a column that changed even its type
        whole = False
    if not whole:
        raise PayloadDamaged("index.sqlite", "a row in the index is not what was written.")
    done, started, runtime, cpu_time, memory, *_, metrics = facts
    values = None if payloads is None else _values(columns[_VALUE], payloads, trusted)
    failures = {int(ids[at]): rows.read_failure(text) for at, text in texts.items()}
    return Outlines(
        ids, done > 0, started, runtime, cpu_time, memory, metrics.astype(np.int64), failures, values
    )


def _facts_are_as_written(
    facts: NDArray[np.float64], texts: dict[int, str], expected: Sequence[object]
) -> bool:
    """Compare `rows.facts_sum` of each row; see there."""
    import numpy as np

    prime = np.uint64(rows.PRIME)
    words = np.where(np.isnan(facts), rows.UNKNOWN, facts).view(np.uint64) % prime
    total = np.zeros(facts.shape[1], dtype=np.uint64)
    for place, word in enumerate(words):
        total = (total + word * np.uint64(pow(2, 64 * place, rows.PRIME))) % prime
    for at, text in texts.items():
        total[at] = (int(total[at]) + rows.failure_sum(text)) % rows.PRIME
    return bool((total == np.array(expected, dtype=np.float64)).all())


def _values(columns: Sequence[Sequence[Any]], payloads: PayloadDir, trusted: bool) -> list[Any]:
    kinds, data, *_ = columns
    if kinds.count("json") == len(kinds) and None not in data:
        return _parsed(data)
    values: list[Any] = [None] * len(kinds)
    places = []
    for place, value in enumerate(zip(*columns, strict=True)):
        if value[0] == "json" and value[1] is not None:
            places.append(place)
        elif value[0] is not None:
            values[place] = decode(Encoded(*value), payloads, trusted)
    for place, value in zip(places, _parsed([data[place] for place in places]), strict=True):
        values[place] = value
    return values


def _parsed(texts: Sequence[bytes]) -> list[Any]:
    """Parse many at once: a call of the parser costs ten times what it takes to parse a number."""
    parsed: list[Any] = json.loads(b"[" + b",".join(texts) + b"]")
    return parsed
