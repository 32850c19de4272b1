"""Encode NumPy arrays, scalars, dtypes and generators, and SciPy's sparse matrices.

Knows: what makes two arrays equal: dtype, shape and content in C order, whatever the byte order and the
layout in memory. May not know: data frames, models. The library comes in as an argument; it is never imported.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from memento.keys.encode import Encoder, frame, integer, named, node, text
from memento.keys.encode_object import attributes, unkeyable
from memento.keys.ignored_state import library_of, without_global_state
from memento.keys.names import qualified_name

LARGE = 1 << 20  # bytes from which an array is hashed by XXH3: it reads some 20 GB a second, BLAKE2b 0.9
PIECE = 1 << 21  # bytes that are read at a time, and copied where memory cannot be read as it lies
_LINE = 16  # rows: numbers of 4 bytes in a line of the processor's cache
_COLUMNS = 512  # as many pages as the processor knows the places of
_MOST = 16  # pieces that are copied at once for it


def encode_numpy(enc: Encoder, value: Any, np: Any) -> bytes | None:
    """Return the frame of a NumPy value, or None for other values."""
    if value is np.ma.masked:
        return named("numpy.ma:masked")
    if isinstance(value, np.ma.MaskedArray):
        return _encode_masked(enc, value, np)
    if isinstance(value, np.ndarray):
        cls = type(value)
        content = array(enc, value, np)
        if cls in (np.ndarray, np.memmap):  # where an array's memory lies is no part of its value
            return content
        return node("subarray", enc.encode(cls), content, enc.fields(attributes(value)))
    if isinstance(value, np.generic):
        content = array(enc, np.asarray(value), np)
        if library_of(type(value)) == "numpy":
            return node("scalar", content)
        own = enc.encode(type(value))
        return node("scalar of a subclass", own, content, enc.fields(attributes(value)))
    if isinstance(value, np.dtype):
        return node("dtype", *_dtype(enc, value))
    if isinstance(value, (np.finfo, np.iinfo)):
        return node("limits", text(type(value).__name__), *_dtype(enc, np.dtype(value.dtype)))
    if isinstance(value, np.ufunc):
        return _encode_ufunc(enc, value, np)
    if isinstance(value, (np.random.Generator, np.random.BitGenerator, np.random.RandomState)):
        cls = type(value)  # NumPy's own have moved between its modules
        kind = text(cls.__name__) if cls.__module__.startswith("numpy.") else enc.encode(cls)
        return node("generator", kind, _state(enc, value, np))
    if isinstance(value, np.random.SeedSequence):
        return node("seed sequence", enc.at(".state", value.state))
    if type(value).__name__ == "_ArrayFunctionDispatcher":
        return named(qualified_name(value))
    return None


def _state(enc: Encoder, value: Any, np: Any) -> bytes:
    """Return the frames of a generator's state, and of what its spawn() gives next."""
    if isinstance(value, np.random.RandomState):
        state = enc.at(".get_state()", value.get_state(legacy=False))
    else:
        bits = value.bit_generator if isinstance(value, np.random.Generator) else value
        seeds = getattr(bits.seed_seq, "state", None)  # of a class of the user's
        state = enc.at(".state", bits.state) + enc.at(".seed_seq", seeds or bits.seed_seq)
    return state + enc.extra(attributes(value))


def _encode_ufunc(enc: Encoder, value: Any, np: Any) -> bytes:
    name = str(value.__name__)
    if getattr(np, name, None) is value:
        return named(f"numpy:{name}")
    # Of `np.frompyfunc`: the function that it calls is visible to the garbage collector alone.
    functions = [part for part in gc.get_referents(value) if callable(part)]
    if name.endswith(" (vectorized)") and functions:
        shape = enc.encode((value.nin, value.nout, value.identity))
        return node("ufunc", enc.at(".func", functions[0]), shape)
    for home in ("scipy.special", "numpy.linalg._umath_linalg"):
        if getattr(sys.modules.get(home), name, None) is value:
            return named(f"{home}:{name}")
    raise unkeyable(value, f"no module is known that has the ufunc {name}")


def _dtype(enc: Encoder, dtype: Any) -> list[bytes]:
    more = [node("metadata", enc.at(".metadata", dict(dtype.metadata)))] if dtype.metadata else []
    if dtype.names is not None:
        kind = [] if dtype.type.__name__ == "void" else [enc.encode(dtype.type)]  # of a record array
        fields = [_field(enc, name, *dtype.fields[name]) for name in dtype.names]
        return [node("fields", *kind, *fields), *more]
    if dtype.subdtype is not None:
        return [node("sub", enc.encode(dtype.subdtype[1]), *_dtype(enc, dtype.subdtype[0])), *more]
    if dtype.kind == "T":
        missing = [enc.at(".na_object", dtype.na_object)] if hasattr(dtype, "na_object") else []
        return [node("string", enc.encode(bool(dtype.coerce)), *missing)]
    if dtype.kind in "gG" or dtype.char in "gG":
        return [text(dtype.char), *more]  # its size differs between machines
    if dtype.isbuiltin == 2:  # of another package, such as bfloat16, which NumPy takes for two bytes
        return [text(f"user:{dtype.name}"), *more]
    return [text(dtype.newbyteorder("<").str), *more]


def _field(enc: Encoder, name: str, dtype: Any, _offset: int, title: Any = None) -> bytes:
    return text(name) + b"".join(_dtype(enc, dtype)) + (node("title", enc.encode(title)) if title else b"")


def array(enc: Encoder, value: Any, np: Any) -> bytes:
    """Return the frame of an array by dtype, shape and content in C order."""
    value = value.view(np.ndarray)
    dtype = value.dtype
    head = b"".join(_dtype(enc, dtype)) + frame(b"t", b"".join(map(integer, value.shape)))
    if dtype.names is not None:
        return node("array", head, *[array(enc, value[name], np) for name in dtype.names])
    if dtype.kind in "OT":
        return node("array", head, enc.listed(value.ravel().tolist()))
    if dtype.char in "gG":  # padding bytes hold whatever was there; the shortest exact text does not
        return node("array", head, frame(b"l", b"".join(text(repr(x)) for x in value.ravel())))
    return node("array", head, frame(b"b", _content(value, np)))


def _content(value: Any, np: Any) -> bytes:
    """Return a hash of the elements in C order, little-endian, every NaN alike; copies only pieces."""
    hasher: Any = blake2b(digest_size=16)
    if value.nbytes >= LARGE:
        from xxhash import xxh3_128  # here: most programs have no large array

        hasher = xxh3_128()
    little = value.dtype if value.dtype.isbuiltin == 2 else value.dtype.newbyteorder("<")
    for piece in _pieces(value):
        piece = _in_c_order(piece, little, np).reshape(-1)
        if piece.dtype.kind in "fc":
            piece = _one_nan(piece, np)
        hasher.update(piece.view(np.uint8).data)
    digest: bytes = hasher.digest()
    return digest


def _in_c_order(piece: Any, dtype: Any, np: Any) -> Any:
    if piece.ndim != 2 or abs(piece.strides[0]) >= abs(piece.strides[1]):
        return np.ascontiguousarray(piece, dtype=dtype)
    # By columns: NumPy goes along rows, and each element of a row is in another page of memory (4 times as slow).
    made = np.empty(piece.shape, dtype=dtype)
    for start in range(0, piece.shape[1], _COLUMNS):
        made[:, start : start + _COLUMNS] = piece[:, start : start + _COLUMNS]
    return made


def _pieces(value: Any) -> Iterator[Any]:
    """Yield the elements of an array in C order, some at a time."""
    if value.dtype.itemsize == 0 or value.size == 0:
        return
    step = max(1, PIECE // value.dtype.itemsize)
    if value.flags.c_contiguous:
        value = value.reshape(-1)
    a_row = value[0].size
    rows = step // a_row
    if not value.flags.c_contiguous and _LINE * a_row <= _MOST * step:
        # Where elements of a column are neighbours, the processor reads some rows at once, or reads all of it again.
        rows = max(rows, _LINE)
    if rows:
        yield from (value[start : start + rows] for start in range(0, len(value), rows))
    else:
        for row in value:
            yield from _pieces(row)


def _one_nan(chunk: Any, np: Any) -> Any:
    reals = chunk.view(f"<f{chunk.dtype.itemsize // 2}") if chunk.dtype.kind == "c" else chunk
    missing = np.isnan(reals)
    if not missing.any():
        return chunk
    reals = reals.copy()  # 0/0 and math.nan differ in sign, and some tools write payloads into NaN
    reals[missing] = np.nan
    return reals


def _encode_masked(enc: Encoder, value: Any, np: Any) -> bytes:
    mask = np.ma.getmaskarray(value)
    data = np.array(value.data, copy=True)
    _clear(data, mask, np)  # what lies under a mask is no part of the value
    fill = array(enc, np.asarray(value.fill_value), np)
    held = {n: v for n, v in attributes(value).items() if n not in _OF_MASKED}
    arrays = array(enc, data, np) + array(enc, mask, np) + fill
    return node("masked", enc.encode(type(value)), arrays, enc.encode(bool(value.hardmask)), enc.extra(held))


_OF_MASKED = frozenset(
    {"_mask", "_fill_value", "_hardmask", "_sharedmask", "_isfield", "_baseclass", "_optinfo", "_basedict"}
)


def _clear(data: Any, mask: Any, np: Any) -> None:
    if mask.dtype.names is None:
        data[mask] = np.zeros((), dtype=data.dtype)[()]
        return
    for name in mask.dtype.names:  # a record's fields are masked one by one
        _clear(data[name], mask[name], np)


# -- SciPy -----------------------------------------------------------------------------------------------


def encode_scipy(enc: Encoder, value: Any, _scipy: Any) -> bytes | None:
    """Return the frame of a sparse matrix or array, a distribution or a tree of points; None for other values."""
    np = sys.modules.get("numpy")
    sparse = sys.modules.get("scipy.sparse")
    if np is not None and sparse is not None and sparse.issparse(value):
        return _encode_sparse(enc, value, np)
    one = _class_in("scipy.stats._distn_infrastructure", "rv_generic")
    if isinstance(value, (*one, *_class_in("scipy.stats._multivariate", "multi_rv_generic"))):
        state = value.__getstate__() if isinstance(value, one) else attributes(value)
        # What SciPy writes of it for people, and for `exec`, follows from the class and differs between releases.
        state = {n: v for n, v in state.items() if n not in ("__doc__", "_parse_arg_template")}
        return node("distribution", enc.encode(type(value)), enc.fields(without_global_state(state)))
    if isinstance(value, _class_in("scipy.spatial", "cKDTree")):  # its own state holds addresses in memory
        parts = enc.encode((value.data, value.leafsize, value.boxsize, value.indices))
        return node("tree", enc.encode(type(value)), parts, enc.fields(attributes(value)))
    return None


def _class_in(module: str, name: str) -> tuple[Any, ...]:
    cls = getattr(sys.modules.get(module), name, None)
    return (cls,) if cls is not None else ()


def _encode_sparse(enc: Encoder, value: Any, np: Any) -> bytes:
    coo = value.tocoo(copy=True)
    coo.sum_duplicates()  # sorts too: neither the order of entries nor cached flags are part of the value
    axes = coo.coords if hasattr(coo, "coords") else (coo.row, coo.col)
    places = [array(enc, np.asarray(axis, dtype=np.int64), np) for axis in axes]
    head = enc.encode((type(value), tuple(map(int, value.shape)), getattr(value, "blocksize", None)))
    held = {n: v for n, v in attributes(value).items() if n.strip("_") not in _OF_SPARSE}
    return node("sparse", head, *places, array(enc, coo.data, np), enc.extra(held))


_OF_SPARSE = frozenset({
    "shape", "maxprint", "data", "indices", "indptr", "coords", "row", "col", "offsets", "rows", "dict", "dtype", "nnz",
    "has_canonical_format", "has_sorted_indices",
})  # fmt: skip
