"""Addresses of databases that keep an index, like postgresql://ada@db.lab/grid: which text is one, and what people see.

Knows: how an address is written. May not know: how anything is reached. No password leaves this file but in an address
that the caller had.
"""

from __future__ import annotations

import os
import re

POSTGRES = "postgresql"
# Of SQLAlchemy.
_SAME = frozenset({"postgres", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"})
_LOST_COLON = re.compile(rf"(?:{POSTGRES}|postgres)//(?=\S)")  # a folder of this name is not what is meant
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(/?)")
# Up to the last @: a password may have any character, if somebody has not written it as addresses want it.
_PASSWORD = re.compile(r"(://[^:/?#@\s]*):\S*@")
_SECRET = re.compile(r"(?i)\b((?:ssl)?pass(?:word|phrase)?=)[^&\s'\"]+")
HIDDEN = "***"


def is_address(store: str | os.PathLike[str]) -> bool:
    """Tell whether a text is meant as an address, and not as a folder."""
    text = os.fspath(store)
    return bool(_SCHEME.match(text) or _LOST_COLON.match(text))


def checked(store: str | os.PathLike[str]) -> str:
    """Return an address as PostgreSQL's own programs take it.

    Raises
    ------
    ValueError
        It is none of those that an index may have; says what would be right.

    >>> checked("postgres://ada@db.lab/grid")
    'postgresql://ada@db.lab/grid'
    """
    text = os.fspath(store)
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    lost = _LOST_COLON.match(text)
    if lost:
        raise ValueError(
            f"store= has an address without its colon: write {shown(f'{POSTGRES}://{text[lost.end() :]}')!r}"
        )
    if found and not found[2] and (scheme == POSTGRES or scheme in _SAME):
        raise ValueError(
            f"store={shown(text)!r} has lost a slash, as pathlib.Path does it: give the address as a text,"
            f" {POSTGRES}://{shown(text[found.end() :])}"
        )
    if found and (scheme == POSTGRES or scheme in _SAME):
        rest = text[found.end() :]
        who = rest.partition("?")[0].rpartition("@")[0]
        if set(who) & set("/@#") or who.count(":") > 1:
            # Read further, half of a password would be a host's name, and be told as such.
            raise ValueError(
                f"store={shown(text)!r} cannot be read: in an address, the password writes / as %2F, @ as %40, : as %3A"
                " and # as %23; better, it stands in PGPASSWORD or ~/.pgpass, and not in the address"
            )
        return f"{POSTGRES}://{rest}"
    told = f"store={shown(text)!r} is no folder, and no address that keeps a store's index"
    if scheme == "sqlite":
        path = text[found.end() :] if found else ""
        raise ValueError(
            f"{told}: a store that keeps it in SQLite is a folder, like store={path or 'grid'!r}"
        )
    if scheme in ("s3", "gs", "az", "gcs", "abfs", "http", "https", "file"):
        raise ValueError(
            f"{told}: an object store keeps values. Give its address as payloads=, and as store= a folder or"
            f" {POSTGRES}://USER@HOST/DATABASE"
        )
    raise ValueError(f"{told}, which is written {POSTGRES}://USER@HOST/DATABASE")


def shown(text: str) -> str:
    """Return an address, or a text with some, as people may see it.

    >>> shown("postgresql://ada:hunter2@db.lab:5432/grid")
    'postgresql://ada:***@db.lab:5432/grid'
    >>> shown("postgresql:///grid?host=/tmp&password=hunter2")
    'postgresql:///grid?host=/tmp&password=***'
    >>> shown("postgresql://ada:hun/t@r2@db.lab/grid")
    'postgresql://ada:***@db.lab/grid'
    """
    return _SECRET.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))


def name_of(address: str) -> str:
    """Return what tells a store from others of its server, as part of a folder's name.

    >>> name_of("postgresql://ada:pw@db.lab/grid?schema=mnist&sslmode=require")
    'grid-mnist'
    """
    rest = address.partition("://")[2].rpartition("@")[2]
    path, _, query = rest.partition("?")
    schema = re.search(r"(?:^|&)schema=([^&]*)", query)
    words = [path.partition("/")[2] or POSTGRES, schema[1] if schema else ""]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(word for word in words if word))
