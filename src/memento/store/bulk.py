"""Read what many tasks came to, as columns: no object for each task, and no call of Python for each row.

Knows: the index's columns, how values are encoded, checksums of rows. May not know: connections, who asks.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import PayloadDamaged
from memento.layout import INDEX
from memento.records import Encoded, Failure
from memento.store import checksums, rows
from memento.store.unreadable import Unreadable, problem_of
from memento.values.formats import decode
from memento.values.payloads import AGAIN, PayloadDir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FACTS = (1, 2, 3, 4, 5, 7, 8, 9, 10)  # where the numbers of `checksums.facts_sum` stand among `sql.OUTLINES`
_VALUE = slice(14, 19)  # ... and the fields of an `Encoded` among `sql.OUTLINES_AND_VALUES`
_BYTES, _TEXT = frozenset((bytes, type(None))), frozenset((str, type(None)))  # what columns may hold
_ALIKE_PLACES = (
    1,
    2,
    3,
    4,
    6,
    7,
)  # where numbers of `sql.ALIKE_BY_ID` stand among those of `checksums.facts_sum`


class Kind(NamedTuple):
    """What tasks that are alike share: they are done, and their values stand in their rows."""

    summed: str  # what `checksums.row_sum` is of between parameters and value
    experiment: int
    metrics: int  # how many were recorded
    format: str
    type: str


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
    values: (
        list[Any] | None
    )  # what they returned or an `Unreadable`, None for those that failed; None where not asked for


def outlines(found: Sequence[tuple[Any, ...]], payloads: PayloadDir | None, trusted: bool) -> Outlines:
    """Build columns from those of `sql.OUTLINES`, or of `sql.OUTLINES_AND_VALUES` where payloads are given.

    Raises
    ------
    PayloadDamaged
        A row is not what was written.
    """
    import numpy as np

    columns = _columns(found, 12 if payloads is None else 19)
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
        if payloads is not None and whole:
            whole = list(map(zlib.crc32, columns[12])) == columns[13]
            # Bytes that became text, or text bytes, have the same checksum.
            whole = (
                whole
                and _BYTES.issuperset(map(type, columns[15]))
                and _TEXT.issuperset(map(type, columns[16]))
            )
    except (TypeError, AttributeError, ValueError, OverflowError):  # a column that changed even its type
        whole = False
    _check(whole)
    done, started, runtime, cpu_time, memory, *_, metrics = facts
    values = None if payloads is None else _values(columns[_VALUE], payloads, trusted)
    failures = {int(ids[at]): rows.read_failure(text) for at, text in texts.items()}
    return Outlines(
        ids, done > 0, started, runtime, cpu_time, memory, metrics.astype(np.int64), failures, values
    )


def alike(
    found: Sequence[tuple[Any, ...]], kind: Kind, payloads: PayloadDir, trusted: bool
) -> Outlines | None:
    """Build columns from those of `sql.ALIKE_BY_ID`; the same as `outlines` does, of the tasks of one kind.

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
        return alike(list(compress(found, fits)), kind, payloads, trusted)
    ids, started, runtime, cpu_time, memory, *_ = facts
    values = _alike_values(data, kind, payloads, trusted)
    count = len(found)
    return Outlines(
        ids.astype(np.int64), np.ones(count, dtype=np.bool_), started, runtime, cpu_time, memory,
        np.full(count, kind.metrics), {}, values,
    )  # fmt: skip


def last_values(
    found: Sequence[tuple[Any, ...]],
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return ids and last values for each metric, of rows of `sql.METRIC_LASTS`; nan where it was no number.

    Raises
    ------
    PayloadDamaged
        A metric is not what was written, or is lost.
    """
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
        raise PayloadDamaged(INDEX, "its metrics in the index are not what was written.", AGAIN)
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
    """Return `checksums.facts_sum` of each row, without its failure; see there.

    Parameters
    ----------
    facts : array
        A row for each number.
    places : iterable of int
        Where each of them stands among all that the checksum is of.
    others : int
        What the other numbers add, the same in every row.
    """
    import numpy as np

    prime = np.uint64(checksums.PRIME)
    words = np.where(np.isnan(facts), checksums.UNKNOWN, facts).view(np.uint64) % prime
    weights = np.array([[pow(2, 64 * place, checksums.PRIME)] for place in places], dtype=np.uint64)
    sums: NDArray[np.uint64] = ((words * weights % prime).sum(axis=0) + np.uint64(others)) % prime
    return sums


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
            values[place] = _loaded(Encoded(*value), payloads, trusted)
    for place, value in zip(places, _parsed([data[place] for place in places]), strict=True):
        values[place] = value
    return values


def _alike_values(contents: list[bytes], kind: Kind, payloads: PayloadDir, trusted: bool) -> list[Any]:
    """Decode values of one kind, at once where most of the work is the same for each."""
    if kind.format == "json":
        return _parsed(contents)
    if kind.format == "npscalar":
        import numpy as np

        name = contents[0].partition(b" ")[0].decode()
        if np.dtype(name).kind == "f":  # what scores are
            make, start = np.dtype(name).type, len(name) + 1
            return [make(float(content[start:])) for content in contents]
    return [
        _loaded(Encoded(kind.format, content, None, len(content), kind.type), payloads, trusted)
        for content in contents
    ]


def _loaded(encoded: Encoded, payloads: PayloadDir, trusted: bool) -> Any:
    """Decode a value; what cannot be loaded here hides no other."""
    try:
        return decode(encoded, payloads, trusted)
    except Exception as exc:  # unpickling runs anybody's code
        return Unreadable(encoded.type, problem_of(exc))


def _parsed(texts: Sequence[bytes]) -> list[Any]:
    """Parse many at once: a call of the parser costs ten times what it takes to parse a number."""
    parsed: list[Any] = json.loads(b"[" + b",".join(texts) + b"]")
    return parsed
