"""Pickle as buffers what its library would copy into the pickle: such memory can stand in a file and be mapped.

Knows: libraries that are loaded already, by the names of their types. May not know: who pickles, files.

Most arrays and frames do so by themselves. Here are mapped arrays, matrices and records of NumPy; tensors; frames and
series of polars, which has no buffers in its pickles, but gives and takes Arrow's without a copy.
"""

from __future__ import annotations

import sys
from typing import Any

from memento.values.torch_storages import reduce_storage

_LEAST = 1 << 20  # bytes of a polars frame; to import Arrow for less takes longer than to copy it


def reduce_memory(obj: Any) -> Any:
    """Pickle an object by its buffers, as `Pickler.reducer_override` has it; NotImplemented for all else."""
    kind = type(obj)
    library = str(kind.__module__).partition(".")[0]  # some classes have something else there
    if library == "numpy":
        numpy: Any = sys.modules["numpy"]
        if kind in (numpy.memmap, numpy.matrix, numpy.recarray):
            return _viewed, (kind, obj.view(numpy.ndarray))
    elif library == "polars":
        polars: Any = sys.modules["polars"]
        if kind in (polars.DataFrame, polars.Series) and obj.estimated_size() >= _LEAST:
            return _reduce_polars(obj, polars)
    elif library == "torch":
        return reduce_storage(obj)
    return NotImplemented


def _viewed(kind: Any, array: Any) -> Any:
    return array.view(kind)


def _reduce_polars(frame: Any, polars: Any) -> Any:
    """Pickle a frame or series as Arrow's; as polars does it where Arrow is not there, or has no such types."""
    try:
        arrow = frame.to_arrow(compat_level=polars.CompatLevel.newest())
        name = frame.name if isinstance(frame, polars.Series) else None
        made = _from_arrow(arrow, name)
        told = [(x.dtype if name is not None else x.schema, type(x)) for x in (frame, made)]
    except Exception:  # whatever two libraries raise that do not know each other's newest types
        return NotImplemented
    return (_from_arrow, (arrow, name)) if told[0] == told[1] else NotImplemented


def _from_arrow(arrow: Any, name: str | None) -> Any:
    import polars

    made: Any = polars.from_arrow(arrow, rechunk=False)
    return made if name is None else made.alias(name)
