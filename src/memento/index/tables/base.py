"""What the shared code needs of a database: a connection with its statements, and transactions.

Knows: nothing but this. May not know: any database; SQL, which each index has in a file `sql` of its own.

The statements have the same names in each, and take and give the same values in the same order; what is listed for a
statement (`listed`) is given to it as one value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")


class Connection(Protocol):
    """One thread's connection. What is written is written within `Database.writing`."""

    sql: Any  # the statements, by name

    def execute(self, statement: str, values: Any = ..., /) -> Any:
        """Run a statement; return a cursor."""

    def executemany(self, statement: str, rows: Any, /) -> Any:
        """Run a statement for each row of values."""

    def insert(self, into: str, rows: Sequence[tuple[Any, ...]], /) -> None:
        """Insert rows `into` columns of a table; a text that is no Unicode (a file name) does not lose a commit."""

    def add(self, statement: str, values: Sequence[Any], /) -> int:
        """Insert one row; return its id."""

    def take_ids(self, count: int, /) -> int:
        """Return the first of so many ids of tasks, above all that were handed out; within `Database.writing` only."""


class Database(Protocol):
    """Where tables stand."""

    location: str  # for people
    readonly: bool
    sql: Any

    def connection(self) -> Connection:
        """Return this thread's connection."""

    def all(self, statement: str, values: Any = ..., /) -> list[Any]:
        """Return the rows that a statement finds."""

    def taken(self, take: Callable[[Iterable[Any]], _T], statement: str, values: Any, /) -> _T:
        """Return what `take` makes of the rows that a statement finds."""

    def listed(self, ids: Iterable[int], /) -> Any:
        """Return ids as a statement takes them."""

    def explaining(self) -> AbstractContextManager[None]:
        """Raise the database's errors as ours."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read as of one moment; inside a transaction for writing it is that one's."""

    def writing(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """Hold the writer's lock for one short transaction."""

    def close(self) -> None:
        """Close all connections of this process. Idempotent."""
