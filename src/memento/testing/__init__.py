"""Conformance suites: what every executor, index, codec and place must do, as tests to subclass.

Knows: the contracts. May not know: any implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

# For type checkers, to which `X as X` says that X is public. A test compares it with the table.
if TYPE_CHECKING:
    from memento.testing.codec_contract import CodecContract as CodecContract
    from memento.testing.driving import Drive as Drive
    from memento.testing.executor_contract import ExecutorContract as ExecutorContract
    from memento.testing.index_contract import IndexContract as IndexContract
    from memento.testing.place_contract import PlaceContract as PlaceContract

# Each needs pytest.
_HOMES = {
    "memento.testing.codec_contract": "CodecContract",
    "memento.testing.driving": "Drive",
    "memento.testing.executor_contract": "ExecutorContract",
    "memento.testing.index_contract": "IndexContract",
    "memento.testing.place_contract": "PlaceContract",
}

__getattr__, __all__ = on_first_use(__name__, _HOMES)
