"""Turn values into stored bytes and back, exactly: open formats where the type allows, pickle elsewhere.

Knows: types and formats. May not know: files' places, the index.

    json      None, bool, int, float; lists and dicts of them and of str     text, bytes     str, bytes
    npscalar  "float32 0.5"                                                   npy             plain arrays
    typed     JSON with tuples and NumPy scalars in it, and which they are
    arrow     pandas frames that Arrow gives back unchanged                   pickle          everything else

"Exact" means exact types: a subclass of dict, a set, a list that stands twice in a dict are pickled, since the open
format would bring something else back.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

from memento.errors import MementoError, PayloadDamaged, StoreError, UnsavableResult, UntrustedStore
from memento.keys.names import module_name
from memento.records import DAMAGED, Encoded
from memento.values import keeping, typed
from memento.values.buffers import flat
from memento.values.frames import from_arrow, to_arrow
from memento.values.framing import apart, framed, read_framed
from memento.values.payloads import AGAIN, PayloadDir

SUFFIXES = {
    "json": ".json",
    "typed": ".json",
    "npscalar": ".txt",
    "text": ".txt",
    "bytes": ".bin",
    "npy": ".npy",
    "arrow": ".arrow",
    "pickle": ".pickle",
}
_JSON_NODES = 10_000  # larger structures are pickled: faster, and nobody reads them as text
_JSON_DEPTH = 60
_FLOATS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


def type_name(kind: type) -> str:
    """Name a type for people and for the index: "module:qualname", with the script's name for `__main__`."""
    return f"{module_name(kind.__module__)}:{kind.__qualname__}"


def encode(value: Any, payloads: PayloadDir, inline_limit: int = 16_384) -> Encoded:
    """Turn a value into what the store keeps.

    Parameters
    ----------
    value : object
        Anything that can be pickled, by cloudpickle at least.
    payloads : PayloadDir
        Where values over the limit are written, durable on return.
    inline_limit : int
        Bytes up to which a value is kept in the index itself.

    Returns
    -------
    Encoded
        For `decode`.

    Raises
    ------
    UnsavableResult
        No pickler takes it; names the part that is at fault.
    StoreUnwritable
        A payload file cannot be written.

    Examples
    --------
    >>> encode(0.5, PayloadDir("payloads"))
    Encoded(format='json', data=b'0.5', ref=None, size=3, type='builtins:float')
    """
    kind = type(value)
    if kind is float:
        text = repr(value)
        data = _FLOATS[text] if text[-1] in "nf" else text.encode()
        return Encoded("json", data, None, len(data), "builtins:float")
    if kind is int and value.bit_length() <= 64:
        data = b"%d" % value
        return Encoded("json", data, None, len(data), "builtins:int")
    if kind is bool or kind is type(None):
        data = b"null" if value is None else b"true" if value else b"false"
        return Encoded("json", data, None, len(data), f"builtins:{kind.__name__}")
    name, buffers = _parts(value, kind, payloads)
    size = sum(b.nbytes for b in buffers)
    if size <= inline_limit:
        return Encoded(name, b"".join(buffers), None, size, type_name(kind))
    return Encoded(name, None, payloads.write(buffers, SUFFIXES[name]), size, type_name(kind))


def _parts(value: Any, kind: type, payloads: PayloadDir) -> tuple[str, list[memoryview]]:
    """Choose the format, and give the content in pieces."""
    if kind is str:
        try:
            return "text", [flat(value.encode())]
        except UnicodeEncodeError:  # lone surrogates, as file names may have
            return "pickle", _pickled(value, payloads)
    if kind is bytes:
        return "bytes", [flat(value)]
    if kind is int or kind is list or kind is dict or kind is tuple:
        text = _as_json(value)
        if text is not None:
            return "json", [flat(text)]
        if kind is not int:
            text = typed.dumps(value)
            if text is not None:
                return "typed", [flat(text)]
    elif kind.__module__ == "numpy":
        import numpy

        if kind is numpy.ndarray and not value.dtype.hasobject and _plain_dtype(value.dtype):
            return "npy", _as_npy(value)
        if isinstance(value, numpy.generic):
            name = typed.scalar_name(value)
            if name is not None:
                return "npscalar", [flat(f"{name} {value.item()!r}".encode())]
    elif kind.__module__.partition(".")[0] == "pandas":
        arrow = to_arrow(value)
        if arrow is not None:
            return "arrow", [flat(arrow)]
    return "pickle", _pickled(value, payloads)


def _as_json(value: Any) -> bytes | None:
    """Return JSON, or None where it would not bring back the same."""
    if not _is_json(value):
        return None
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except ValueError:  # lone surrogates; ints of more digits than Python turns into text
        return None


def _is_json(value: Any) -> bool:
    """Say whether a structure is a tree of exact JSON types, of bounded size."""
    seen: set[int] = set()
    level, nodes = [value], 0
    for _ in range(_JSON_DEPTH):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is float or kind is int or kind is str or kind is bool or item is None:
                continue
            if kind is dict:
                if any(type(name) is not str for name in item):
                    return False
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            else:
                return False
            if id(item) in seen:  # one object in two places, or a circle: JSON would make two of it
                return False
            seen.add(id(item))
        nodes += len(below)
        if nodes > _JSON_NODES:
            return False
        if not below:
            return True
        level = below
    return False


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


def decode(
    encoded: Encoded, payloads: PayloadDir, trusted: bool = True, mmap: bool = False, verify: bool = True
) -> Any:
    """Turn what the store keeps into the value.

    Parameters
    ----------
    encoded : Encoded
        What `encode` returned.
    payloads : PayloadDir
        Where its file is.
    trusted : bool
        Whether pickles may be loaded.
    mmap : bool
        Serve arrays from the mapped file instead of a copy; changes never reach the file.
    verify : bool
        Compare the file with its digest first.

    Returns
    -------
    object
        The value.

    Raises
    ------
    PayloadDamaged
        The stored bytes are gone, torn or altered.
    UntrustedStore
        The value is a pickle and `trusted` is false.

    Examples
    --------
    >>> decode(Encoded("json", b'{"C": [1, 2.5]}', None, 15, "builtins:dict"), PayloadDir("payloads"))
    {'C': [1, 2.5]}
    """
    name, data, ref = encoded.format, encoded.data, encoded.ref
    if name == "json" and data is not None:
        # Floats and ints are nearly all values of most grids, and this is three times as fast as a JSON parser.
        if encoded.type == "builtins:float":
            return float(data)
        return json.loads(data)
    if name == "pickle" and not trusted:
        raise UntrustedStore(
            str(payloads.root),
            f"the value is a pickle of {encoded.type}, and reading a pickle can run code.",
            "Open the store with trusted=True if you trust who wrote it.",
        )
    if name == DAMAGED:
        raise PayloadDamaged(
            str(payloads.root.parent), "its row in the index is not what was written.", AGAIN
        )
    reader = _READERS.get(name)
    if reader is None:
        raise PayloadDamaged(str(payloads.root), f"unknown format {name!r} of a stored value.")
    if data is None:
        if ref is None:
            raise PayloadDamaged(str(payloads.root), "a stored value has neither bytes nor a file.")
        cut = apart if name == "pickle" else None
        pieces = payloads.read_pieces(ref, cut, map_file=mmap, verify=verify)
    else:
        pieces = [memoryview(bytearray(data)) if name in ("npy", "pickle") else memoryview(data)]
    try:
        return reader(pieces, payloads)
    except (ValueError, KeyError, EOFError, struct.error, UnicodeDecodeError) as exc:
        if name == "pickle" or isinstance(exc, MementoError):
            raise
        raise PayloadDamaged(
            str(payloads.root), f"a stored value of format {name} cannot be read: {exc}."
        ) from exc


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


def _named_number(content: memoryview) -> tuple[str, bool | int | float]:
    name, _, text = bytes(content).decode().partition(" ")
    if text in ("True", "False"):
        return name, text == "True"
    return name, float(text) if name.startswith("float") else int(text)


def readable(encoded: Encoded, payloads: PayloadDir) -> tuple[bool, Any]:
    """Return whether a value can be shown without unpickling and without NumPy, and the value as plain data.

    Numbers come as Python's, whatever they were; a value that is damaged cannot be shown.

    Examples
    --------
    >>> readable(Encoded("npscalar", b"float32 0.5", None, 11, "numpy:float32"), PayloadDir("payloads"))
    (True, 0.5)
    """
    if encoded.format not in ("json", "typed", "npscalar", "text"):
        return False, None
    try:
        if encoded.format in ("json", "text"):
            return True, decode(encoded, payloads, trusted=False)
        data = bytes(payloads.read(encoded.ref or "")) if encoded.data is None else encoded.data
        return True, typed.content(data) if encoded.format == "typed" else _named_number(memoryview(data))[1]
    except (StoreError, ValueError):  # damaged
        return False, None


_READERS: dict[str, Callable[[list[memoryview], PayloadDir], Any]] = {
    "json": lambda pieces, _: json.loads(bytes(pieces[0])),
    "text": lambda pieces, _: bytes(pieces[0]).decode(),
    "bytes": lambda pieces, _: bytes(pieces[0]),
    "typed": lambda pieces, _: typed.loads(bytes(pieces[0])),
    "npscalar": lambda pieces, _: typed.scalar(*_named_number(pieces[0])),
    "npy": lambda pieces, _: _read_npy(pieces[0]),
    "arrow": lambda pieces, _: from_arrow(pieces[0]),
    "pickle": lambda pieces, payloads: read_framed(pieces, payloads)[0],
}


def _pickled(value: Any, payloads: PayloadDir) -> list[memoryview]:
    try:
        return framed(keeping.dumps_value(value), payloads)
    except MementoError:
        raise
    except Exception as exc:
        raise UnsavableResult(keeping.explain(value, exc)) from exc
