"""Encode frames, series, tables, arrays and types of polars and PyArrow.

Knows: how a column of any type is taken apart into numbers, texts and smaller columns, in whatever chunks it lies. May
not know: the libraries, which come in as arguments and are never imported.

Python's own times end at microseconds, so a column of times counts by the numbers that hold them, not by its values.
"""

from __future__ import annotations

import sys
from typing import Any

from memento.keys.encode import Encoder, frame, integer, node, text
from memento.keys.encode_numpy import array
from memento.keys.encode_object import attributes

# -- polars ----------------------------------------------------------------------------------------------


def encode_polars(enc: Encoder, value: Any, pl: Any) -> bytes | None:
    """Return the frame of a polars value, or None for other values."""
    if isinstance(value, pl.DataFrame):
        columns = [enc.under(f"[{s.name!r:.80}]", _polars_column, enc, s, pl) for s in value.get_columns()]
        return node("frame", _polars_class(enc, value), integer(value.height), *columns)
    if isinstance(value, pl.Series):
        return node("series", _polars_class(enc, value), _polars_column(enc, value, pl))
    if isinstance(value, (pl.DataType, pl.Field)):
        return node("dtype", _polars_type(enc, value, pl))
    return None


def _polars_class(enc: Encoder, value: Any) -> bytes:
    own = {name: part for name, part in attributes(value).items() if name not in ("_df", "_s", "_accessors")}
    return enc.encode(type(value)) + enc.extra(own)


def _polars_type(enc: Encoder, dtype: Any, pl: Any) -> bytes:
    """Return the frame of a type with all of its parts; its text leaves some out."""
    cls = dtype if isinstance(dtype, type) else type(dtype)
    parts = {} if isinstance(dtype, type) else vars(dtype)
    frames = [text(name) + _polars_part(enc, part, pl) for name, part in sorted(parts.items())]
    return node("polars", text(cls.__name__), *frames)


def _polars_part(enc: Encoder, part: Any, pl: Any) -> bytes:
    is_class = isinstance(part, type) and issubclass(part, pl.DataType)
    if is_class or isinstance(part, (pl.DataType, pl.Field)):
        return _polars_type(enc, part, pl)
    if isinstance(part, pl.Series):
        return enc.encode(part.to_list())
    if isinstance(part, (list, tuple)):
        return frame(b"l", b"".join([_polars_part(enc, item, pl) for item in part]))
    if type(part).__name__ == "Categories":
        return enc.encode((part.name(), part.namespace())) + _polars_part(enc, part.physical(), pl)
    return enc.encode(part)


def _polars_column(enc: Encoder, column: Any, pl: Any) -> bytes:
    dtype = column.dtype
    kind, values = _polars_type(enc, dtype, pl), _polars_values(enc, column, dtype, pl)
    return node("column", text(column.name), kind, values)


def _polars_values(enc: Encoder, column: Any, dtype: Any, pl: Any) -> bytes:
    if isinstance(dtype, pl.Struct):
        missing = enc.encode(column.is_null().to_list())
        parts = [_polars_values(enc, column.struct.field(f.name), f.dtype, pl) for f in dtype.fields]
        return node("struct", missing, *parts)
    if isinstance(dtype, (pl.List, pl.Array)):
        sizes = column.list.len() if isinstance(dtype, pl.List) else column.is_null()
        inner = column.explode() if len(column) else pl.Series([], dtype=dtype.inner)
        return node("lists", enc.encode(sizes.to_list()), _polars_values(enc, inner, inner.dtype, pl))
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)  # numbers of categories depend on what else the process has seen
    elif dtype.is_temporal():
        column = column.to_physical()
    np = sys.modules.get("numpy")
    if np is not None and type(column.dtype).__name__ in _POLARS_NUMBERS:
        missing = column.is_null()
        filled = column.fill_null(False if column.dtype == pl.Boolean else 0)
        masks = array(enc, missing.to_numpy(), np) if missing.any() else b"0"
        return array(enc, filled.to_numpy(), np) + masks
    return enc.listed(column.to_list())


_POLARS_NUMBERS = frozenset({
    "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "Boolean",
})  # fmt: skip


# -- PyArrow ---------------------------------------------------------------------------------------------


def encode_pyarrow(enc: Encoder, value: Any, pa: Any) -> bytes | None:
    """Return the frame of a PyArrow value, or None for other values; chunks do not count."""
    kind = text(type(value).__name__)
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [
            enc.under(f"[{f.name!r:.80}]", _arrow_column, enc, value.column(i), f.type, pa)
            for i, f in enumerate(value.schema)
        ]
        return node("frame", kind, integer(value.num_rows), _arrow_schema(enc, value.schema, pa), *columns)
    if isinstance(value, (pa.ChunkedArray, pa.Array)):
        whole = "chunked" if isinstance(value, pa.ChunkedArray) else "array"
        content = _arrow_column(enc, value, value.type, pa)
        return node("series", text(whole), _arrow_type(enc, value.type, pa), content)
    if isinstance(value, pa.Scalar):
        content = _arrow_column(enc, pa.repeat(value, 1), value.type, pa)
        return node("scalar", _arrow_type(enc, value.type, pa), content)
    if isinstance(value, pa.DataType):
        return node("dtype", _arrow_type(enc, value, pa))
    if isinstance(value, pa.Field):
        return node("field", _arrow_field(enc, value, pa))
    if isinstance(value, pa.Schema):
        return node("schema", _arrow_schema(enc, value, pa))
    return None


def _arrow_schema(enc: Encoder, schema: Any, pa: Any) -> bytes:
    fields = b"".join([_arrow_field(enc, field, pa) for field in schema])
    return frame(b"l", fields) + _arrow_metadata(enc, schema.metadata)


def _arrow_field(enc: Encoder, field: Any, pa: Any) -> bytes:
    head = text(field.name) + enc.encode(field.nullable) + _arrow_metadata(enc, field.metadata)
    return head + _arrow_type(enc, field.type, pa)


def _arrow_metadata(enc: Encoder, metadata: Any) -> bytes:
    held = dict(metadata or {})
    made = held.get(b"pandas")
    if made is not None:  # names the releases of pandas and PyArrow, which are no part of the table
        import json

        try:
            told = json.loads(made)
            held[b"pandas"] = {n: v for n, v in told.items() if n not in ("creator", "pandas_version")}
        except (ValueError, AttributeError):
            pass
    return enc.encode(held) if held else b"0"


def _arrow_type(enc: Encoder, dtype: Any, pa: Any) -> bytes:
    """Return the frame of a type with all of its fields; its text leaves out their metadata."""
    kinds = pa.types
    if isinstance(dtype, pa.BaseExtensionType):
        try:
            own = enc.encode(dtype.__arrow_ext_serialize__())
        except (AttributeError, NotImplementedError):
            told = {name: getattr(dtype, name) for name in _OF_EXTENSIONS if hasattr(dtype, name)}
            own = enc.encode(told) if told else b"0"
        storage = _arrow_type(enc, dtype.storage_type, pa)
        return node("extension", text(str(dtype.extension_name)), enc.encode(type(dtype)), own, storage)
    if kinds.is_dictionary(dtype):
        inner = _arrow_type(enc, dtype.index_type, pa) + _arrow_type(enc, dtype.value_type, pa)
        return node("dictionary", inner, enc.encode(dtype.ordered))
    if kinds.is_run_end_encoded(dtype):
        return node("runs", _arrow_type(enc, dtype.run_end_type, pa), _arrow_type(enc, dtype.value_type, pa))
    fields = [dtype.field(i) for i in range(dtype.num_fields)]
    if not fields:
        return text(str(dtype))  # numbers, texts, times and decimals: it tells all
    parts = ("list_size", "keys_sorted", "mode", "type_codes")
    more = [enc.encode(getattr(dtype, name, None)) for name in parts]
    return node("nested", text(str(dtype.id)), *more, *[_arrow_field(enc, field, pa) for field in fields])


_OF_EXTENSIONS = ("shape", "dim_names", "permutation", "vendor_name", "type_name")  # of Arrow's own types


def _arrow_column(enc: Encoder, column: Any, dtype: Any, pa: Any) -> bytes:
    if isinstance(column, pa.ChunkedArray):
        column = _one_array(column, pa)
    kinds = pa.types
    if isinstance(dtype, pa.BaseExtensionType):
        return _arrow_column(enc, column.storage, dtype.storage_type, pa)
    if kinds.is_dictionary(dtype):  # words that no row uses count as well
        words = _arrow_column(enc, column.dictionary, dtype.value_type, pa)
        return node("coded", words, enc.listed(column.indices.to_pylist()))
    if kinds.is_struct(dtype):
        parts = [_arrow_column(enc, part, part.type, pa) for part in column.flatten()]
        return node("struct", enc.encode(column.is_valid().to_pylist()), *parts)
    if kinds.is_map(dtype):
        pairs = column.cast(pa.list_(pa.struct([dtype.key_field, dtype.item_field])))
        return _arrow_column(enc, pairs, pairs.type, pa)
    of_any_size = kinds.is_nested(dtype) and hasattr(column, "value_lengths")
    if of_any_size or kinds.is_fixed_size_list(dtype):
        parts, sizes = column.flatten(), column.value_lengths() if of_any_size else column.is_valid()
        return node("lists", enc.encode(sizes.to_pylist()), _arrow_column(enc, parts, parts.type, pa))
    if kinds.is_temporal(dtype) and not kinds.is_interval(dtype):
        column = column.view(f"int{dtype.bit_width}")
        dtype = column.type
    np = sys.modules.get("numpy")
    if np is not None and column.null_count == 0 and str(dtype) in _ARROW_NUMBERS:
        return array(enc, column.to_numpy(zero_copy_only=False), np)
    return enc.listed(column.to_pylist())


def _one_array(column: Any, pa: Any) -> Any:
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
    return pa.concat_arrays(whole.chunks) if column.num_chunks else pa.array([], column.type)


_ARROW_NUMBERS = frozenset({
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double", "bool",
})  # fmt: skip
