"""Questions in SQL on a real server: the same views as of every index, nothing but reading, no question for ever."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento.clock import SYSTEM_CLOCK
from memento.index.postgres.postgres_index import PostgresIndex
from memento.index.sqlite.querying import views as views_of_sqlite
from memento.index.types import QueryFailed, Table
from memento.records import Encoded, Series, TaskRow
from memento.testing.index_rows import info_of, row_of
from memento.values.describe import describe
from tests.engines.postgres import Postgres
from tests.engines.postgres import postgres as postgres

pytestmark = pytest.mark.engine
LONG = 120.0  # seconds that a question may take

VALUES = {
    "dict": Encoded("json", b'{"square": 4, "nan": NaN}', None, 10, "builtins:dict"),
    "nan": Encoded("json", b"NaN", None, 3, "builtins:float"),
    "zero": Encoded("json", b'"a\\u0000b"', None, 9, "builtins:str"),
    "text": Encoded("text", b'it\'s "text"', None, 11, "builtins:str"),
    "number": Encoded("json", b"0.5", None, 3, "builtins:float"),
    "scalar": Encoded("npscalar", b"float64 1.5", None, 11, "numpy:float64"),
    "typed": Encoded("typed", b"[[1, Infinity], null]", None, 21, "builtins:tuple"),
    "file": Encoded("npy", None, "3f/3f.npy", 10**6, "numpy:ndarray"),
    "fitted": Encoded("pickle", b"...", None, 3, "builtins:dict", describe({"acc": 0.5, "nan": math.nan})),
    "object": Encoded("pickle", b"...", None, 3, "sklearn:SVC", describe(object())),
}


def rows() -> Iterator[TaskRow]:
    """A task of each kind of value, and one that failed."""
    series = Series("acc.b 'c'", 1, 0.25, 0.25, float("nan"), bytes(16))
    for number, (kind, value) in enumerate(VALUES.items()):
        row = row_of(number, value=value, metrics=(series,) if kind == "dict" else ())
        yield row._replace(params=json.dumps({"kind": kind, "x": number}))
    yield row_of(99, failed="three")


@pytest.fixture(scope="module")
def index(postgres: Postgres) -> Iterator[PostgresIndex]:
    address = postgres.address()
    with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as made:
        run = made.begin(
            info_of(provenance={"git": {"commit": "abc", "dirty": True}, "packages": {"a": "1"}})
        )
        run.commit(list(rows()))
        run.finish("failed", {"done": 8, "failed": 1, "cached": 0})
        made.begin(info_of())
    postgres.all("CREATE TABLE IF NOT EXISTS public.others (secret text)")
    opened = PostgresIndex.open(address, create=False, readonly=True, clock=SYSTEM_CLOCK)
    yield opened
    opened.close()


def ask(index: PostgresIndex, statement: str, limit: int | None = None) -> Table:
    return index.query(statement, LONG, limit)


def test_the_views_are_those_of_every_index(index: PostgresIndex) -> None:
    assert index.views() == views_of_sqlite()
    for view in index.views():
        found = ask(index, f"SELECT * FROM {view.name}")
        assert found.columns == view.columns
        assert found.rows, view.name


def test_parameters_metrics_and_values_are_asked_by_name(index: PostgresIndex) -> None:
    found = ask(
        index,
        "SELECT (params ->> 'x')::int, (metrics ->> 'acc.b ''c''')::float, (value -> 'square')::int FROM tasks"
        " WHERE params ->> 'kind' = 'dict' AND status = 'done' -- the one",
    )
    assert found.rows == [(0, 0.25, 4)]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("dict", {"square": 4, "nan": None}),
        ("nan", None),
        ("zero", "a\ufffdb"),
        ("text", 'it\'s "text"'),
        ("number", 0.5),
        ("scalar", 1.5),
        ("typed", [1, None]),
        ("file", None),
        ("fitted", {"acc": 0.5, "nan": None}),
        ("object", None),
    ],
)
def test_a_value_is_a_number_a_text_or_json(index: PostgresIndex, kind: str, told: object) -> None:
    ((cell,),) = ask(index, f"SELECT value FROM tasks WHERE params ->> 'kind' = '{kind}'").rows
    assert (json.loads(cell) if isinstance(told, (dict, list)) else cell) == told


def test_runs_and_failures_tell_how_they_ended(index: PostgresIndex) -> None:
    assert ask(index, "SELECT kind, error, message FROM failures").rows == [("raised", "ValueError", "three")]
    found = ask(index, 'SELECT status, done, "commit", dirty, packages FROM runs ORDER BY id').rows
    assert found == [("failed", 8, "abc", 1, '{"a": "1"}'), ("running", 0, None, None, None)]


def test_so_many_rows_are_given_as_were_asked_for(index: PostgresIndex) -> None:
    found = ask(index, "SELECT repeat FROM tasks ORDER BY key;", limit=3)
    assert (len(found.rows), found.more) == (3, True)
    assert not ask(index, "SELECT key FROM tasks", limit=len(VALUES) + 1).more
    assert ask(index, "VALUES (1, 'a'), (2, NULL)").rows == [(1, "a"), (2, None)]
    assert ask(index, "WITH one AS (SELECT count(*) AS n FROM tasks) SELECT n FROM one").rows == [
        (len(VALUES) + 1,)
    ]


HOSTILE = [
    "DELETE FROM tasks",
    "DROP TABLE memento.tasks",
    "SELECT 1; SELECT 2",
    "SELECT 1) AS answer; DROP TABLE x; --",
    "WITH gone AS (DELETE FROM tasks RETURNING 1) SELECT * FROM gone",
    "SELECT * INTO taken FROM tasks",
    "SELECT pg_sleep(100)",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT \"pg_read_file\"('/etc/passwd')",
    "SELECT pg_terminate_backend(1)",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT 1 --\r, lo_import('/etc/passwd')",
    "SELECT E'a'\n'\\' , lo_import(''/etc/passwd''), '",
    "SELECT $a$ $b$ $a$, lo_import('/etc/passwd'), $b$ $b$",
    "SELECT /* /* */ lo_import('x') */ lo_import('/etc/passwd')",
    "SELECT U&'\\0041'",
    "SELECT * FROM public.others",
    'SELECT * FROM "public" . "others"',
    "TABLE public.others",
    "SELECT * FROM others",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_authid",
    "SELECT * FROM PG_CATALOG.pg_class",
    "SELECT current_setting('data_directory')",
    "COPY tasks TO PROGRAM 'id'",
    "DO $$ BEGIN END $$",
    "SET ROLE nobody",
    "LISTEN x",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT nextval('x')",
    "SELECT dblink('x', 'y')",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT 'unclosed",
    'SELECT "unclosed',
    "SELECT (1",
    "SELECT /* 1",
    "",
    ";",
    "nonsense",
    "SELECT '\0'",
]


@pytest.mark.parametrize("statement", HOSTILE)
def test_what_would_do_more_than_read_the_views_is_refused(
    postgres: Postgres, index: PostgresIndex, statement: str
) -> None:
    with pytest.raises(QueryFailed):
        ask(index, statement)
    assert ask(index, "SELECT count(*) FROM tasks").rows == [(len(VALUES) + 1,)]
    assert postgres.all("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_a_question_that_takes_too_long_is_ended(index: PostgresIndex) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryFailed, match=r"was ended after 0\.2 s"):
        index.query(endless, 0.2)


def test_a_mistake_is_explained(index: PostgresIndex) -> None:
    for statement, told in {
        "SELECT * FROM taks": "Did you mean 'tasks'",
        "SELECT statu FROM tasks": "Did you mean 'status'",
        "SELECT lr FROM tasks": r"params ->> 'lr'",
        "SELECT median(runtime) FROM tasks": r"percentile_cont\(0\.5\)",
        "SELEC 1": "may only read",
        "SELECT 1 +": "syntax error",
    }.items():
        with pytest.raises(QueryFailed, match=told):
            ask(index, statement)


_PARTS = st.sampled_from(
    [
        *"(),;.'\"$*/-\\\n\r ",
        *(
            "--",
            "/*",
            "*/",
            "$$",
            "$a$",
            "E'",
            "U&",
            "::",
            "''",
            "SELECT",
            "FROM",
            "tasks",
            "public",
            "others",
        ),
        *("lo_import", "pg_sleep", "WITH", "AS", "1", "key", "count", "\u00a0"),
    ]
)


@given(st.lists(_PARTS, max_size=14).map("".join))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_combination_of_quotes_and_comments_hides_a_function(index: PostgresIndex, middle: str) -> None:
    said = ""
    try:
        ask(index, f"SELECT {middle} lo_import('/nowhere/at/all')")  # it may stand in a comment, or in a text
    except QueryFailed as refused:
        said = str(refused)
    assert "could not open" not in said, "the server has called it"
