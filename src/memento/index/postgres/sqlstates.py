"""What errors of PostgreSQL mean for people, and which of them pass.

Knows: SQLSTATE, psycopg's classes. May not know: connections, what the tables hold.
"""

from __future__ import annotations

from typing import Any

from memento.errors import StoreDamaged, StoreError, StoreUnwritable
from memento.optional_packages import imported

LOCK_SECONDS = 60  # as the statements say

# Classes and codes (postgresql.org/docs/current/errcodes-appendix.html) of a server that went, goes or comes, and of
# transactions that it undid for the sake of others: the same again may do.
_PASS = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25P03", "40001", "40P01")
# What libpq says where a server is about to answer; it knows no codes before there is a connection.
_COMES = ("starting up", "shutting down", "recovery mode", "too many clients", "connection slots")


class Unreachable(StoreUnwritable):
    """The server does not answer, or has undone what was begun; the same again may do."""

    @property
    def why(self) -> str:
        """What libpq or the server says."""
        return first_line(self.__cause__) if isinstance(self.__cause__, Exception) else self.problem


def load_psycopg() -> Any:
    """Return psycopg; raises MissingExtra where it is not installed."""
    return imported("psycopg", "a store in PostgreSQL", "postgres")


def passes(error: Exception) -> bool:
    """Tell whether an error of a connection that there was may be gone at the next try."""
    psycopg = load_psycopg()
    code = getattr(error, "sqlstate", None)
    if code is not None:
        return str(code).startswith(_PASS)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def comes(error: Exception) -> bool:
    """Tell whether a server that could not be connected to is about to answer."""
    return any(text in str(error) for text in _COMES)


# What libpq and the server say of one who is not let in -> what to do.
_REFUSED = (
    ("failed to resolve host", "Check the host's name in the address."),
    ("could not translate host name", "Check the host's name in the address."),
    (
        'database "',
        "Make it, where you may: createdb -h HOST -U USER DATABASE; or check its name in the address.",
    ),
    (
        "password",
        "A password belongs into PGPASSWORD, or as HOST:PORT:DATABASE:USER:PASSWORD into ~/.pgpass.",
    ),
    ("role ", "Check the user in the address, postgresql://USER@HOST/DATABASE."),
    ("pg_hba.conf", "Whoever runs the server must let this host in, by a line in its pg_hba.conf."),
    ("timeout", "Is a firewall between this host and the server? Check host and port."),
    ("refused", "Nothing listens there: start PostgreSQL, or check host and port in the address."),
    ("No such file", "Nothing listens there: start PostgreSQL, or check host and port in the address."),
)


def what_to_do(error: Exception) -> str:
    """Say what to do where a server does not let us in."""
    told = first_line(error)
    return next((todo for text, todo in _REFUSED if text in told), "Check host, port, database and user.")


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split())


def explained(error: Exception, location: str) -> StoreError | None:
    """Turn an error of psycopg into one that says what to do; None for one that is our own mistake."""
    code = str(getattr(error, "sqlstate", None) or "")
    if passes(error):
        return Unreachable(
            location,
            f"PostgreSQL does not answer ({first_line(error)}).",
            "What was told as done is kept. See to the server, then run again.",
        )
    if code == "42501":
        return StoreUnwritable(
            location,
            f"this user may not do that ({first_line(error)}).",
            "Ask for: GRANT CREATE ON DATABASE to make a store, or for all rights on its schema and tables to use one.",
        )
    if code in ("25006", "25007"):
        return StoreUnwritable(
            location, "this server may only be read.", "Name the one that takes writes, not a copy of it."
        )
    if code.startswith("53"):
        return StoreUnwritable(
            location,
            f"the server has no more room ({first_line(error)}).",
            "What was told as done is kept. Free disk or memory there, then run again.",
        )
    if code == "55P03":
        return StoreUnwritable(
            location,
            f"another process has held the store's lock for more than {LOCK_SECONDS} seconds.",
            "SELECT * FROM pg_locks WHERE locktype = 'advisory' tells which; end it, then run again.",
        )
    if code in ("42P01", "3F000", "42703"):
        return StoreDamaged(
            location,
            f"a table of the store is gone, or not as it was ({first_line(error)}).",
            "Restore the database from a backup, or choose another schema for a new store.",
        )
    if code.startswith("XX"):
        return StoreDamaged(
            location,
            f"the database is damaged ({first_line(error)}).",
            "Restore it from a backup; pg_amcheck tells what is wrong.",
        )
    return None
