"""Encode data frames, series, indexes and tables of pandas, polars and PyArrow.

Knows: what makes two tables equal: names, types and content, whatever chunks or blocks hold them.
May not know: the libraries, which come in as arguments and are never imported.
"""

from __future__ import annotations

import sys

from memento.hints import Any
from memento.keys.arrays import array
from memento.keys.encode import Encoder, frame, integer, node, text

# -- pandas ----------------------------------------------------------------------------------------------


def encode_pandas(enc: Encoder, value: Any, pd: Any) -> bytes | None:
    """Return the frame of a pandas value, or None for other values."""
    if isinstance(value, pd.DataFrame):
        labels = enc.at(".columns", value.columns) + enc.at(".index", value.index)
        columns = [
            enc.under(f"[{name!r:.80}]", lambda i: _values(enc, value.iloc[:, i].array, pd), i)
            for i, name in enumerate(value.columns)
        ]
        return node("frame", enc.encode(type(value)), labels, *columns, *_beside(enc, value))
    if isinstance(value, pd.Series):
        labels = enc.at(".name", value.name) + enc.at(".index", value.index)
        content = _values(enc, value.array, pd)
        return node("series", enc.encode(type(value)), labels, content, *_beside(enc, value))
    if isinstance(value, pd.MultiIndex):
        levels = [_values(enc, value.get_level_values(i).array, pd) for i in range(value.nlevels)]
        return node("multiindex", enc.at(".names", list(value.names)), *levels)
    if isinstance(value, pd.Index):
        freq = (
            getattr(value, "freq", None) if isinstance(value, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None
        )
        more = [text(repr(freq))] if freq is not None else []  # a model of a time series may go by it
        return node("index", enc.at(".name", value.name), _values(enc, value.array, pd), *more)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return node("values", _values(enc, value, pd))
    return _encode_scalar(enc, value, pd)


def _beside(enc: Encoder, value: Any) -> list[bytes]:
    """Return the frame of what a frame or series holds beside its table; nothing where that is nothing."""
    held = {name: getattr(value, name, None) for name in value._metadata if name not in ("name", "_name")}
    if value.attrs:
        held["attrs"] = value.attrs
    if not value.flags.allows_duplicate_labels:
        held["flags"] = False
    return [enc.fields(held.items())] if held else []


def _encode_scalar(enc: Encoder, value: Any, pd: Any) -> bytes | None:
    if value is pd.NaT or value is pd.NA:
        return node("missing", text(repr(value)))
    if isinstance(value, pd.Timestamp):
        return node(
            "timestamp", text(value.tz_localize(None).isoformat()), text(str(value.tz)), integer(value.fold)
        )
    if isinstance(value, pd.Timedelta):
        return node("timedelta", text(value.isoformat()))
    if isinstance(value, pd.Period):
        return node("period", text(value.freqstr), integer(value.ordinal))
    if isinstance(value, pd.Interval):
        ends = enc.at(".left", value.left) + enc.at(".right", value.right)
        return node("interval", ends, text(value.closed))
    if isinstance(value, pd.CategoricalDtype):
        categories = enc.at(".categories", value.categories)
        return node("dtype", text("category"), categories, enc.encode(value.ordered))
    if isinstance(value, pd.api.extensions.ExtensionDtype):
        return node("dtype", text(str(value)))
    return None


def _values(enc: Encoder, values: Any, pd: Any) -> bytes:
    """Return the frame of one column's values by dtype and content."""
    np = sys.modules["numpy"]
    name = text(str(values.dtype))
    if isinstance(values, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray)):
        return _moments(enc, values, np)
    if type(values.dtype).__name__ in ("NumpyEADtype", "PandasDtype"):  # a plain array behind a thin front
        plain = values.to_numpy()
        # From pandas 3 on a column of text is of objects only where somebody wanted it so.
        return (_text(enc, plain) if _keeps_text_as_objects(pd) else None) or array(enc, plain, np)
    if isinstance(values, pd.Categorical):
        order = enc.encode(bool(values.ordered))
        codes = array(
            enc, values.codes.astype(np.int64), np
        )  # their width depends on the number of categories
        return node("categorical", order, enc.at(".categories", values.categories), codes)
    if isinstance(values, pd.arrays.PeriodArray):
        return node("periods", name, array(enc, values.asi8, np))
    if isinstance(values, pd.arrays.IntervalArray):
        return node(
            "intervals", name, _values(enc, values.left.array, pd) + _values(enc, values.right.array, pd)
        )
    if isinstance(values, pd.arrays.SparseArray):
        return node("sparse", name, array(enc, np.asarray(values), np))
    missing = np.asarray(values.isna())
    kind = getattr(values.dtype, "kind", "O")
    if kind in "biuf" and hasattr(values.dtype, "numpy_dtype") and str(values.dtype)[:1] in "BIUFb":
        filled = values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=values.dtype.numpy_dtype.type(0))
        return node("masked values", name, array(enc, filled, np), array(enc, missing, np))
    elements = [
        None if gone else value for value, gone in zip(values.tolist(), missing.tolist(), strict=True)
    ]
    return node("elements", name, frame(b"l", enc.sequence(elements)))


def _text(enc: Encoder, values: Any) -> bytes | None:
    """Return the frame of a column of objects that are all text or missing, as of the dtype ``str``.

    pandas 2 keeps text as objects, pandas 3 as ``str``: the names of columns alone would change every key.
    """
    if values.dtype.kind != "O" or not len(values):
        return None
    elements = [None if x != x else x for x in values.tolist() if type(x) is str or type(x) is float]
    if len(elements) < len(values) or not all(type(x) is str or x is None for x in elements):
        return None  # None too: a task can tell it from nan
    if all(x is None for x in elements):
        return None
    return node("elements", text("str"), frame(b"l", enc.sequence(elements)))


def _keeps_text_as_objects(pd: Any) -> bool:
    return int(pd.__version__.partition(".")[0]) < 3


_UNITS = ("ns", "us", "ms", "s")


def _moments(enc: Encoder, values: Any, np: Any) -> bytes:
    """Return the frame of times by what they are, not by the unit in which a release of pandas counts them."""
    ticks = values.asi8
    missing = np.asarray(values.isna())
    unit = _UNITS.index(getattr(values, "unit", "ns"))
    while unit + 1 < len(_UNITS) and not (ticks[~missing] % 1000).any():
        ticks, unit = np.where(missing, ticks, ticks // 1000), unit + 1
    kind = node(type(values).__name__, text(str(getattr(values.dtype, "tz", ""))), text(_UNITS[unit]))
    return node("moments", kind, array(enc, ticks, np))


# -- polars ----------------------------------------------------------------------------------------------


def encode_polars(enc: Encoder, value: Any, pl: Any) -> bytes | None:
    """Return the frame of a polars value, or None for other values."""
    if isinstance(value, pl.DataFrame):
        columns = [enc.under(f"[{s.name!r:.80}]", _polars_column, enc, s, pl) for s in value.get_columns()]
        return node("frame", text("polars"), integer(value.height), *columns)
    if isinstance(value, pl.Series):
        return node("series", text("polars"), _polars_column(enc, value, pl))
    if isinstance(value, pl.DataType):
        return node("dtype", text("polars"), text(str(value)))
    return None


def _polars_column(enc: Encoder, column: Any, pl: Any) -> bytes:
    head = text(column.name) + text(str(column.dtype))
    np = sys.modules.get("numpy")
    if np is not None and (column.dtype.is_numeric() or column.dtype == pl.Boolean) and _has_numpy(column):
        missing = column.is_null()
        filled = column.fill_null(False if column.dtype == pl.Boolean else 0)
        masks = array(enc, missing.to_numpy(), np) if missing.any() else b"0"
        return node("column", head, array(enc, filled.to_numpy(), np), masks)
    return node("column", head, frame(b"l", enc.sequence(column.to_list())))


def _has_numpy(column: Any) -> bool:
    return str(column.dtype) in (
        "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "Boolean",
    )  # fmt: skip


# -- PyArrow ---------------------------------------------------------------------------------------------


def encode_pyarrow(enc: Encoder, value: Any, pa: Any) -> bytes | None:
    """Return the frame of a PyArrow value, or None for other values; metadata and chunks do not count."""
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [
            text(f.name) + enc.under(f"[{f.name!r:.80}]", _arrow_column, enc, value.column(i))
            for i, f in enumerate(value.schema)
        ]
        return node("frame", text("pyarrow"), integer(value.num_rows), *columns)
    if isinstance(value, (pa.ChunkedArray, pa.Array)):
        return node("series", text("pyarrow"), _arrow_column(enc, value))
    if isinstance(value, pa.Scalar):
        return node("scalar", text(str(value.type)), enc.at(".as_py()", value.as_py()))
    if isinstance(value, (pa.DataType, pa.Field, pa.Schema)):
        return node("dtype", text("pyarrow"), text(str(value)))
    return None


def _arrow_column(enc: Encoder, column: Any) -> bytes:
    np = sys.modules.get("numpy")
    name = str(column.type)
    head = text(name)
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    if name.startswith("dictionary<") and chunks:  # words that no row uses count as well
        whole = column.unify_dictionaries() if hasattr(column, "chunks") else column
        words = frame(b"l", enc.sequence(getattr(whole, "chunks", [whole])[0].dictionary.to_pylist()))
        codes = [x for chunk in getattr(whole, "chunks", [whole]) for x in chunk.indices.to_pylist()]
        return node("column", head, words, frame(b"l", enc.sequence(codes)))
    if np is not None and column.null_count == 0 and name in _ARROW_NUMBERS:
        parts = [chunk.to_numpy(zero_copy_only=False) for chunk in chunks]
        whole = np.concatenate(parts) if len(parts) != 1 else parts[0]
        return node("column", head, array(enc, whole, np))
    return node("column", head, frame(b"l", enc.sequence(x for chunk in chunks for x in chunk.to_pylist())))


_ARROW_NUMBERS = frozenset(
    ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double", "bool")
)
