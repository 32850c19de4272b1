"""The module in C behind `sqlite3`, without the import of that: it brings `datetime`, 1.5 ms of every start.

Knows: names. May not know: tables, files.
"""

from __future__ import annotations

from memento.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection, DatabaseError, Error, OperationalError, connect
else:
    try:
        from _sqlite3 import Connection, DatabaseError, Error, OperationalError, connect
    except ImportError:  # another Python than CPython
        from sqlite3 import Connection, DatabaseError, Error, OperationalError, connect

__all__ = ["Connection", "DatabaseError", "Error", "OperationalError", "connect"]
