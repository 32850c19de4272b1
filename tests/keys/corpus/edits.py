# ruff: noqa: E501 - a table of edits
# mypy: disable-error-code="misc,call-overload,call-arg"
"""Change the values of libraries whose parts are kept in C, by the libraries' own API.

Knows: what may be another in a value of each type. May not know: how keys are made.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any


def edits_of(value: Any) -> dict[str, Callable[[], Any]] | None:
    """Return ways to change the values of libraries whose parts are kept in C; None for all else."""
    for base in type(value).__mro__:
        edit = _EDITS.get((str(base.__module__).partition(".")[0], base.__name__))
        if edit is not None:
            return edit(value)
    return None


def _date(value: Any) -> dict[str, Callable[[], Any]]:
    names = [
        n
        for n in ("year", "month", "day", "hour", "minute", "second", "microsecond", "fold")
        if hasattr(value, n)
    ]
    limits = {"fold": 1, "hour": 22, "month": 11}
    edits: dict[str, Callable[[], Any]] = {
        f".{n}": lambda n=n: value.replace(
            **{n: getattr(value, n) + (1 if getattr(value, n) < limits.get(n, 27) else -1)}
        )
        for n in names
    }
    if hasattr(value, "tzinfo"):
        other = datetime.timezone(datetime.timedelta(hours=5), "five")
        edits[".tzinfo"] = lambda: value.replace(tzinfo=other)
        edits[".zone name"] = lambda: value.replace(
            tzinfo=datetime.timezone(value.utcoffset() or datetime.timedelta(0), "named")
        )
    return edits


def _array(value: Any) -> dict[str, Callable[[], Any]]:
    import numpy as np

    def changed(place: int) -> Any:
        other = value.copy()
        flat = other.reshape(-1)
        item = flat[place]
        if value.dtype.names:
            name = value.dtype.names[place]
            other[name].reshape(-1)[0] = _next(other[name].reshape(-1)[0])
        else:
            flat[place] = _next(item)
        return flat.reshape(value.shape) if type(value) is np.ndarray else other

    edits: dict[str, Callable[[], Any]] = {".first": lambda: changed(0), ".last": lambda: changed(-1)}
    edits |= {
        ".shape": lambda: value.reshape((*value.shape, 1)), ".length": lambda: np.concatenate([value, value]),
        ".dtype": lambda: value.astype(object if value.dtype.kind != "O" else "S9"), ".list": value.tolist,
    }  # fmt: skip
    if not value.size:
        edits = {
            ".shape": lambda: np.zeros((1, *value.shape), value.dtype),
            ".dtype": lambda: value.astype("i1"),
        }
    if isinstance(value, np.ma.MaskedArray):
        edits[".mask"] = lambda: np.ma.masked_array(value.data, mask=True)
        edits[".fill"] = lambda: np.ma.masked_array(value.data, value.mask, fill_value=77)
    return edits


def _next(item: Any) -> Any:
    import numpy as np

    if isinstance(item, (bool, np.bool_)):
        return not item
    if isinstance(item, np.datetime64):
        return np.datetime64(1, np.datetime_data(item.dtype)[0]) if np.isnat(item) else item + 1
    if isinstance(item, (float, np.floating)):
        return 1.5 if np.isnan(item) else np.nextafter(item, np.inf, dtype=np.asarray(item).dtype)
    if isinstance(item, str):
        return item[:-1] + "z"
    if isinstance(item, bytes):
        return item[:-1] + b"z"
    return item + 1 if isinstance(item, (int, complex, np.number)) else "other"


def _scalar(value: Any) -> dict[str, Callable[[], Any]]:
    import numpy as np

    if value.dtype.names:
        return {}
    edits: dict[str, Callable[[], Any]] = {
        ".value": lambda: type(value)(_next(value)),
        ".array": lambda: np.asarray(value),
    }
    if value.dtype.kind in "mM":
        edits[".unit"] = lambda: value.astype(value.dtype.kind + "8[fs]")
    return edits


def _dtype(value: Any) -> dict[str, Callable[[], Any]]:
    import numpy as np

    return {
        ".kind": lambda: np.dtype("i2"), ".metadata": lambda: np.dtype(value, metadata={"unit": "other"}),
        ".within": lambda: np.dtype([("x", value)]), ".sub": lambda: np.dtype((value, (3,))),
    }  # fmt: skip


def _generator(value: Any) -> dict[str, Callable[[], Any]]:
    import numpy as np

    def spawned() -> Any:
        import copy

        other = copy.deepcopy(value)
        other.spawn(1)
        return other

    def drawn() -> Any:
        import copy

        other = copy.deepcopy(value)
        other.random_raw() if hasattr(other, "random_raw") else other.random() if hasattr(
            other, "random"
        ) else other.rand()
        return other

    if value is np.random.mtrand._rand:
        return {}
    return {".state": drawn, ".spawned": spawned}


def _seeds(value: Any) -> dict[str, Callable[[], Any]]:
    import numpy as np

    return {
        ".entropy": lambda: np.random.SeedSequence(99),
        ".key": lambda: np.random.SeedSequence(value.entropy, spawn_key=(1,)),
    }


def _sparse(value: Any) -> dict[str, Callable[[], Any]]:
    def edited(change: Callable[[Any], Any]) -> Callable[[], Any]:
        def make() -> Any:
            coo = value.tocoo(copy=True)
            change(coo)
            return coo.asformat(value.format)

        return make

    def number(coo: Any) -> None:
        coo.data[0] += 1

    def place(axis: int) -> Callable[[Any], None]:
        def change(coo: Any) -> None:
            coo.coords[axis][0] = (coo.coords[axis][0] + 1) % coo.shape[axis]

        return change

    edits = {".data": edited(number), ".dtype": lambda: value.astype("f4")}
    return edits | {f".coords[{axis}]": edited(place(axis)) for axis in range(value.ndim)}


def _points(value: Any) -> dict[str, Callable[[], Any]]:
    moved = value.data.copy()
    moved[-1, -1] += 1
    more: dict[str, Any] = (
        {".leafsize": lambda: type(value)(value.data, leafsize=99)} if hasattr(value, "leafsize") else {}
    )
    return {".data": lambda: type(value)(moved), **more}


def _frame(value: Any) -> dict[str, Callable[[], Any]]:
    edits: dict[str, Callable[[], Any]] = {}

    def cell(i: int) -> Any:
        other = value.copy()
        column = other.iloc[:, i].astype(object)
        column.iloc[0] = "other"
        other.isetitem(i, column)
        return other

    for i in range(value.shape[1]):
        edits[f".cell[{i}]"] = lambda i=i: cell(i)
        edits[f".name[{i}]"] = lambda i=i: value.set_axis(
            [*value.columns[:i], "other", *value.columns[i + 1 :]], axis=1
        )
    return edits | {
        ".index": lambda: value.set_axis([*value.index[:-1], 77]), ".index name": lambda: value.rename_axis("other"),
        ".rows": lambda: value.iloc[:-1], ".attrs": lambda: _with_attrs(value), ".flags": lambda: value.set_flags(allows_duplicate_labels=False),
        ".dtype": lambda: value.astype(object), ".column": lambda: value.assign(other=1), ".columns": lambda: value.iloc[:, ::-1],
    } if len(value) else {".column": lambda: value.assign(other=[1])}  # fmt: skip


def _series(value: Any) -> dict[str, Callable[[], Any]]:
    def cell() -> Any:
        other = value.astype(object)
        other.iloc[0] = "other"
        return other

    return {
        ".cell": cell, ".missing": lambda: value.where([False, *[True] * (len(value) - 1)]), ".name": lambda: value.rename("other"),
        ".index": lambda: value.set_axis([*value.index[:-1], 77]), ".attrs": lambda: _with_attrs(value),
        ".dtype": lambda: value.astype("category"), ".rows": lambda: value.iloc[:-1], ".frame": lambda: value.to_frame(),
    }  # fmt: skip


def _with_attrs(value: Any) -> Any:
    other = value.copy()
    other.attrs["note"] = "other"
    return other


def _index(value: Any) -> dict[str, Callable[[], Any]]:
    return {
        ".label": lambda: value.insert(0, value[-1])[:-1] if len(value) > 1 else value[:0], ".name": lambda: value.rename([f"o{i}" for i in range(value.nlevels)] if value.nlevels > 1 else "other"),
        ".length": lambda: value[:-1], ".dtype": lambda: value.astype(object), ".freq": lambda: value._with_freq(None),
    }  # fmt: skip


def _moment(value: Any) -> dict[str, Callable[[], Any]]:
    import pandas as pd

    edits: dict[str, Callable[[], Any]] = {".nanosecond": lambda: value + pd.Timedelta(1, "ns")}
    if hasattr(value, "tz"):
        for name in ("Asia/Tokyo", datetime.timezone(datetime.timedelta(hours=2), "X")):
            edits[f".zone {name}"] = lambda name=name: (
                value.tz_localize(name) if value.tz is None else value.tz_convert(name)
            )
    return edits


def _interval(value: Any) -> dict[str, Callable[[], Any]]:
    import pandas as pd

    return {
        ".left": lambda: pd.Interval(value.left - 1, value.right, value.closed), ".right": lambda: pd.Interval(value.left, value.right + 1, value.closed),
        ".closed": lambda: pd.Interval(value.left, value.right, "both"), ".kind": lambda: pd.Interval(float(value.left), value.right, value.closed),
    }  # fmt: skip


def _offset(value: Any) -> dict[str, Callable[[], Any]]:
    given = {**value.kwds, "n": value.n, "normalize": value.normalize}
    given.pop("calendar", None)
    holidays = (
        {".holidays": lambda: type(value)(**{**given, "holidays": ["2025-07-04"]})}
        if "holidays" in given
        else {}
    )
    return {
        ".n": lambda: type(value)(**{**given, "n": 7}),
        ".normalize": lambda: type(value)(**{**given, "normalize": True}),
        **holidays,
    }


def _pandas_dtype(value: Any) -> dict[str, Callable[[], Any]]:
    import pandas as pd

    makers: dict[str, list[Callable[[], Any]]] = {
        "CategoricalDtype": [
            lambda: pd.CategoricalDtype(["a", "c"]),
            lambda: pd.CategoricalDtype(["a", "b"], ordered=True),
        ],
        "SparseDtype": [lambda: pd.SparseDtype(float, 1.0), lambda: pd.SparseDtype("f4", 0.0)],
        "DatetimeTZDtype": [
            lambda: pd.DatetimeTZDtype(tz="Asia/Tokyo"),
            lambda: pd.DatetimeTZDtype("us", "UTC"),
        ],
        "IntervalDtype": [lambda: pd.IntervalDtype("f8"), lambda: pd.IntervalDtype("int64", "both")],
        "PeriodDtype": [lambda: pd.PeriodDtype("D"), lambda: pd.PeriodDtype("3M")],
        "Int64Dtype": [lambda: pd.Int32Dtype()],
    }
    return {f".{i}": make for i, make in enumerate(makers.get(type(value).__name__, []))}


def _polars_frame(value: Any) -> dict[str, Callable[[], Any]]:
    import polars as pl

    edits: dict[str, Callable[[], Any]] = {".column": lambda: value.with_columns(pl.lit(1).alias("other"))}
    for name in value.columns:
        edits |= {
            f".name[{name}]": lambda name=name: value.rename({name: "other"}), f".null[{name}]": lambda name=name: value.with_columns(pl.lit(None).alias(name)),
        }  # fmt: skip
    return edits | ({".rows": lambda: value[:-1], ".order": lambda: value[:, ::-1]} if value.width else {})


def _polars_series(value: Any) -> dict[str, Callable[[], Any]]:
    import polars as pl

    edits: dict[str, Callable[[], Any]] = {
        ".name": lambda: value.rename("other"), ".length": lambda: value[:-1], ".null": lambda: pl.concat([value[:-1], pl.Series([None], dtype=value.dtype)]),
        ".frame": value.to_frame, ".object": lambda: pl.Series(value.name, value.to_list(), dtype=pl.Object),
    }  # fmt: skip
    if value.dtype.is_temporal():
        edits[".tick"] = lambda: (value.to_physical() + 1).cast(value.dtype)
    if value.null_count() == len(value):
        del edits[".null"]
    return edits


def _polars_dtype(value: Any) -> dict[str, Callable[[], Any]]:
    import polars as pl

    return {
        ".list": lambda: pl.List(value), ".array": lambda: pl.Array(value, 3), ".field": lambda: pl.Struct({"x": value}), ".enum": lambda: pl.Enum(["a", "c"]),
        ".zone": lambda: pl.Datetime("ns", "Asia/Tokyo"), ".unit": lambda: pl.Datetime("ms", "UTC"),
    }  # fmt: skip


def _arrow_table(value: Any) -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    edits: dict[str, Callable[[], Any]] = {
        ".metadata": lambda: value.replace_schema_metadata({"note": "other"}), ".rows": lambda: value.slice(1),
    }  # fmt: skip
    for i, name in enumerate(value.schema.names):
        edits |= {
            f".name[{i}]": lambda i=i: value.rename_columns([*value.schema.names[:i], "other", *value.schema.names[i + 1 :]]),
            f".cells[{i}]": lambda i=i, name=name: value.set_column(i, name, pa.nulls(value.num_rows, value.schema.field(i).type)),
            f".field[{i}]": lambda i=i: value.cast(value.schema.set(i, value.schema.field(i).with_metadata({"k": "v"}))),
        }  # fmt: skip
    return edits


def _arrow_array(value: Any) -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    whole = value.combine_chunks() if hasattr(value, "combine_chunks") else value
    edits: dict[str, Callable[[], Any]] = {".length": lambda: value.slice(1)}
    if not pa.types.is_null(value.type):
        edits[".null"] = lambda: pa.concat_arrays([whole.slice(0, len(whole) - 1), pa.nulls(1, value.type)])
    if pa.types.is_temporal(value.type):
        edits[".tick"] = lambda: pa.array(
            [x + 1 for x in whole.view(f"int{value.type.bit_width}").to_pylist()],
            f"int{value.type.bit_width}",
        ).view(value.type)
    return edits


def _arrow_scalar(value: Any) -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    return {
        ".value": lambda: pa.scalar(2 if not pa.types.is_string(value.type) else "b", value.type),
        ".null": lambda: pa.scalar(None, value.type),
        ".type": lambda: pa.scalar(3, pa.int8()),
    }


def _arrow_type(value: Any) -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    return {
        ".list": lambda: pa.list_(value), ".field": lambda: pa.struct([pa.field("a", value, metadata={"k": "v"})]), ".nullable": lambda: pa.struct([pa.field("a", value, nullable=False)]),
        ".plain": lambda: pa.struct([pa.field("a", value)]), ".named": lambda: pa.struct([pa.field("b", value)]), ".ordered": lambda: pa.dictionary(pa.int8(), value, ordered=True), ".dictionary": lambda: pa.dictionary(pa.int8(), value),
    }  # fmt: skip


def _arrow_field(value: Any) -> dict[str, Callable[[], Any]]:
    import pyarrow as pa

    return {
        ".name": lambda: value.with_name("other"), ".type": lambda: value.with_type(pa.string()), ".nullable": lambda: value.with_nullable(True), ".metadata": lambda: value.with_metadata({"unit": "other"}),
    }  # fmt: skip


def _arrow_schema(value: Any) -> dict[str, Callable[[], Any]]:
    return {".metadata": lambda: value.with_metadata({"k": "other"}), ".bare": value.remove_metadata, **{
        f".field{name}": lambda make=make: value.set(0, make()) for name, make in _arrow_field(value.field(0)).items()
    }}  # fmt: skip


def _tensor(value: Any) -> dict[str, Callable[[], Any]]:
    import torch

    def changed() -> Any:
        other = value.detach().clone()
        flat = other.reshape(-1)
        flat[-1] = not flat[-1] if flat.dtype is torch.bool else flat[-1] + 1
        return (
            torch.nn.Parameter(other)
            if isinstance(value, torch.nn.Parameter)
            else other.requires_grad_(value.requires_grad)
        )

    edits: dict[str, Callable[[], Any]] = {
        ".dtype": lambda: value.detach().to(torch.float64),
        ".grad": lambda: value.detach().clone().requires_grad_(not value.requires_grad),
    }
    if value.layout is torch.strided and not value.is_quantized and not value.is_nested and value.numel():
        edits |= {".element": changed, ".shape": lambda: value.detach()[None]}
    return edits


def _torch_generator(value: Any) -> dict[str, Callable[[], Any]]:
    import torch

    def other() -> Any:
        made = torch.Generator()
        made.manual_seed(99)
        return made

    return {} if value is torch.default_generator else {".state": other}


def _others(*values: Callable[[], Any]) -> Callable[[Any], dict[str, Callable[[], Any]]]:
    return lambda _: {f".{i}": make for i, make in enumerate(values)}


_NOTHING = _others()
_EDITS: dict[tuple[str, str], Callable[[Any], dict[str, Callable[[], Any]]]] = {
    ("datetime", "date"): _date, ("datetime", "time"): _date,
    ("numpy", "ndarray"): _array, ("numpy", "generic"): _scalar, ("numpy", "dtype"): _dtype, ("numpy", "Generator"): _generator,
    ("numpy", "BitGenerator"): _generator, ("numpy", "RandomState"): _generator, ("numpy", "SeedSequence"): _seeds, ("numpy", "ufunc"): _NOTHING,
    ("scipy", "_spbase"): _sparse, ("scipy", "cKDTree"): _points,
    ("sklearn", "BinaryTree64"): _points, ("sklearn", "BinaryTree"): _points,
    ("pandas", "DataFrame"): _frame, ("pandas", "Series"): _series, ("pandas", "Index"): _index, ("pandas", "Timestamp"): _moment,
    ("pandas", "Timedelta"): _moment, ("pandas", "Interval"): _interval, ("pandas", "BaseOffset"): _offset, ("pandas", "ExtensionDtype"): _pandas_dtype,
    ("pandas", "ExtensionArray"): _NOTHING, ("pandas", "NaTType"): _NOTHING, ("pandas", "NAType"): _NOTHING, ("pandas", "Period"): _NOTHING,
    ("polars", "DataFrame"): _polars_frame, ("polars", "Series"): _polars_series, ("polars", "DataType"): _polars_dtype,
    ("pyarrow", "Table"): _arrow_table, ("pyarrow", "RecordBatch"): _arrow_table, ("pyarrow", "Array"): _arrow_array,
    ("pyarrow", "ChunkedArray"): _arrow_array, ("pyarrow", "Scalar"): _arrow_scalar, ("pyarrow", "DataType"): _arrow_type,
    ("pyarrow", "Field"): _arrow_field, ("pyarrow", "Schema"): _arrow_schema,
    ("torch", "Tensor"): _tensor, ("torch", "Generator"): _torch_generator, ("torch", "dtype"): _NOTHING, ("torch", "device"): _NOTHING,
    ("torch", "layout"): _NOTHING, ("torch", "TensorBase"): _tensor,
}  # fmt: skip
