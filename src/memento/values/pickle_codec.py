"""The codec of everything else: a pickle with the memory of its arrays beside it.

Knows: pickled values, pieces of memory. May not know: files' places, which format a value has.

    magic, length of the header, header (JSON)     what `__main__` means, which definitions, sizes of what follows
    the pickle, then each array's bytes            each begins at a multiple of 64

A pickle that has nothing beside it stands alone, without any of this.
Written from the arrays' own memory. Read, a large array has memory of its own, which goes when the array goes; small
neighbours share some.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from memento.errors import MementoError, UnsavableResult
from memento.layout import DEFINITIONS
from memento.values import store_serializer, worker_serializer
from memento.values.buffers import flat
from memento.values.codecs import Codec
from memento.values.definitions import token_of
from memento.values.payloads import PayloadDir
from memento.values.places import Content
from memento.values.unpicklable import explain

_MAGIC = b"\x93MEMENTO\x01"  # no pickle and no npy file starts with it
_START = len(_MAGIC) + 4
_ALIGN = 64  # so that a mapped file serves arrays as they are
_APART = 1 << 20  # bytes from which on memory is worth asking for, and keeping, alone


class Pickle(Codec):
    """Takes what no other codec takes."""

    name, types, suffix = "pickle", (), ".pickle"

    def dump(self, value: Any) -> list[memoryview]:
        raise NotImplementedError("a pickle needs a place for the definitions of scripts: `pickled`")

    def load(self, content: memoryview, version: int) -> Any:
        raise NotImplementedError("a pickle needs the definitions of scripts: `read_framed`")


def pickled(value: Any, payloads: PayloadDir) -> list[memoryview]:
    """Return a value as a pickle; raises UnsavableResult where no pickler takes it."""
    try:
        return framed(store_serializer.dumps_value(value, store=payloads.store), payloads)
    except MementoError:
        raise
    except Exception as exc:
        raise UnsavableResult(explain(value, exc)) from exc


def framed(
    pickled: store_serializer.Pickled, payloads: PayloadDir, extra: dict[str, Any] | None = None
) -> list[memoryview]:
    """Lay out a pickle: as it is where nothing stands beside it, else header, pickle, arrays, each aligned."""
    if not pickled.main and not pickled.buffers and not pickled.found and extra is None:
        return [flat(pickled.body)]
    header: dict[str, Any] = {"sizes": [len(pickled.body), *(b.nbytes for b in pickled.buffers)]}
    if pickled.found:
        header |= {"main": pickled.main, "definitions": _definitions(pickled, payloads)}
    if extra is not None:
        header["extra"] = extra
    text = json.dumps(header).encode()
    parts = [flat(_MAGIC + struct.pack("<I", len(text)) + text)]
    at = parts[0].nbytes
    for part in (flat(pickled.body), *pickled.buffers):
        gap = -at % _ALIGN
        if gap:
            parts.append(flat(bytes(gap)))
        parts.append(part)
        at += gap + part.nbytes
    return parts


def _definitions(pickled: store_serializer.Pickled, payloads: PayloadDir) -> str | None:
    """Write what a value needs of the script by value, once a process; None where that cannot be pickled."""
    tokens = tuple(sorted(token_of(d.object) for d in pickled.found))
    if tokens not in payloads.definitions:
        try:
            content = worker_serializer.dump_definitions(pickled.found)
        except Exception:  # a class may hold a lock or a socket: then its name alone must do
            payloads.definitions[tokens] = None
        else:
            payloads.definitions[tokens] = payloads.write([content], ".pickle", folder=DEFINITIONS)
    return payloads.definitions[tokens]


def apart(content: Content, size: int | None = None) -> list[int]:
    """Say into pieces of which lengths to read a content, so that the pickle and large arrays have their own memory.

    It is not verified yet: one whose header makes no sense is one piece, and its checksum tells.
    """
    size = content.size if size is None else size
    try:
        header, at = _header(content.between)
        places = list(_places(header, at))
    except (ValueError, TypeError, AttributeError, KeyError, struct.error):
        places = []
    if not places or sum(places[-1]) > size or min(length for _, length in places) < 0:
        return [size]
    cuts, before = [0], 0
    for number, (at, length) in enumerate(places):
        if number < 2 or max(length, before, at - cuts[-1]) >= _APART:
            cuts.append(at)
        before = length
    return [end - start for start, end in pairwise([*cuts, size])]


def _header(between: Any) -> tuple[dict[str, Any], int]:
    """Return the header, and where it ends; an empty one where the pickle stands alone."""
    head = between(0, _START)
    if head[: len(_MAGIC)] != _MAGIC:
        return {}, 0
    at = _START + struct.unpack_from("<I", head, len(_MAGIC))[0]
    return json.loads(between(_START, at)), at


def _places(header: dict[str, Any], at: int) -> Iterator[tuple[int, int]]:
    """Yield where the pickle and each array stand, and their sizes."""
    for size in header.get("sizes", ()):
        at += -at % _ALIGN
        yield at, size
        at += size


def _parts(pieces: Iterable[memoryview], places: Iterable[tuple[int, int]]) -> Iterator[memoryview]:
    """Yield what stands at these places, none of which lies in two pieces."""
    following = iter(pieces)
    piece, start = next(following), 0
    for at, size in places:
        while at >= start + piece.nbytes:
            start += piece.nbytes
            piece = next(following)
        yield piece[at - start : at - start + size]


def read_framed(pieces: list[memoryview], payloads: PayloadDir) -> tuple[Any, dict[str, Any]]:
    """Load what `framed` laid out, cut as `apart` says or not at all: the value, and what `extra` was given."""
    header, at = _header(lambda start, end: bytes(pieces[0][start:end]))
    if not header:
        return store_serializer.loads_value(pieces[0], store=payloads.store), {}
    parts = _parts(pieces, _places(header, at))
    ref = header.get("definitions")
    definitions = (lambda: payloads.read(ref)) if ref else None
    main = header.get("main", "")
    value = store_serializer.loads_value(next(parts), parts, main, definitions, payloads.store)
    return value, header.get("extra", {})


def definitions_named_by(content: memoryview) -> str | None:
    """Return the payload that holds the definitions of a stored pickle, if it names one; unpickles nothing."""
    try:
        found = _header(lambda start, end: bytes(content[start:end]))[0].get("definitions")
    except (ValueError, struct.error, AttributeError):
        return None
    return found if isinstance(found, str) else None
