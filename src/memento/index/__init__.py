"""A store's records: the contract that an index meets (`contract`), and what all indexes share.

Knows: records, leases. May not know: values, matrices, executors. Indexes themselves are folders here (`sqlite`).

Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.index.contract import Index, Run
    from memento.index.types import Activity, Claim, Command, Committed, Event

__all__ = ["Activity", "Claim", "Command", "Committed", "Event", "Index", "Run"]

_HOMES = {
    "Activity": "memento.index.types",
    "Claim": "memento.index.types",
    "Command": "memento.index.types",
    "Committed": "memento.index.types",
    "Event": "memento.index.types",
    "Index": "memento.index.contract",
    "Run": "memento.index.contract",
}

__getattr__ = on_first_use(__name__, _HOMES)
