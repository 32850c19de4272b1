"""The pickler in C behind `pickle`, without the import of that: it brings one in Python, and `re`; 3 ms of every start.

Knows: names. May not know: what is pickled.
"""

from __future__ import annotations

try:
    from _pickle import Pickler, PicklingError, Unpickler, UnpicklingError, dumps, loads
except ImportError:  # another Python than CPython
    from pickle import (
        Pickler,
        PicklingError,
        Unpickler,
        UnpicklingError,
        dumps,
        loads,
    )

__all__ = ["Pickler", "PicklingError", "Unpickler", "UnpicklingError", "dumps", "loads"]
