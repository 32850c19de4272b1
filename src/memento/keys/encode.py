"""Encode any value canonically: typed, length-prefixed, the same bytes for equal values in every process.

Knows: the frame of the encoding, plain Python values and containers. May not know: libraries (see
`kinds`), functions and classes (see `callables`), tasks.

A value becomes a frame: one tag byte, the payload's length, the payload. Containers hold the frames of what
they contain; unordered ones sort them. A long payload is replaced by its BLAKE2b-128, so a value of any size
has a short frame. An object that contains itself is written as the number of levels up to it, which depends
neither on the order of unordered containers nor on what else shares the object.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys.names import qualified_name

LONG = 1024  # bytes; a longer payload stands in its frame by its hash
TANGLED = 2_000  # visits to one object of a cycle, after which its paths are taken to be without number

_pack_float = struct.Struct("<d").pack


def frame(tag: bytes, payload: bytes) -> bytes:
    """Return the frame of a payload; `tag` is one byte other than ``#``."""
    size = len(payload)
    if size <= LONG:
        return tag + size.to_bytes(8, "little") + payload
    hasher = blake2b(tag + size.to_bytes(8, "little"), digest_size=16)
    hasher.update(payload)
    return b"#" + hasher.digest()


def text(value: str) -> bytes:
    """Return the frame of a string."""
    return frame(b"s", value.encode("utf-8", "surrogatepass"))


def node(kind: str, *children: bytes) -> bytes:
    """Return the frame of a named kind of value, made of the frames of its parts."""
    return frame(b"N", text(kind) + b"".join(children))


def named(name: str) -> bytes:
    """Return the frame of a function that counts by its name alone."""
    return frame(b"G", name.encode("utf-8", "surrogatepass"))


def integer(value: int) -> bytes:
    """Return the frame of an int of any size."""
    return frame(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


_NAN = bytes(6) + b"\xf8\x7f"  # one of the many, whatever sign and payload a NaN has


def _float(value: float) -> bytes:
    return b"f" + (_pack_float(value) if value == value else _NAN)


Leaves = dict[type, Callable[[Any], bytes]]

LEAVES: Leaves = {
    bool: lambda value: b"T" if value else b"F",
    int: integer,
    float: _float,
    complex: lambda value: b"c" + _float(value.real) + _float(value.imag),
    str: text,
    bytes: lambda value: frame(b"b", value),
    bytearray: lambda value: frame(b"B", bytes(value)),
    type(None): lambda _: b"0",
    type(...): lambda _: b".",
    type(NotImplemented): lambda _: b"!",
}


_INTEGERS = (
    "int8", "int16", "int32", "int64", "intc", "long", "longlong",
    "uint8", "uint16", "uint32", "uint64", "uintc", "ulong", "ulonglong",
)  # fmt: skip
# NumPy's scalar types by the plain type whose values theirs equal.
_PLAIN_TYPES: dict[str, type] = {
    **dict.fromkeys(("bool", "bool_"), bool),
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(("float16", "float32", "float64", "longdouble"), float),
    **dict.fromkeys(("complex64", "complex128", "clongdouble"), complex),
    "str_": str,
    "bytes_": bytes,
}


def is_plain_scalar(kind: type) -> bool:
    """Say whether a type is one of NumPy's whose scalars equal plain values."""
    return kind.__module__ == "numpy" and kind.__name__ in _PLAIN_TYPES


def plain_number(value: Any) -> Any:
    """Return the Python value of the same kind that a NumPy scalar equals; anything else as it is."""
    cls = type(value)
    if not is_plain_scalar(cls):
        return value
    kind = _PLAIN_TYPES[cls.__name__]
    plain = str.__str__(value) if kind is str else kind(value)
    # A longdouble may have digits that no float has; nan equals nothing.
    return plain if plain == value or value != value else value


def _step(key: Any) -> str:
    return f"[{key!r:.80}]" if type(key) in LEAVES else f"[{type(key).__name__}]"


class Encoder:
    """Encode values; one instance serves one digest.

    It remembers the objects on the way down to the one in hand, to see cycles, and the frames of large
    objects, so that what is shared many times is encoded once.
    """

    def __init__(self, dispatch: Callable[[Encoder, Any], bytes], leaves: Leaves | None = None) -> None:
        self._dispatch = dispatch
        self._leaf = (leaves or LEAVES).get
        self._path: dict[int, int] = {}  # id of each compound value on the way down -> its depth
        self._known: dict[int, tuple[Any, bytes]] = {}  # the object is kept, so that its id stays its own
        self._back_references = 0
        self._visits: dict[int, int] = {}

    def encode(self, value: Any) -> bytes:
        """Return the frame of a value."""
        leaf = self._leaf(type(value))
        return leaf(value) if leaf is not None else self._compound(value)

    def at(self, step: str, value: Any) -> bytes:
        """Return the frame of a part; an error in it names the step that led there."""
        leaf = self._leaf(type(value))
        return leaf(value) if leaf is not None else self.under(step, self._compound, value)

    def under(self, step: str, func: Callable[..., bytes], *args: Any) -> bytes:
        """Return ``func(*args)``; an error in it names the step that led there."""
        try:
            return func(*args)
        except UnkeyableValue as error:
            error.where = step + error.where
            raise

    def _compound(self, value: Any) -> bytes:
        name = id(value)
        known = self._known.get(name)
        if known is not None:
            return known[1]
        depth = self._path.get(name)
        if depth is not None:
            self._back_references += 1
            return b"^" + (len(self._path) - depth).to_bytes(8, "little")
        before = self._back_references
        self._path[name] = len(self._path)
        try:
            encoded = self._dispatch(self, value)
        finally:
            del self._path[name]
        if self._back_references == before:
            # Worth keeping when long; with no cycle in it, it is the same wherever it stands.
            if encoded[:1] == b"#" or hasattr(type(value), "nbytes"):
                self._known[name] = (value, encoded)
        else:
            self._guard(name, value)
        return encoded

    def _guard(self, name: int, value: Any) -> None:
        # Every path through a cycle is walked; objects that all know each other have n! of them.
        self._visits[name] = visits = self._visits.get(name, 0) + 1
        if visits > TANGLED:
            reason = "its parts refer to each other in too many circles"
            raise UnkeyableValue("", qualified_name(type(value)), reason)

    def within(self, value: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Return ``func(*args)``, which describes `value`: what refers to it meanwhile refers back."""
        self._path[id(value)] = len(self._path)
        try:
            return func(*args)
        finally:
            del self._path[id(value)]

    def refers_back(self, value: Any) -> bool:
        """Say whether a value is being described further up; what refers to it is not kept for other places."""
        known = id(value) in self._path
        self._back_references += known
        return known

    # -- containers ----------------------------------------------------------------------------------

    def sequence(self, values: Iterable[Any]) -> bytes:
        """Return the joined frames of values in their order."""
        leaves, frames = self._leaf, []
        for i, value in enumerate(values):
            leaf = leaves(type(value))
            frames.append(leaf(value) if leaf is not None else self.at(f"[{i}]", value))
        return b"".join(frames)

    def unordered(self, values: Iterable[Any]) -> bytes:
        """Return the joined frames of values, sorted."""
        return b"".join(sorted([self.at("{...}", value) for value in values]))

    def pairs(self, items: Iterable[tuple[Any, Any]], ordered: bool = False) -> bytes:
        """Return the joined frames of keys and values, sorted unless their order counts."""
        leaves, frames = self._leaf, []
        for key, value in items:
            leaf = leaves(type(value))  # the usual case needs no name for its step
            content = leaf(value) if leaf is not None else self.under(_step(key), self._compound, value)
            frames.append(self.at(".keys()", key) + content)
        return b"".join(frames if ordered else sorted(frames))

    def listed(self, values: Iterable[Any]) -> bytes:
        """Return the frame of a list of values."""
        return frame(b"l", self.sequence(values))

    def fields(self, held: Mapping[str, Any]) -> bytes:
        """Return the frame of an object's attributes, in whatever order they were set."""
        frames = [text(name) + self.at(f".{name}", value) for name, value in held.items()]
        return frame(b"a", b"".join(sorted(frames)))

    def extra(self, held: Mapping[str, Any]) -> bytes:
        """Return the frame of attributes, and nothing at all where there are none."""
        return self.fields(held) if held else b""
