"""The codec of everything else: a pickle with the memory of its arrays beside it.

Knows: pickled values, pieces of memory. May not know: files' places, which format a value has.

    magic, length of the header, header (JSON)     what `__main__` means, which definitions, sizes of what follows
    the pickle, then each array's bytes            each begins at a multiple of 64

A pickle that has nothing beside it stands alone, without any of this.
Written from the arrays' own memory. Read, an array has memory of its own, which goes when the array goes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from memento.errors import MementoError, UnsavableResult
from memento.layout import DEFINITIONS
from memento.values import store_serializer, worker_serializer
from memento.values.buffers import flat
from memento.values.codecs import Codec
from memento.values.definitions import tokens
from memento.values.payloads import PayloadDir
from memento.values.places import Content
from memento.values.unpicklable import explain

_MAGIC = b"\x93MEMENTO\x01"  # no pickle and no npy file starts with it
_START = len(_MAGIC) + 4
_ALIGN = 64  # so that a mapped file serves arrays as they are


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
    needed = tuple(sorted(tokens.of(one.object) for one in pickled.found))
    if needed not in payloads.definitions:
        try:
            content = worker_serializer.dump_definitions(pickled.found)
        except Exception:  # a class may hold a lock or a socket: then its name alone must do
            payloads.definitions[needed] = None
        else:
            payloads.definitions[needed] = payloads.write([content], ".pickle", folder=DEFINITIONS)
    return payloads.definitions[needed]


def apart(content: Content, size: int | None = None) -> list[int]:
    """Say into pieces of which lengths to read a content: the header, and what follows, each in its own memory.

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
    return [end - start for start, end in pairwise([0, *(at for at, _ in places), size])]


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


def read_framed(pieces: list[memoryview], payloads: PayloadDir) -> tuple[Any, dict[str, Any]]:
    """Load what `framed` laid out, cut as `apart` says or not at all: the value, and what `extra` was given."""
    header, at = _header(lambda start, end: bytes(pieces[0][start:end]))
    if not header:
        return store_serializer.loads_value(pieces[0], store=payloads.store), {}
    places = list(_places(header, at))
    if len(pieces) == 1:
        body, *parts = (pieces[0][at : at + size] for at, size in places)
    else:
        body, *parts = (piece[:size] for piece, (_, size) in zip(pieces[1:], places, strict=True))
    ref = header.get("definitions")
    definitions = (lambda: payloads.read(ref)) if ref else None
    main = header.get("main", "")
    value = store_serializer.loads_value(body, parts, main, definitions, payloads.store)
    return value, header.get("extra", {})


def definitions_named_by(content: memoryview) -> str | None:
    """Return the payload that holds the definitions of a stored pickle, if it names one; unpickles nothing."""
    try:
        found = _header(lambda start, end: bytes(content[start:end]))[0].get("definitions")
    except (ValueError, struct.error, AttributeError):
        return None
    return found if isinstance(found, str) else None
