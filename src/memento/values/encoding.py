"""Turn values into stored bytes and back, exactly: by a codec of the type, by pickle elsewhere.

Knows: codecs, payloads. May not know: files' places, the index.

    json, typed, text, bytes, npscalar     plain data and NumPy's numbers (`plain_codecs`)
    npy, arrow                             arrays and tables (`array_codecs`)
    pickle                                 everything else (`pickle_codec`)
"""

from __future__ import annotations

import json
import struct
from typing import Any

from memento.errors import MementoError, PayloadDamaged, StoreError, UntrustedStore, ValueUnreadable
from memento.keys.names import module_name
from memento.records import DAMAGED, Encoded
from memento.values.array_codecs import Arrow, Npy
from memento.values.buffers import flat
from memento.values.codecs import Codec, Registry, parsed
from memento.values.payloads import AGAIN, PayloadDir
from memento.values.pickle_codec import Pickle, apart, pickled, read_framed
from memento.values.plain_codecs import Bytes, Json, NumPyNumber, Text, Typed

PICKLE = Pickle()
OURS = (Json(), Typed(), Text(), Bytes(), NumPyNumber(), Npy(), Arrow(), PICKLE)
codecs = Registry(OURS)
_FLOATS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


def register_codec(codec: Codec) -> None:
    """Have a codec keep values of its types from now on.

    Parameters
    ----------
    codec : Codec
        Takes its types before all that took them until now. Where a process does not know it, values of these types
        are kept as before: so call this where your types are defined, in a module that workers import too, or name it
        as an entry point of the group ``memento.codecs`` in your package.

    Raises
    ------
    TypeError
        It is no codec.
    ValueError
        Its name, suffix or version cannot be kept, or the name is another codec's.

    Examples
    --------
    >>> from memento.values.codecs import Codec
    >>> class Ranges(Codec):
    ...     name, types, safe = "range", [range], True
    ...     def dump(self, value):
    ...         return [f"{value.start} {value.stop} {value.step}".encode()]
    ...     def load(self, content, version):
    ...         return range(*map(int, bytes(content).split()))
    >>> register_codec(Ranges())
    >>> encode(range(3), PayloadDir("payloads"))
    Encoded(format='range', data=b'0 3 1', ref=None, size=5, type='builtins:range', shown=None)
    """
    codecs.register(codec)


def type_name(kind: type) -> str:
    """Name a type for people and for the index: "module:qualname", with the script's name for `__main__`."""
    return f"{module_name(kind.__module__)}:{kind.__qualname__}"


def encode(value: Any, payloads: PayloadDir, inline_limit: int = 16_384) -> Encoded:
    """Turn a value into what the store keeps."""
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
    codec, buffers = _dumped(value, kind, payloads)
    size = sum(buffer.nbytes for buffer in buffers)
    if size <= inline_limit:
        shown = None
        if codec is PICKLE:  # to unpickle it runs code, also where its items are all that is asked for
            from memento.values.describe import describe, holds_names

            shown = describe(value) if holds_names(kind) else None
        return Encoded(codec.format, b"".join(buffers), None, size, type_name(kind), shown)
    from memento.values.describe import describe

    ref = payloads.write(buffers, codec.suffix)
    return Encoded(codec.format, None, ref, size, type_name(kind), describe(value))


def _dumped(value: Any, kind: type, payloads: PayloadDir) -> tuple[Codec, list[memoryview]]:
    """Find a codec that takes the value, and have it give the content in pieces."""
    for codec in codecs.of(kind):
        buffers = codec.dump(value)
        if buffers is not None:
            return codec, [flat(buffer) for buffer in buffers]
    return PICKLE, pickled(value, payloads)


def decode(encoded: Encoded, payloads: PayloadDir, trusted: bool = True, mmap: bool = False) -> Any:
    """Turn what the store keeps into the value; with `mmap`, the arrays in a large one are mapped from its file.

    Whoever asks may change them: the file, and whoever else asks, see nothing of that.
    """
    name, data, ref = encoded.format, encoded.data, encoded.ref
    if name == "json" and data is not None:
        # Floats and ints are nearly all values of most grids, and this is three times as fast as a JSON parser.
        if encoded.type == "builtins:float":
            return float(data)
        return json.loads(data)
    if name == DAMAGED:
        raise PayloadDamaged(
            str(payloads.root.parent), "its row in the index is not what was written.", AGAIN
        )
    codec, version = _codec_of(encoded, payloads)
    if not trusted and not codec.safe:
        what = f"a pickle of {encoded.type}" if codec is PICKLE else f"{encoded.type}, kept by {codec.name!r}"
        raise UntrustedStore(
            str(payloads.root),
            f"the value is {what}, and reading a pickle can run code."
            if codec is PICKLE
            else f"the value is {what}, a codec that does not say that it is safe.",
            "Open the store with trusted=True if you trust who wrote it.",
        )
    if data is None:
        if ref is None:
            raise PayloadDamaged(str(payloads.root), "a stored value has neither bytes nor a file.")
        pieces = payloads.read_pieces(ref, apart if codec is PICKLE else None, mapped=mmap)
    else:
        pieces = [memoryview(bytearray(data))]
    if codec is PICKLE:
        return read_framed(pieces, payloads)[0]
    try:
        return codec.load(pieces[0], version)
    except (ValueError, KeyError, EOFError, struct.error) as exc:
        if isinstance(exc, MementoError) or codec not in OURS:
            raise
        raise PayloadDamaged(
            str(payloads.root), f"a stored value of format {name} cannot be read: {exc}."
        ) from exc


def _codec_of(encoded: Encoded, payloads: PayloadDir) -> tuple[Codec, int]:
    """Return a value's codec, and the version that wrote it."""
    found = parsed(encoded.format)
    if found is None:
        raise PayloadDamaged(str(payloads.root), f"unknown format {encoded.format!r} of a stored value.")
    codec = codecs.named(found.name)
    if codec is None:
        codecs.complete()
        codec = codecs.named(found.name)
    if codec is None:
        raise ValueUnreadable(
            str(payloads.root),
            f"the value, a {encoded.type}, is kept by the codec {found.name!r}, which is not known here.",
            f"Install the package that brings it: pip install {found.package}."
            if found.package
            else "Import the module that registers it, or install the latest release: pip install -U memento-ml.",
        )
    if codec.version < found.version:
        raise ValueUnreadable(
            str(payloads.root),
            f"the value, a {encoded.type}, is kept by version {found.version} of the codec {found.name!r},"
            f" and here is version {codec.version}.",
            f"Install a later release: pip install -U {found.package or codec.package or 'memento-ml'}.",
        )
    return codec, found.version


def readable(encoded: Encoded, payloads: PayloadDir, most: int = 0) -> tuple[bool, Any]:
    """Return whether a value can be shown without unpickling and without its library, and the value as plain data.

    A file of more than `most` bytes is not read. Numbers come as Python's, whatever they were; a value that is damaged
    cannot be shown.
    """
    found = parsed(encoded.format)
    codec = codecs.named(found.name) if found is not None else None
    if found is None or codec is None or not codec.safe or codec.version < found.version:
        return False, None
    if type(codec).plain is Codec.plain or (encoded.data is None and encoded.size > most):
        return False, None  # before its bytes are read, which may be many
    try:
        data = payloads.read(encoded.ref or "") if encoded.data is None else memoryview(encoded.data)
        return True, codec.plain(data)
    except (StoreError, ValueError):  # damaged
        return False, None
