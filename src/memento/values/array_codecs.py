"""Codecs of arrays and of tables, in formats that other programs read.

Knows: NumPy, pandas and PyArrow, when the one is loaded and the other installed. May not know: files, the index.

A frame that would come back even slightly different from Arrow (other dtypes, a frequency, attributes, objects that are
not text) is not taken: before the bytes are used, they are read back and compared.
"""

from __future__ import annotations

import io
from typing import Any

from memento.values.buffers import flat
from memento.values.codecs import Codec

_SERIES = b"memento.series"
_LARGE = 1 << 20  # bytes of a frame whose columns are worth leaving where they are
_MOST_APART = 64  # columns; from 100 on pandas warns that a frame is fragmented


class Npy(Codec):
    """NumPy's own format, for arrays whose header tells all of their dtype."""

    name, types, suffix, safe = "npy", ("numpy:ndarray",), ".npy", True

    def dump(self, value: Any) -> list[memoryview] | None:
        return _as_npy(value) if not value.dtype.hasobject and _plain_dtype(value.dtype) else None

    def load(self, content: memoryview, version: int) -> Any:
        return _read_npy(content)


def _plain_dtype(dtype: Any) -> bool:
    """Say whether a npy header describes the dtype whole (metadata and dtypes of other packages are lost)."""
    return dtype.isbuiltin != 2 and dtype.metadata is None and (dtype.names is None or _plain_record(dtype))


def _plain_record(dtype: Any) -> bool:
    import numpy

    described = numpy.lib.format.descr_to_dtype(numpy.lib.format.dtype_to_descr(dtype))
    return (
        bool(described == dtype and described.isalignedstruct == dtype.isalignedstruct)
        and dtype.type is numpy.void
    )


def _as_npy(array: Any) -> list[memoryview]:
    """Return a npy file as header and memory; only an array that is not contiguous is copied."""
    import numpy

    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = numpy.ascontiguousarray(array)
    head = io.BytesIO()
    numpy.lib.format.write_array_header_1_0(head, numpy.lib.format.header_data_from_array_1_0(array))
    memory = array if array.flags.c_contiguous else array.T
    # Through bytes: datetime64 and float16 have no buffer format of their own.
    return [
        flat(head.getvalue()),
        flat(memory.reshape(-1).view(numpy.uint8)) if array.nbytes else memoryview(b""),
    ]


def _read_npy(content: memoryview) -> Any:
    import numpy

    head = io.BytesIO(content[:65_536])
    version = numpy.lib.format.read_magic(head)
    read = (
        numpy.lib.format.read_array_header_1_0
        if version == (1, 0)
        else numpy.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(head)
    body = content[head.tell() :]
    flat_array = numpy.frombuffer(body, dtype=numpy.uint8) if body.nbytes else numpy.empty(0, numpy.uint8)
    if not flat_array.size:
        return numpy.empty(shape, dtype, order="F" if fortran else "C")
    return flat_array.view(dtype).reshape(shape, order="F" if fortran else "C")


class Arrow(Codec):
    """Arrow's file format, for frames and series of pandas that it gives back unchanged."""

    name, suffix, safe = "arrow", ".arrow", True
    types = (
        "pandas.core.frame:DataFrame",
        "pandas.core.series:Series",
        "pandas:DataFrame",  # pandas 3
        "pandas:Series",
    )

    def dump(self, value: Any) -> list[Any] | None:
        return _to_arrow(value)

    def load(self, content: memoryview, version: int) -> Any:
        return _from_arrow(content)


def _to_arrow(value: Any) -> list[Any] | None:
    """Return a frame or series as the pieces of an Arrow file, or None where it would not come back the same."""
    import pandas

    if type(value) is pandas.Series:
        frame, series = value.to_frame("value" if value.name is None else value.name), value
    elif type(value) is pandas.DataFrame:
        frame, series = value, None
    else:
        return None
    if not _may_be_exact(frame, value):
        return None
    try:
        import pyarrow
    except ImportError:
        return None
    try:
        table = pyarrow.Table.from_pandas(frame)
    except (pyarrow.ArrowException, TypeError, ValueError):
        return None
    if series is not None:
        how = b"unnamed" if series.name is None else b"named"
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _SERIES: how})
    if not _same(_as_pandas(table), value):
        return None
    pieces = _Pieces()
    with pyarrow.ipc.new_file(pyarrow.PythonFile(pieces, mode="w"), table.schema) as writer:
        writer.write_table(table)
    return pieces.written


class _Pieces(io.RawIOBase):
    """A file that keeps what Arrow writes to it: columns where they are, in the frame's own memory."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.written.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size


def _from_arrow(content: memoryview) -> Any:
    """Return the frame or series; columns of a large one that have no missing values stay where they are."""
    from memento.optional_packages import imported

    what = "a pandas value that is stored in Arrow's format"
    pyarrow, ipc = imported("pyarrow", what, "arrow"), imported("pyarrow.ipc", what, "arrow")
    return _as_pandas(ipc.open_file(pyarrow.py_buffer(content)).read_all(), content)


def _as_pandas(table: Any, content: memoryview | None = None) -> Any:
    """Return a table that was read from `content`, or that nobody is given, as what it was."""
    how = (table.schema.metadata or {}).get(_SERIES)
    if table.nbytes < _LARGE or table.num_columns > _MOST_APART:
        frame = table.to_pandas()
    else:
        frame = table.to_pandas(split_blocks=True)
        if content is not None:
            frame = _writable(frame, content)
    if how is None:
        return frame
    series = frame.iloc[:, 0]
    return series.rename(None) if how == b"unnamed" else series


def _writable(frame: Any, content: memoryview) -> Any:
    """Return a frame whose columns may be changed: those that lie in `content`, where they are.

    Arrow leaves numbers without missing ones where they are, but locks them.
    """
    import numpy
    import pandas

    memory = numpy.frombuffer(content, numpy.uint8)
    start = _address(memory)
    columns: dict[int, Any] = {}
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        values = column.array
        if isinstance(column.dtype, numpy.dtype) and column.dtype.kind in "iufM":
            array = column.to_numpy()
            at = _address(array) - start
            if 0 <= at <= memory.nbytes - array.nbytes and array.flags.c_contiguous:
                values = memory[at : at + array.nbytes].view(array.dtype)
        elif column.dtype.kind == "M":  # with a time zone
            values = values.copy()
        columns[number] = values
    made = pandas.DataFrame(columns, index=frame.index, copy=False)
    made.columns = frame.columns
    return made


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _may_be_exact(frame: Any, value: Any) -> bool:
    """Sort out, without looking at the data, what Arrow cannot hold or what comparing would not show."""
    import pandas

    columns = frame.columns
    if type(columns) is not pandas.Index or columns.nlevels != 1 or not columns.is_unique:
        return False
    if value.attrs or not value.flags.allows_duplicate_labels:
        return False
    if not all(type(name) is str for name in columns):
        return False
    index = frame.index
    if type(index) not in (pandas.RangeIndex, pandas.Index, pandas.DatetimeIndex) or index.dtype == object:
        return False
    return all(_plain(dtype) for dtype in frame.dtypes)


def _plain(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", "O")
    return kind in "biufM" or (kind == "O" and str(dtype) in ("str", "string"))


def _same(back: Any, value: Any) -> bool:
    """Say whether a frame came back with the same content, dtypes, labels and names."""
    import pandas

    if type(back) is not type(value) or type(back.index) is not type(value.index):
        return False
    if getattr(back.index, "freq", None) != getattr(value.index, "freq", None):
        return False
    compare: Any = (
        pandas.testing.assert_frame_equal
        if isinstance(value, pandas.DataFrame)
        else pandas.testing.assert_series_equal
    )
    try:
        compare(back, value, check_exact=True, check_freq=True)
    except AssertionError:
        return False
    return True
