"""Build the columns that an index gives of many tasks from one record after the other.

Knows: records. May not know: how an index keeps them. One that has columns has a faster way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.index.types import Outlines, Stored
from memento.records import DONE, TaskRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_VALUE = (None,) * len(Stored._fields)


def outlines_of(records: Sequence[TaskRecord], metrics: Sequence[int], *, values: bool) -> Outlines:
    """Return how tasks went, and what they returned if asked; `metrics` says how many each has recorded."""
    import numpy as np

    def column(name: str) -> NDArray[np.float64]:
        return np.array([getattr(record, name) for record in records], dtype=np.float64)

    stored = [_NO_VALUE if record.value is None else tuple(record.value) for record in records]
    return Outlines(
        np.array([record.id for record in records], dtype=np.int64),
        np.array([record.status == DONE for record in records], dtype=np.bool_),
        column("started"),
        column("runtime"),
        column("cpu_time"),
        column("memory"),
        np.array(metrics, dtype=np.int64),
        {record.id: record.failure for record in records if record.failure is not None},
        Stored(*zip(*stored, strict=True)) if values else None,
    )


def last_values(
    curves: Iterable[tuple[int, Mapping[str, tuple[Any, NDArray[np.float64]]]]],
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return ids and last values for each metric, of ids with their metrics."""
    import numpy as np

    found: dict[str, list[tuple[int, float]]] = {}
    for number, series in curves:
        for name, (_, y) in series.items():
            found.setdefault(name, []).append((number, y[-1]))
    return {
        name: (
            np.array([n for n, _ in pairs], dtype=np.int64),
            np.array([y for _, y in pairs], dtype=np.float64),
        )
        for name, pairs in found.items()
    }
