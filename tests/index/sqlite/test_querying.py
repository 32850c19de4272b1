"""Questions in SQL: what the views have, that nothing but reading is possible, that no question goes on for ever."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.errors import StoreDamaged
from memento.index.contract import Index
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.index.types import QueryFailed, Table
from memento.layout import INDEX
from memento.memento import Memento
from memento.records import Encoded
from memento.testing.index_rows import info_of, row_of
from memento.values.describe import describe
from tests.cli.calling import copied

LONG = 4.0  # seconds that a question may take
GENEROUS = 60.0  # ... that a busy machine may add


def _experiment(context: Any, config: Any) -> Any:
    context.record({"acc": config.x / 4, "a.b 'c'": float("nan")})
    if config.x == 3:
        raise ValueError("three")
    return {
        "dict": {"square": config.x**2, "nan": float("nan")},
        "nan": float("nan"),
        "text": 'it\'s "text"',
        "number": config.x / 2,
        "tuple": (1, float("inf")),
    }[config.kind]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with fifteen tasks, five of them failed."""
    place = tmp_path_factory.mktemp("asked") / "it's a store % with ?#"
    matrix = {"parameters": {"kind": ["dict", "nan", "text", "number", "tuple"], "x": [1, 2, 3]}}
    Memento(_experiment, name="e", store=place, executor="serial", on_error="return").run(matrix)
    return place


@pytest.fixture
def index(made: Path) -> Iterator[Index]:
    with SqliteIndex.open(str(made), create=False, readonly=True, clock=SYSTEM_CLOCK) as opened:
        yield opened


def ask(index: Index, statement: str, limit: int | None = None) -> Table:
    return index.query(statement, LONG, limit)


# --- what it answers -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_view_has_the_columns_that_it_says_and_can_be_read_whole(index: Index) -> None:
    for view in index.views():
        found = ask(index, f"SELECT * FROM {view.name}")
        assert found.columns == view.columns
        assert found.rows, view.name


def test_parameters_metrics_and_values_are_asked_by_name(index: Index) -> None:
    found = ask(
        index,
        "SELECT params ->> 'x', metrics ->> 'acc', value ->> 'square' FROM tasks"
        " WHERE params ->> 'kind' = 'dict' AND status = 'done' ORDER BY 1",
    )
    assert found.rows == [(1, 0.25, 1), (2, 0.5, 4)]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("dict", ['{"square": 1, "nan": null}']),
        ("nan", [None]),
        ("text", ['it\'s "text"']),
        ("number", [0.5]),
        ("tuple", ["[1,null]"]),
    ],
)
def test_a_value_is_a_number_a_text_or_json(index: Index, kind: str, told: list[Any]) -> None:
    found = ask(index, f"SELECT value FROM tasks WHERE params ->> 'kind' = '{kind}' AND params ->> 'x' = 1")
    read = [
        cell if not isinstance(cell, str) or kind == "text" else json.loads(cell) for (cell,) in found.rows
    ]
    wanted = [cell if not isinstance(cell, str) or kind == "text" else json.loads(cell) for cell in told]
    assert read == wanted


def test_what_a_pickle_or_a_file_holds_by_name_is_asked_by_name(tmp_path: Path) -> None:
    told = {"acc": 0.5, "model": [1]}
    values = [
        Encoded("pickle", b"...", None, 3, "builtins:dict", describe(told | {"nan": float("nan")})),
        Encoded("json", None, "3f/3f.json", 3, "builtins:dict", describe(told)),
        Encoded("pickle", b"...", None, 3, "sklearn:SVC", describe(object())),
        Encoded("pickle", b"...", None, 3, "builtins:dict", "no JSON"),
    ]
    with SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        index.begin(info_of()).commit([row_of(n, value=value) for n, value in enumerate(values)])
        found = ask(
            index, "SELECT value ->> 'acc', value ->> 'nan', value ->> 'model' FROM tasks ORDER BY started"
        )
        assert found.rows == [(0.5, None, "list of 1 item")] * 2 + [(None, None, None)] * 2
        with pytest.raises(QueryFailed, match="Write value ->> 'acc'"):
            ask(index, "SELECT acc FROM tasks")


def test_failures_tell_why(index: Index) -> None:
    (row,) = ask(index, "SELECT kind, error, message, count(*) FROM failures GROUP BY 1, 2, 3").rows
    assert row == ("raised", "ValueError", "three", 5)


def test_a_run_without_an_outcome_is_running_while_it_lives_and_died_afterwards(tmp_path: Path) -> None:
    with SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        mine = {"host": system.hostname(), "boot_id": system.boot_identity()}
        alive = info_of(pid=os.getpid(), **mine)._replace(
            process_started=system.process_start(os.getpid()) or ""
        )
        index.begin(alive)
        index.begin(info_of(pid=2**22 + 1, **mine))
        assert [row for (row,) in ask(index, "SELECT status FROM runs ORDER BY id").rows] == [
            "running",
            "died",
        ]


def test_lists_in_parameters_are_unfolded(index: Index) -> None:
    found = ask(index, "SELECT DISTINCT j.key FROM tasks, json_each(params) AS j ORDER BY 1")
    assert found.rows == [("kind",), ("x",)]


def test_median_and_deviation_are_there(index: Index) -> None:
    (row,) = ask(index, "WITH n(x) AS (VALUES (1), (2), (4), (NULL)) SELECT median(x), stdev(x) FROM n").rows
    assert row == (2, pytest.approx(1.5275252316519468))


def test_only_so_many_rows_come_as_were_asked_for(index: Index) -> None:
    assert len(ask(index, "SELECT key FROM tasks", 2).rows) == 2
    assert ask(index, "SELECT key FROM tasks", 2).more
    assert not ask(index, "SELECT key FROM tasks", 15).more


def test_what_is_committed_meanwhile_is_in_the_next_answer(tmp_path: Path) -> None:
    with SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        run = index.begin(info_of())
        assert ask(index, "SELECT count(*) FROM tasks").rows == [(0,)]
        run.commit([row_of(1)])
        assert ask(index, "SELECT count(*) FROM tasks").rows == [(1,)]


# --- what is refused -----------------------------------------------------------------------------------

HOSTILE = [
    "ATTACH 'x' AS y",
    "ATTACH ':memory:' AS y",
    "/* SELECT */ ATTACH 'x' AS y",
    "attach\n'x' as tasks",
    "DETACH main",
    "PRAGMA writable_schema=ON",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA main.wal_checkpoint(TRUNCATE)",
    "PRAGMA query_only=OFF",
    "PRAGMA hard_heap_limit=0",
    "SELECT * FROM pragma_table_info('tasks')",
    "SELECT * FROM pragma_journal_mode",
    "VACUUM",
    "VACUUM INTO 'x'",
    "DELETE FROM main.tasks",
    "DELETE FROM tasks",
    "UPDATE main.tasks SET status = 'done'",
    "INSERT INTO main.experiments (name) VALUES ('x')",
    "REPLACE INTO main.experiments (name) VALUES ('x')",
    "WITH c AS (SELECT 1) INSERT INTO main.experiments (name) SELECT 'x' FROM c RETURNING name",
    "WITH c AS (SELECT 1) DELETE FROM main.tasks",
    "EXPLAIN DELETE FROM main.tasks",
    "CREATE TABLE t (x)",
    "CREATE TEMP TABLE t (x)",
    "CREATE TEMP TABLE t AS SELECT * FROM tasks",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP TRIGGER t AFTER INSERT ON tasks BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE v USING fts3(x)",
    "CREATE VIRTUAL TABLE temp.v USING dbstat",
    "CREATE INDEX i ON tasks (status)",
    "DROP TABLE main.tasks",
    "DROP VIEW temp.tasks",
    "ALTER TABLE main.tasks ADD COLUMN x",
    "ANALYZE",
    "REINDEX",
    "BEGIN",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "SAVEPOINT s",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT fts3_tokenizer('simple', x'0000000000000000')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('x', 'y')",
    "SELECT edit('x')",
    "SELECT sqlite_compileoption_get(0)",
    "SELECT last_insert_rowid()",
    "SELECT * FROM fsdir('/')",
    "SELECT 1; DROP TABLE main.tasks",
    "SELECT 1; SELECT 2",
    "",
    " ",
    ";",
    "-- nothing",
    "/* nothing */",
    "SELECT 1 WHERE 1 = ?",
    "SELECT :name",
    "SELECT 1\x00; DROP TABLE main.tasks",
    "SELECT '\ud800'",
    "SELECT",
    "(" * 2_000,
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "1+" * 100_000 + "1",
    "SЕLECT 1",  # a letter of another script
]


# Each takes a process: some on every Python, which brings an SQLite of its own, all in the slow tests.
@pytest.mark.parametrize(
    "statement",
    [pytest.param(text, marks=pytest.mark.slow if number % 4 else ()) for number, text in enumerate(HOSTILE)],
    ids=lambda text: text[:40],
)
def test_what_does_more_than_read_is_refused_and_changes_nothing(
    made: Path, index: Index, statement: str
) -> None:
    before = _bytes(made)
    with pytest.raises(QueryFailed) as told:
        ask(index, statement)
    assert len(str(told.value)) < 1_000 or statement in str(told.value)
    assert _bytes(made) == before


def _bytes(store: Path) -> dict[str, str]:
    """Digests of all files that keep something; SQLite's shared memory keeps nothing."""
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in store.rglob("*")
        if file.is_file() and not file.name.endswith("-shm") and file.stat().st_size
    }


WORDS = st.sampled_from(
    [
        "SELECT", "*", "FROM", "tasks", "main.tasks", "metrics", "WHERE", "1", "'x'", ",", "(", ")", ";", "--", "/*",
        "DELETE", "INSERT INTO", "UPDATE", "SET status =", "VALUES", "PRAGMA", "writable_schema", "=", "ATTACH", "AS y",
        "VACUUM", "INTO", "WITH c AS", "RETURNING *", "REPLACE", "DROP TABLE", "CREATE TEMP VIEW v AS", "EXPLAIN",
        "BEGIN", "COMMIT", "main.sqlite_master", "json_each('[1]')", "zeroblob(9)", "\n", "\x00", "é",
    ]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
def test_whatever_is_asked_the_store_stays_as_it_is(made: Path, index: Index, statement: str) -> None:
    before = _bytes(made)
    with suppress(QueryFailed):
        ask(index, statement, 10)
    assert _bytes(made) == before


# --- what would take too much --------------------------------------------------------------------------

_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
ENDLESS = [
    f"{_ENDLESS} SELECT count(*) FROM c",
    f"{_ENDLESS} SELECT x FROM c WHERE x < 0",
    "SELECT count(*) FROM" + ",".join(f" tasks AS t{n}" for n in range(8)),  # 15 ** 8
    "SELECT count(*) FROM"
    + ",".join(f" json_each('[{','.join('1' * 1_000)}]')" for _ in range(3)),  # 10 ** 9
    f"{_ENDLESS} SELECT group_concat(hex(zeroblob(1000000))) FROM c",
    # One call of a function, inside of which SQLite asks nobody.
    "SELECT replace(hex(zeroblob(20000000)), '0', 'x') LIKE '%' || replace(hex(zeroblob(10000)), '0', 'x_') || 'y'",
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", ENDLESS)
def test_a_query_without_end_is_ended(index: Index, statement: str) -> None:
    start = time.monotonic()
    with pytest.raises(QueryFailed, match="was ended after 1 s"):
        index.query(statement, 1.0)
    assert time.monotonic() - start < GENEROUS


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT zeroblob(1000000000)",
        "SELECT hex(zeroblob(400000000))",
        "SELECT printf('%.*c', 900000000, 'x')",
        f"{_ENDLESS} SELECT randomblob(10000000) FROM c",
        f"{_ENDLESS} SELECT x, hex(zeroblob(100000)) AS t FROM c ORDER BY t, x",
    ],
)
def test_a_query_that_needs_too_much_memory_is_refused(index: Index, statement: str) -> None:
    with pytest.raises(QueryFailed, match=r"memory|more than 256 MB"):
        index.query(statement, GENEROUS)


# --- what helps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT acc FROM tasks", "Write metrics ->> 'acc'."),
        ("SELECT t.x FROM tasks AS t", "Write params ->> 'x'."),
        ("SELECT knd FROM tasks", "Did you mean 'kind'"),
        ("SELECT square FROM tasks", "Write value ->> 'square'."),
        ("SELECT statsu FROM tasks", "Did you mean 'status'?"),
        ("SELECT zzz FROM tasks", "`memento query` alone lists"),
        ("SELECT 1 FROM task", "Did you mean 'tasks'?"),
        ("SELECT frob(1)", "no such function: frob"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(index: Index, statement: str, told: str) -> None:
    with pytest.raises(QueryFailed) as error:
        ask(index, statement)
    assert told in str(error.value)


def test_a_damaged_index_is_told_as_such(made: Path, tmp_path: Path) -> None:
    copied(made, tmp_path / "store")
    with closing(sqlite3.connect(tmp_path / "store" / INDEX)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is in the log hides what is in the file
    with SqliteIndex.open(str(tmp_path / "store"), create=False, readonly=True, clock=SYSTEM_CLOCK) as index:
        ask(index, "SELECT count(*) FROM tasks")
        file = tmp_path / "store" / INDEX
        size = file.stat().st_size
        with open(file, "r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * (size - 4096))
        with pytest.raises(StoreDamaged):
            ask(index, "SELECT * FROM tasks ORDER BY started")


def test_a_strangers_views_and_triggers_run_nothing_that_is_not_allowed(made: Path, tmp_path: Path) -> None:
    copied(made, tmp_path / "store")
    connection = sqlite3.connect(tmp_path / "store" / INDEX)
    connection.execute("CREATE VIEW loads AS SELECT load_extension('x') AS key")
    connection.execute("CREATE VIEW tidy AS SELECT * FROM pragma_table_info('tasks')")
    connection.commit()
    connection.close()
    with SqliteIndex.open(str(tmp_path / "store"), create=False, readonly=True, clock=SYSTEM_CLOCK) as index:
        assert len(ask(index, "SELECT key FROM tasks").rows) == 15
        for view in ("loads", "tidy"):
            with pytest.raises(QueryFailed):
                ask(index, f"SELECT * FROM {view}")


@pytest.mark.skipif("sys.platform == 'win32'")
def test_a_store_that_may_not_be_written_can_be_asked(made: Path, tmp_path: Path) -> None:
    copied(made, tmp_path / "store")
    (tmp_path / "store" / INDEX).chmod(0o444)
    (tmp_path / "store").chmod(0o555)
    try:
        with SqliteIndex.open(
            str(tmp_path / "store"), create=False, readonly=True, clock=SYSTEM_CLOCK
        ) as index:
            assert ask(index, "SELECT count(*) FROM tasks").rows == [(15,)]
    finally:
        (tmp_path / "store").chmod(0o755)


def test_bytes_come_as_bytes_and_text_that_is_none_as_text(index: Index) -> None:
    assert ask(index, "SELECT x'00ff', CAST(x'61ff' AS TEXT), 1e400, 9223372036854775807").rows == [
        (b"\x00\xff", "a\ufffd", float("inf"), 2**63 - 1)
    ]
