"""Encode NumPy arrays, scalars, dtypes and generators, and SciPy's sparse matrices.

Knows: what makes two arrays equal: dtype, shape and content in C order, whatever the byte order and the
layout in memory. May not know: data frames, models. The library comes in as an argument; it is never imported.
"""

from __future__ import annotations

import sys

from memento.hints import Any
from memento.keys.blake2 import blake2b
from memento.keys.encode import Encoder, frame, integer, named, node, text
from memento.keys.names import qualified_name
from memento.keys.objects import attributes

CHUNK = 1 << 18  # elements that are copied at a time where memory cannot be read as it lies


def encode(enc: Encoder, value: Any, np: Any) -> bytes | None:
    """Return the frame of a NumPy value, or None for other values."""
    if isinstance(value, np.ma.MaskedArray):
        return _encode_masked(enc, value, np)
    if isinstance(value, np.ndarray):
        cls = type(value)
        content = array(enc, value, np)
        if cls in (np.ndarray, np.memmap):  # where an array's memory lies is no part of its value
            return content
        return node("subarray", enc.encode(cls), content, enc.fields(attributes(value).items()))
    if isinstance(value, np.generic):
        return node("scalar", array(enc, np.asarray(value), np))
    if isinstance(value, np.dtype):
        return node("dtype", *_dtype(enc, value))
    if isinstance(value, np.ufunc):
        name = str(value.__name__)
        return named(f"numpy:{name}") if getattr(np, name, None) is value else None
    if isinstance(value, np.random.Generator):
        spawned = getattr(value.bit_generator.seed_seq, "n_children_spawned", 0)  # what spawn() gives next
        more = [integer(spawned)] if spawned else []
        return node("generator", enc.at(".bit_generator.state", value.bit_generator.state), *more)
    if isinstance(value, np.random.BitGenerator):
        return node("bit generator", enc.at(".state", value.state))  # its class's name is in it
    if isinstance(value, np.random.RandomState):
        return node("random state", enc.at(".get_state()", value.get_state(legacy=False)))
    if isinstance(value, np.random.SeedSequence):
        return node("seed sequence", enc.at(".state", value.state))
    if type(value).__name__ == "_ArrayFunctionDispatcher":
        return named(qualified_name(value))
    return None


def _dtype(enc: Encoder, dtype: Any) -> list[bytes]:
    if dtype.names is not None:
        fields = [text(name) + b"".join(_dtype(enc, dtype.fields[name][0])) for name in dtype.names]
        return [node("fields", *fields)]
    if dtype.subdtype is not None:
        return [node("sub", enc.encode(dtype.subdtype[1]), *_dtype(enc, dtype.subdtype[0]))]
    if dtype.kind == "T":
        return [text("string")]
    if dtype.kind in "gG" or dtype.char in "gG":
        return [text(dtype.char)]  # its size differs between machines
    if dtype.isbuiltin == 2:  # of another package, such as bfloat16, which NumPy takes for two bytes
        return [text(f"user:{dtype.name}")]
    return [text(dtype.newbyteorder("<").str)]


def array(enc: Encoder, value: Any, np: Any) -> bytes:
    """Return the frame of an array by dtype, shape and content in C order.

    Parameters
    ----------
    enc : Encoder
        For the elements of object arrays.
    value : ndarray
        Of any dtype, shape and layout.
    np : module
        NumPy.

    Returns
    -------
    bytes
        The frame.
    """
    value = value.view(np.ndarray)
    dtype = value.dtype
    head = b"".join(_dtype(enc, dtype)) + frame(b"t", b"".join(map(integer, value.shape)))
    if dtype.names is not None:
        return node("array", head, *[array(enc, value[name], np) for name in dtype.names])
    if dtype.kind in "OT":
        return node("array", head, frame(b"l", enc.sequence(value.ravel().tolist())))
    if dtype.char in "gG":  # padding bytes hold whatever was there; the shortest exact text does not
        return node("array", head, frame(b"l", b"".join(text(repr(x)) for x in value.ravel())))
    return node("array", head, frame(b"b", _content(value, np)))


def _content(value: Any, np: Any) -> bytes:
    """Return a hash of the elements in C order, little-endian, every NaN alike; copies only chunks."""
    hasher = blake2b(digest_size=16)
    if value.dtype.itemsize == 0 or value.size == 0:
        return hasher.digest()
    little = value.dtype if value.dtype.isbuiltin == 2 else value.dtype.newbyteorder("<")
    flat = value.reshape(-1) if value.flags.c_contiguous else value.flat
    step = max(1, CHUNK * 8 // value.dtype.itemsize)
    for start in range(0, value.size, step):
        chunk = np.ascontiguousarray(flat[start : start + step], dtype=little)
        if chunk.dtype.kind in "fc":
            chunk = _one_nan(chunk, np)
        hasher.update(chunk.view(np.uint8).data)
    return hasher.digest()


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
    return node("masked", enc.encode(type(value)), array(enc, data, np), array(enc, mask, np), fill)


def _clear(data: Any, mask: Any, np: Any) -> None:
    if mask.dtype.names is None:
        data[mask] = np.zeros((), dtype=data.dtype)[()]
        return
    for name in mask.dtype.names:  # a record's fields are masked one by one
        _clear(data[name], mask[name], np)


def encode_scipy(enc: Encoder, value: Any, _scipy: Any) -> bytes | None:
    """Return the frame of a sparse matrix or array, or None for other values."""
    sparse = sys.modules.get("scipy.sparse")
    np = sys.modules.get("numpy")
    if sparse is None or np is None or not sparse.issparse(value):
        return None
    coo = value.tocoo(copy=True)
    coo.sum_duplicates()  # sorts too: neither the order of entries nor cached flags are part of the value
    places = [array(enc, np.asarray(axis, dtype=np.int64), np) for axis in (coo.row, coo.col)]
    shape = enc.encode(tuple(map(int, value.shape)))
    return node("sparse", enc.encode(type(value)), shape, *places, array(enc, coo.data, np))
