"""Read what many tasks came to, as columns: no object for each task, and no call of Python for each row.

Knows: the index's columns, how values are encoded, checksums of rows. May not know: connections, who asks.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import PayloadDamaged
from memento.index.tables import checksums, rows
from memento.index.types import Outlines, Stored
from memento.layout import INDEX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FACTS = (1, 2, 3, 4, 5, 7, 8, 9, 10)  # where the numbers of `checksums.facts_sum` stand among `sql.OUTLINES`
_VALUE = slice(14, 20)  # ... and the fields of an `Encoded` among `sql.OUTLINES_AND_VALUES`
_BYTES, _TEXT = frozenset((bytes, type(None))), frozenset((str, type(None)))  # what columns may hold
# Where numbers of `sql.ALIKE` stand among those of `checksums.facts_sum`.
_ALIKE_PLACES = (1, 2, 3, 4, 6, 7)
_AGAIN = "Run the experiment again: the task counts as not done."


class Kind(NamedTuple):
    """What tasks that are alike share: they are done, and their values stand in their rows."""

    summed: str  # what `checksums.row_sum` is of between parameters and value
    experiment: int
    metrics: int  # how many were recorded
    format: str
    type: str


def outlines(found: Sequence[tuple[Any, ...]], *, values: bool = False) -> Outlines:
    """Build columns from those of `sql.OUTLINES`, or of `sql.OUTLINES_AND_VALUES`."""
    import numpy as np

    columns = _columns(found, 20 if values else 12)
    try:
        ids = np.array(columns[0], dtype=np.int64)
        facts = np.array([columns[place] for place in _FACTS], dtype=np.float64)
        texts = {}
        if columns[6].count(None) < len(ids):
            texts = {at: text for at, text in enumerate(columns[6]) if text is not None}
        sums = _facts_sums(facts, range(len(_FACTS)))
        for at, text in texts.items():
            sums[at] = (int(sums[at]) + checksums.failure_sum(text)) % checksums.PRIME
        whole = bool((sums == np.array(columns[11], dtype=np.float64)).all())
        if values and whole:
            whole = list(map(zlib.crc32, columns[12])) == columns[13]
            # Bytes that became text, or text bytes, have the same checksum.
            whole = (
                whole
                and _BYTES.issuperset(map(type, columns[15]))
                and _TEXT.issuperset(map(type, columns[16] + columns[19]))
            )
    except (TypeError, AttributeError, ValueError, OverflowError):  # a column that changed even its type
        whole = False
    _check(whole)
    done, started, runtime, cpu_time, memory, *_, metrics = facts
    stored = Stored._make(columns[_VALUE]) if values else None
    failures = {int(ids[at]): rows.read_failure(text) for at, text in texts.items()}
    return Outlines(
        ids, done > 0, started, runtime, cpu_time, memory, metrics.astype(np.int64), failures, stored
    )


def alike(found: Sequence[tuple[Any, ...]], kind: Kind) -> Outlines | None:
    """Build columns from those of `sql.ALIKE`; the same as `outlines` does, of the tasks of one kind.

    Others, and those that are not what was written, have other checksums than what is of the kind, and are left out;
    None where nothing else is left.
    """
    import numpy as np

    if not found:
        return None
    *numbers, expected, summed, data = _columns(found, 11)
    try:
        facts = np.array(numbers, dtype=np.float64)
        # What is 0 adds nothing: the checksum of what they share, and then of what is each one's own.
        shared = checksums.facts_sum(True, 0.0, 0.0, 0.0, 0, None, kind.experiment, 0, 0, kind.metrics)
        fits = _facts_sums(facts[1:7], _ALIKE_PLACES, shared) == facts[7]
        sums = list(map(zlib.crc32, summed))
    except (TypeError, ValueError, OverflowError, struct.error):  # a column that changed even its type
        return None
    if not fits.all() or sums != expected or set(map(type, data)) != {bytes}:
        fits &= [a == b and type(value) is bytes for a, b, value in zip(sums, expected, data, strict=True)]
        return alike(list(compress(found, fits)), kind)
    ids, started, runtime, cpu_time, memory, *_ = facts
    count = len(found)
    sizes = list(map(len, data))
    nothing = [None] * count
    stored = Stored([kind.format] * count, data, nothing, sizes, [kind.type] * count, nothing)
    return Outlines(
        ids.astype(np.int64), np.ones(count, dtype=np.bool_), started, runtime, cpu_time, memory,
        np.full(count, kind.metrics), {}, stored,
    )  # fmt: skip


def last_values(
    found: Sequence[tuple[Any, ...]],
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return ids and last values for each metric, of rows of `sql.METRIC_LASTS`; nan where it was no number."""
    import numpy as np

    tasks, expected, names, counts, lasts, minima, maxima, data_sums, sums = _columns(found, 9)
    try:
        # As `checksums.curve_sum` packs them.
        numbers = np.array((tasks, counts, lasts, minima, maxima, data_sums), dtype="<f8") + 0.0
        curves = np.ascontiguousarray(numbers.T).view("V48").ravel().tolist()
        texts = {name: name.encode("utf-8", "backslashreplace") for name in dict.fromkeys(names)}
        named = map(texts.__getitem__, names)
        ids, first, many = np.unique(np.array(tasks, dtype=np.int64), return_index=True, return_counts=True)
        whole = (many == np.array(expected, dtype=np.float64)[first]).all() and (
            list(map(zlib.crc32, named, map(zlib.crc32, curves))) == sums
        )
    except (TypeError, AttributeError, ValueError, OverflowError):  # a column that changed even its type
        whole = False
    if not whole:
        raise PayloadDamaged(INDEX, "its metrics in the index are not what was written.", _AGAIN)
    places = {name: place for place, name in enumerate(texts)}
    codes = np.array(list(map(places.__getitem__, names)), dtype=np.int64)
    owners = np.repeat(ids, many)
    return {name: (owners[codes == place], numbers[2][codes == place]) for name, place in places.items()}


def _columns(found: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    cells = list(chain.from_iterable(found))
    return [cells[place::width] for place in range(width)]


def _check(whole: bool) -> None:
    if not whole:
        raise PayloadDamaged(INDEX, "a row in the index is not what was written.")


def _facts_sums(facts: NDArray[np.float64], places: Iterable[int], others: int = 0) -> NDArray[np.uint64]:
    """Return `checksums.facts_sum` of each row, without its failure.

    `places` says where each row of `facts` stands among the numbers that it is of; `others` is what the rest add.
    """
    import numpy as np

    prime = np.uint64(checksums.PRIME)
    words = np.where(np.isnan(facts), checksums.UNKNOWN, facts).view(np.uint64) % prime
    weights = np.array([[pow(2, 64 * place, checksums.PRIME)] for place in places], dtype=np.uint64)
    sums: NDArray[np.uint64] = ((words * weights % prime).sum(axis=0) + np.uint64(others)) % prime
    return sums
