"""Addresses of stores in PostgreSQL: what libpq takes, a schema of our own, and no password that anybody sees."""

from __future__ import annotations

import sys
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.clock import SYSTEM_CLOCK
from memento.errors import MissingExtra
from memento.index.postgres.address import DEFAULT_SCHEMA, read_address
from memento.index.postgres.postgres_index import PostgresIndex
from memento.index.postgres.statements import WORDS, statements
from memento.index.sqlite import sql


@pytest.mark.parametrize(
    ("text", "schema", "conninfo", "shown"),
    [
        ("postgresql://db/grids", "memento", "postgresql://db/grids", "postgresql://db/grids"),
        ("postgres:///grids", "memento", "postgresql:///grids", "postgresql:///grids"),
        (
            "postgresql://ada:s3cret@db:5433/grids?schema=mnist",
            "mnist",
            "postgresql://ada:s3cret@db:5433/grids",
            "postgresql://ada@db:5433/grids?schema=mnist",
        ),
        (
            "postgresql://ada@a,b:5433/grids?schema=memento&password=s3cret&target_session_attrs=read-write",
            "memento",
            "postgresql://ada@a,b:5433/grids?password=s3cret&target_session_attrs=read-write",
            "postgresql://ada@a,b:5433/grids?target_session_attrs=read-write",
        ),
        (
            "postgresql://ada:hun/t@%zz:r2@db/grids",
            "memento",
            "postgresql://ada:hun%2Ft%40%25zz%3Ar2@db/grids",
            "postgresql://ada@db/grids",
        ),
        (
            "postgresql:///grids?host=/run/my%20sockets&schema=a1",
            "a1",
            "postgresql:///grids?host=%2Frun%2Fmy%20sockets",
            "postgresql:///grids?schema=a1&host=/run/my+sockets",
        ),
    ],
)
def test_an_address_names_a_schema_and_hides_what_is_secret(
    text: str, schema: str, conninfo: str, shown: str
) -> None:
    found = read_address(text)
    assert (found.schema, found.conninfo, found.shown, str(found)) == (schema, conninfo, shown, shown)
    assert "s3cret" not in repr(found)


@given(st.text(st.characters(exclude_characters="?&", exclude_categories=["Cs", "Cc", "Z"]), min_size=4))
def test_no_password_is_shown(password: str) -> None:
    secret = f"x9{password}9x"
    for text in (
        f"postgresql://ada:{secret}@db/grids",
        f"postgresql://ada@db/grids?password={quote(secret)}",
    ):
        found = read_address(text)
        assert "x9" not in repr(found) + str(found)
        assert unquote(found.conninfo).count(unquote(secret)) == 1


@pytest.mark.parametrize(
    "schema", ["", "A", "a-b", "pg_x", "a b", 'a"b', "1a", "a" * 64, "ä", "a%s", "store.x"]
)
def test_a_schema_whose_name_needs_quotes_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="is no name for the schema"):
        read_address(f"postgresql://db/grids?schema={schema}")


def test_another_address_is_refused_with_one_that_is_right() -> None:
    with pytest.raises(ValueError, match=r"like postgresql://user@host/database\?schema=memento"):
        read_address("mysql://db/grids")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memento-ml\[postgres\]'"):
        PostgresIndex.open("postgresql://db/grids", create=True, readonly=False, clock=SYSTEM_CLOCK)


def test_every_statement_stands_for_its_schema_in_words_of_postgresql() -> None:
    theirs, ours = vars(sql), vars(statements("mnist"))
    shared = {name: str(text) for name, text in theirs.items() if name.isupper() and name[0] != "_"}
    assert ours.keys() >= shared.keys()
    for name, text in ours.items():
        assert "store." not in str(text), name
    for word, _ in WORDS:  # or a statement that was changed would be SQLite's from then on
        assert any(word in text for text in theirs.values() if isinstance(text, str)), word
    assert DEFAULT_SCHEMA == "memento"
