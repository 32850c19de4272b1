"""Pickle so that an instance of a class of the script is an instance of that very class, everywhere.

Knows: the two journeys, `worker_serializer` and `store_serializer`. May not know: files, tasks, executors.

    send     coordinator -> worker            `dumps`, `loads`, `install_main`, `keep_main`
    keep     worker -> store -> anyone        `dumps_value`, `loads_value`: whole in one piece of bytes, for exceptions
                                              and the like; large values go through `formats`, with buffers beside
"""

from __future__ import annotations

import pickle
from typing import Any

from memento.values import store_serializer, worker_serializer
from memento.values.worker_serializer import Buffer, dumps, install_main, keep_main, main_name

__all__ = [
    "dumps", "dumps_exception", "dumps_value", "install_main", "keep_main", "loads", "loads_value", "main_name"
]  # fmt: skip

_MOST_OF_AN_EXCEPTION = 1_000_000  # bytes; one that carries its data frame is kept as text only
_KEPT = b"\x93memento-kept\x00"  # no pickle starts with it


def dumps_value(obj: Any) -> bytes:
    """Pickle something to be kept: the script's classes by name, and by value aside."""
    pickled = store_serializer.dumps_value(obj, out_of_band=False)
    if not pickled.found:
        return pickled.body
    try:
        definitions = worker_serializer.dump_definitions(pickled.found)
    except Exception:  # a class may hold a lock or a socket: then its name alone must do
        definitions = b""
    return _KEPT + pickle.dumps((pickled.main, definitions, pickled.body), protocol=5)


def loads_value(data: Buffer) -> Any:
    """Unpickle what `dumps_value` made."""
    if bytes(data[: len(_KEPT)]) != _KEPT:
        return store_serializer.loads_value(data)
    main, definitions, body = pickle.loads(memoryview(data)[len(_KEPT) :])
    return store_serializer.loads_value(
        body, main=main, definitions=(lambda: definitions) if definitions else None
    )


def dumps_exception(error: BaseException) -> bytes | None:
    """Pickle an exception; None where that is large, or makes nothing that can be read again."""
    try:
        data = dumps_value(error)
        # Exceptions with an __init__ of their own often pickle well and never come back.
        comes_back = len(data) <= _MOST_OF_AN_EXCEPTION and isinstance(loads_value(data), BaseException)
    except BaseException:  # whatever a user's __reduce__ raises: the text is kept
        return None
    return data if comes_back else None


def loads(data: Buffer) -> Any:
    """Unpickle what `dumps`, or `dumps_value`, made."""
    return loads_value(data) if bytes(data[: len(_KEPT)]) == _KEPT else worker_serializer.loads(data)
