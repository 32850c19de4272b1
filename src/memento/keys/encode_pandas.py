"""Encode data frames, series, indexes and their types of pandas, and the labelled arrays of xarray.

Knows: what makes two tables equal: names, types and content, whatever blocks hold them. May not know: the libraries,
which come in as arguments and are never imported; tables of Arrow, see `columns`.
"""

from __future__ import annotations

import sys
from typing import Any

from memento.keys.encode import Encoder, frame, integer, node, text
from memento.keys.encode_numpy import array
from memento.keys.ignored_state import library_of

# -- pandas ----------------------------------------------------------------------------------------------


def encode_pandas(enc: Encoder, value: Any, pd: Any) -> bytes | None:
    """Return the frame of a pandas value, or None for other values."""
    if isinstance(value, pd.DataFrame):
        labels = enc.at(".columns", value.columns) + enc.at(".index", value.index)
        arrays = [(name, value.iloc[:, i].array) for i, name in enumerate(value.columns)]
        columns = [enc.under(f"[{name!r:.80}]", _values, enc, array, pd) for name, array in arrays]
        return node("frame", enc.encode(type(value)), labels, *columns, _beside(enc, value))
    if isinstance(value, pd.Series):
        labels = enc.at(".name", value.name) + enc.at(".index", value.index)
        content = _values(enc, value.array, pd)
        return node("series", enc.encode(type(value)), labels, content, _beside(enc, value))
    if isinstance(value, pd.MultiIndex):
        levels = [_values(enc, value.get_level_values(i).array, pd) for i in range(value.nlevels)]
        return node("multiindex", enc.at(".names", list(value.names)), *levels)
    if isinstance(value, pd.Index):
        timed = isinstance(value, (pd.DatetimeIndex, pd.TimedeltaIndex))
        freq = getattr(value, "freq", None) if timed else None
        more = enc.at(".freq", freq) if freq is not None else b""  # a model of a time series may go by it
        if library_of(type(value)) != "pandas":
            more += enc.encode(type(value))
        return node("index", enc.at(".name", value.name), _values(enc, value.array, pd), more)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return node("values", _values(enc, value, pd))
    if isinstance(value, pd.tseries.offsets.BaseOffset):
        return _offset(enc, value)
    return _encode_scalar(enc, value, pd)


def _beside(enc: Encoder, value: Any) -> bytes:
    """Return the frame of what a frame or series holds beside its table; nothing where that is nothing."""
    held = {name: getattr(value, name, None) for name in value._metadata if name not in ("name", "_name")}
    if value.attrs:
        held["attrs"] = value.attrs
    if not value.flags.allows_duplicate_labels:
        held["flags"] = False
    return enc.extra(held)


def _encode_scalar(enc: Encoder, value: Any, pd: Any) -> bytes | None:
    if value is pd.NaT or value is pd.NA:
        return node("missing", text(repr(value)))
    if isinstance(value, pd.Timestamp):
        moment = text(value.tz_localize(None).isoformat())
        return node("timestamp", moment, _zone(enc, value.tz), integer(value.fold))
    if isinstance(value, pd.Timedelta):
        return node("timedelta", text(value.isoformat()))
    if isinstance(value, pd.Period):
        return node("period", text(value.freqstr), integer(value.ordinal))
    if isinstance(value, pd.Interval):
        ends = enc.at(".left", value.left) + enc.at(".right", value.right)
        return node("interval", ends, text(value.closed))
    if isinstance(value, pd.api.extensions.ExtensionDtype):
        return node("dtype", _dtype(enc, value, pd))
    return None


def _offset(enc: Encoder, value: Any) -> bytes:
    """Return the frame of a frequency; its text leaves out holidays and more."""
    given = dict(value.kwds)
    calendar = given.pop("calendar", None)  # follows from the holidays
    if hasattr(calendar, "holidays") and hasattr(calendar, "weekmask"):
        given["calendar"] = (calendar.holidays, calendar.weekmask)
    parts = enc.at(".n", value.n), enc.encode(bool(value.normalize)), enc.fields(given)
    return node("offset", enc.encode(type(value)), *parts)


def _zone(enc: Encoder, zone: Any) -> bytes:
    """Return the frame of a time zone by its name, which pandas gives to one library or another."""
    for attribute in ("key", "zone"):
        name = getattr(zone, attribute, None)
        if isinstance(name, str):
            return node("zone", text(name))
    return enc.at(".tz", zone)


def _dtype(enc: Encoder, dtype: Any, pd: Any) -> bytes:
    if isinstance(dtype, pd.CategoricalDtype):
        return node("category", enc.at(".categories", dtype.categories), enc.encode(dtype.ordered))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return node("moments", _zone(enc, dtype.tz), text(dtype.unit))
    if isinstance(dtype, pd.IntervalDtype):
        return node("intervals", enc.encode(dtype.subtype), enc.encode(dtype.closed))
    if isinstance(dtype, pd.SparseDtype):
        return node("sparse", enc.encode(dtype.subtype), enc.at(".fill_value", dtype.fill_value))
    if isinstance(dtype, pd.ArrowDtype):
        return node("arrow", enc.encode(dtype.pyarrow_dtype))
    if isinstance(dtype, pd.StringDtype):
        return text(str(dtype))  # whether Arrow holds it depends on what is installed
    own = {name: getattr(dtype, name, None) for name in getattr(dtype, "_metadata", ())}
    return text(str(dtype)) + enc.extra(own)


def _values(enc: Encoder, values: Any, pd: Any) -> bytes:
    """Return the frame of one column's values by dtype and content."""
    np = sys.modules["numpy"]
    if isinstance(values, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray)):
        return _moments(enc, values, np)
    if type(values.dtype).__name__ in ("NumpyEADtype", "PandasDtype"):  # a plain array behind a thin front
        plain = values.to_numpy()
        # From pandas 3 on a column of text is of objects only where somebody wanted it so.
        as_objects = int(pd.__version__.partition(".")[0]) < 3
        return (_text(enc, plain) if as_objects else None) or array(enc, plain, np)
    if isinstance(values, pd.Categorical):
        order = enc.encode(bool(values.ordered))
        codes = values.codes.astype(np.int64)  # their width depends on the number of categories
        return node("categorical", order, enc.at(".categories", values.categories), array(enc, codes, np))
    if isinstance(values.dtype, pd.ArrowDtype):
        return node("arrow", enc.encode(values.__arrow_array__()))
    own = hasattr(values.dtype, "construct_from_string")
    name = _dtype(enc, values.dtype, pd) if own else text(str(values.dtype))
    if isinstance(values, pd.arrays.PeriodArray):
        return node("periods", name, array(enc, values.asi8, np))
    if isinstance(values, pd.arrays.IntervalArray):
        ends = [_values(enc, side.array, pd) for side in (values.left, values.right)]
        return node("intervals", name, *ends)
    if isinstance(values, pd.arrays.SparseArray):
        return node("sparse", name, array(enc, np.asarray(values), np))
    missing = np.asarray(values.isna())
    kind = getattr(values.dtype, "kind", "O")
    if kind in "biuf" and hasattr(values.dtype, "numpy_dtype") and str(values.dtype)[:1] in "BIUFb":
        filled = values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=values.dtype.numpy_dtype.type(0))
        return node("masked values", name, array(enc, filled, np), array(enc, missing, np))
    pairs = zip(values.tolist(), missing.tolist(), strict=True)
    elements = [None if gone else value for value, gone in pairs]
    return node("elements", name, enc.listed(elements))


def _text(enc: Encoder, values: Any) -> bytes | None:
    """Return the frame of a column of objects that are all text or missing, as of the dtype ``str``.

    pandas 2 keeps text as objects, pandas 3 as ``str``: the names of columns alone would change every key.
    """
    if values.dtype.kind != "O" or not len(values):
        return None
    elements = [None if x != x else x for x in values.tolist() if type(x) is str or type(x) is float]
    # None too: a task can tell it from nan.
    if len(elements) < len(values) or {*map(type, elements)} not in ({str}, {str, type(None)}):
        return None
    return node("elements", text("str"), enc.listed(elements))


_UNITS = ("ns", "us", "ms", "s")


def _moments(enc: Encoder, values: Any, np: Any) -> bytes:
    """Return the frame of times by what they are, not by the unit in which a release of pandas counts them."""
    ticks = values.asi8
    missing = np.asarray(values.isna())
    unit = _UNITS.index(getattr(values, "unit", "ns"))
    while unit + 1 < len(_UNITS) and not (ticks[~missing] % 1000).any():
        ticks, unit = np.where(missing, ticks, ticks // 1000), unit + 1
    kind = node(type(values).__name__, _zone(enc, getattr(values.dtype, "tz", None)), text(_UNITS[unit]))
    return node("moments", kind, array(enc, ticks, np))


# -- xarray ----------------------------------------------------------------------------------------------


def encode_xarray(enc: Encoder, value: Any, xr: Any) -> bytes | None:
    """Return the frame of a labelled array or a set of them by content, in memory yet or not; None for other values."""
    if isinstance(value, xr.Variable):
        held = value._data if hasattr(value._data, "dask") else value.values
        data = enc.at(".data", held)
        return node("variable", enc.encode(value.dims), data, enc.fields(_noted(value)))
    if isinstance(value, xr.DataArray):
        coords = {str(name): coord.variable for name, coord in value.coords.items()}
        parts = enc.at(".name", value.name), enc.at(".variable", value.variable), enc.fields(coords)
        return node("labelled array", enc.encode(type(value)), *parts, enc.at(".indexes", _indexes(value)))
    if isinstance(value, xr.Dataset):
        names = enc.encode((sorted(map(str, value.coords)), list(map(str, value.dims))))
        variables = enc.pairs(value.variables.items())
        noted = enc.fields(_noted(value)) + enc.at(".indexes", _indexes(value))
        return node("dataset", enc.encode(type(value)), names, frame(b"d", variables), noted)
    return None


def _noted(value: Any) -> dict[str, Any]:
    return {"attrs": dict(value.attrs), "encoding": dict(value.encoding)}


def _indexes(value: Any) -> dict[str, str]:
    return {str(name): type(index).__name__ for name, index in value._indexes.items()}
