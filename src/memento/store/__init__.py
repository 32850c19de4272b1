"""Keep every result: one folder with an index of records, values, checkpoints, logs.

Knows: how to find, open, read and write a store. May not know: matrices, executors, displays.

Names are imported on first use: a worker that only encodes values does not load SQLite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.store.location import find_store, locate
    from memento.store.store import Store

__all__ = ["Store", "find_store", "locate"]

_HOMES = {
    "Store": "memento.store.store",
    "find_store": "memento.store.location",
    "locate": "memento.store.location",
}

__getattr__ = on_first_use(__name__, _HOMES)
