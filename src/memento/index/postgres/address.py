"""Read the address of a store in PostgreSQL.

Knows: how a URL says where a server, a database and a schema are. May not know: connections. A password is never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode

SCHEMES = ("postgresql", "postgres")
DEFAULT_SCHEMA = "memento"
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SECRETS = frozenset({"password", "passfile", "sslpassword", "sslkey"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store's tables are.

    Attributes
    ----------
    conninfo : str
        What libpq connects to: the URL without what is ours. It may hold a password, and is not shown.
    schema : str
        The schema that the tables stand in.
    shown : str
        The URL as people may see it.
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str

    def __str__(self) -> str:
        return self.shown


def read_address(text: str) -> Address:
    """Read ``postgresql://user@host/database?schema=name``, and all else that libpq takes; ValueError of no URL."""
    scheme, separator, rest = text.partition("://")
    if scheme not in SCHEMES or not separator:
        raise ValueError(
            "the address of a store in PostgreSQL begins with postgresql://, like"
            " postgresql://user@host/database?schema=memento."
        )
    # A password may have any character: what stands before the last @ is nobody's host.
    place, _, query = rest.partition("?")
    login, at, where = place.rpartition("@")
    user, colon, password = (
        quote(unquote(part), safe="") if part != ":" else part for part in login.partition(":")
    )
    options = parse_qsl(query, keep_blank_values=True)
    schema = next((value for name, value in reversed(options) if name == "schema"), DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(
            f"schema={schema!r} is no name for the schema of a store: use small letters, digits and _, 63 at most,"
            f" like schema={DEFAULT_SCHEMA}."
        )
    kept = [(name, value) for name, value in options if name != "schema"]
    public = [*_shown_schema(schema), *((name, value) for name, value in kept if name not in _SECRETS)]
    shown = f"postgresql://{user}{at}{where}{_asked(urlencode(public, safe='/:,'))}"
    login = f"{user}{colon}{password}{at}"
    conninfo = f"postgresql://{login}{where}{_asked(urlencode(kept, quote_via=quote))}"
    return Address(conninfo, schema, shown)


def _asked(query: str) -> str:
    return f"?{query}" if query else ""


def _shown_schema(schema: str) -> list[tuple[str, str]]:
    return [] if schema == DEFAULT_SCHEMA else [("schema", schema)]
