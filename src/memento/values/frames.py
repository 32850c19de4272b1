"""Keep pandas frames as Arrow, where Arrow gives back the very same frame.

Knows: pandas and pyarrow, when the one is loaded and the other installed. May not know: files, the index.

A frame that would come back even slightly different (other dtypes, a frequency, attributes, objects that are not text)
is not for Arrow: the caller pickles it. Before the bytes are used, they are read back and compared.
"""

from __future__ import annotations

from typing import Any

from memento.errors import MissingExtra

_SERIES = b"memento.series"


def to_arrow(value: Any) -> bytes | None:
    """Return a frame or series as an Arrow file, or None where it would not come back the same."""
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
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data if _same(from_arrow(memoryview(data)), value) else None


def from_arrow(content: memoryview) -> Any:
    """Return the frame or series.

    Raises
    ------
    MissingExtra
        PyArrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] != "pyarrow":
            raise  # present but broken: show why
        raise MissingExtra("a pandas value that is stored in Arrow's format", "arrow") from exc
    table = pyarrow.ipc.open_file(pyarrow.py_buffer(content)).read_all()
    how = (table.schema.metadata or {}).get(_SERIES)
    frame = table.to_pandas()
    if how is None:
        return frame
    series = frame.iloc[:, 0]
    return series.rename(None) if how == b"unnamed" else series


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
