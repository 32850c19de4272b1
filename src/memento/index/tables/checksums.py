"""The checksums that rows of the index carry: SQLite itself has none on its pages.

Knows: what goes into each. May not know: the order of columns, connections, files.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from itertools import repeat
from typing import Any

_FACTS = struct.Struct("<9d").pack
_CURVE = struct.Struct("<6d").pack
_from_bytes: Any = int.from_bytes
UNKNOWN = -1.0  # in a checksum, for a measure that was not taken
PRIME = 4_294_967_291  # the largest of 32 bits


def row_sum(key: bytes, params: str, value: tuple[Any, ...] | None) -> int:
    """Return the checksum of what a row may not get wrong unnoticed.

    `value` holds the fields of an `Encoded`.
    """
    if value is None:
        return zlib.crc32(params.encode("utf-8", "backslashreplace"), zlib.crc32(key))
    kind, data, ref, _, type_name, shown = value
    text = f"{params}\0{kind}\0{type_name}\0{ref}{shown or ''}".encode("utf-8", "backslashreplace")
    return zlib.crc32(data or b"", zlib.crc32(text, zlib.crc32(key)))


def row_sums(
    keys: Sequence[bytes],
    params: Sequence[str],
    formats: Sequence[str],
    types: Sequence[str],
    data: Sequence[bytes],
) -> list[int]:
    """Return the `row_sum` of many rows whose values stand in them: no call of Python for each."""
    texts = map("\0".join, zip(params, formats, types, repeat("None")))
    encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
    return list(map(zlib.crc32, data, map(zlib.crc32, encoded, map(zlib.crc32, keys))))


def facts_sum(
    done: bool | int,
    started: float,
    runtime: float,
    cpu_time: float | None,
    memory: int | None,
    failure: str | None,
    experiment: int,
    repeat: int,
    virtual: int | None,
    metrics: int,
) -> int:
    """Return the checksum of how a task went, in the order of the columns of `sql.OUTLINES`.

    The numbers, as bytes, are one large integer, and this is its remainder: no flipped bit leaves it as it is, and
    that of many rows is taken at once by a few calls of NumPy (`columns`).
    """
    numbers = _FACTS(
        done,
        started,
        runtime,
        UNKNOWN if cpu_time is None else cpu_time,
        UNKNOWN if memory is None else memory,
        experiment,
        repeat,
        UNKNOWN if virtual is None else virtual,
        metrics,
    )
    total = int.from_bytes(numbers, "little") % PRIME
    return total if failure is None else (total + failure_sum(failure)) % PRIME


def facts_sums(
    started: Sequence[float],
    runtime: Sequence[float],
    cpu_time: Sequence[float | None],
    memory: Sequence[int | None],
    experiment: int,
    repeats: Sequence[int],
    virtual: Sequence[int | None],
) -> list[int]:
    """Return the `facts_sum` of many tasks that are done and have recorded no metrics."""
    cpu, peak, most = (
        [UNKNOWN if measure is None else measure for measure in measures] if None in measures else measures
        for measures in (cpu_time, memory, virtual)
    )
    numbers = map(
        _FACTS, repeat(1), started, runtime, cpu, peak, repeat(experiment), repeats, most, repeat(0)
    )
    return [number % PRIME for number in map(_from_bytes, numbers, repeat("little"))]


def failure_sum(text: str) -> int:
    """Return what a failure adds to the checksum of how its task went."""
    return zlib.crc32(text.encode("utf-8", "backslashreplace"))


def curve_sum(
    task: int,
    name: str,
    count: int,
    last: float | None,
    minimum: float | None,
    maximum: float | None,
    data_sum: int,
) -> int:
    """Return the checksum of a metric, but for its data, which have their own.

    A number that is no number is stored as NULL, and -0.0 as 0.0.
    """
    ends = [math.nan if x is None or x != x else x + 0.0 for x in (last, minimum, maximum)]
    return zlib.crc32(
        name.encode("utf-8", "backslashreplace"), zlib.crc32(_CURVE(task, count, *ends, data_sum))
    )
