"""Every table and every SQL statement of the index in PostgreSQL: those of SQLite in other words, and some of its own.

Knows: PostgreSQL 13 or later, the texts of `memento.index.sqlite.sql`. May not know: connections, processes, what rows
mean to people.

`store` stands for the schema, which `statements` puts in its place: no statement depends on a setting of its session,
because a pool (pgbouncer) may give each transaction another one.

What the tables rest on:
    Ids of tasks only grow, in commit order, and are never used twice: they are taken from a sequence while the lock of
    all writers is held, which falls when the commit can be seen.
    Nothing is written over by each commit: dead rows of one id, which stay while any session holds an old transaction
    open, would make each next look at it slower.
    A lease ends by the clock of the server alone: `expires` stands in a claim and in its run, and a claim is read
    without its run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace

from memento.index.sqlite import sql

VERSION = 1
# Bytes: all values that are no files stand in their rows; PostgreSQL itself puts large ones apart.
TINY = sys.maxsize
LEASE_SECONDS = 180  # three times as long as a run goes on trying to reach the server
_LEASE = f"now() + interval '{LEASE_SECONDS} seconds'"

TABLES = ("about", "commits", *(table for table in sql.TABLES if table not in ("counters", "blobs")))

# --- SQLite's texts in other words ---------------------------------------------------------------------

_ID = "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
_EXPIRES = f"expires timestamptz NOT NULL DEFAULT {_LEASE}"
# What SQLite's texts say -> what is said here; in this order.
WORDS = (
    # Tables. Those of runs and tasks are given their ids.
    ("TABLE runs (\n    id INTEGER", f"TABLE runs (\n    {_EXPIRES},\n    id bigint"),
    ("TABLE tasks (\n    id INTEGER", "TABLE tasks (\n    id bigint"),
    ("TABLE claims (", f"TABLE claims ({_EXPIRES}, "),
    ("TABLE answers (", f"TABLE answers ({_ID}, "),
    ("id INTEGER PRIMARY KEY", _ID),
    (" REFERENCES experiments (id)", ""),
    (" INTEGER", " bigint"),
    (" REAL", " double precision"),
    (" BLOB,", " bytea,"),
    (" BLOB ", " bytea "),
    # Which leases have ended the server says; claims whose lease has are as if they were gone.
    ("r.provenance\n", "r.provenance, r.expires < now()\n"),
    ("heartbeat, name FROM runs", "heartbeat, name, expires < now() FROM runs"),
    ("FROM claims WHERE run <> ?", "FROM claims WHERE run <> ? AND expires > now()"),
    # All that has no file stands in its row. Texts are joined to bytes as such.
    (
        sql.SUMMED,
        """key || convert_to(params, 'UTF8') || CASE WHEN format IS NULL THEN ''::bytea ELSE
            '\\x00'::bytea || convert_to(format, 'UTF8') || '\\x00'::bytea || convert_to(type, 'UTF8') || '\\x00'::bytea
            || convert_to(coalesce(ref, 'None') || coalesce(shown, ''), 'UTF8') || coalesce(value, ''::bytea) END""",
    ),
    (sql.DATA, "value"),
    ("coalesce(t.value, b.data)", "t.value"),
    ("FROM tasks AS t LEFT JOIN blobs AS b ON b.task = t.id", "FROM tasks AS t"),
    (
        "char(0) || format || char(0) || type || char(0) || 'None'",
        """'\\x00'::bytea || convert_to(format, 'UTF8') || '\\x00'::bytea || convert_to(type, 'UTF8')
       || '\\x00'::bytea || 'None'::bytea""",
    ),
    ("typeof(value) = 'blob'", "value IS NOT NULL"),
    ("CAST(key || params || ? || value AS BLOB)", "key || convert_to(params, 'UTF8') || ?::bytea || value"),
    ("instr(params, :{})", "strpos(params, %({})s) > 0"),
    ("ORDER BY rowid", "ORDER BY id"),
)
_TABLE = re.compile(rf"(^|\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ON) )(?=(?:{'|'.join(sql.TABLES)})\b)")
_LISTED = re.compile(r"IN \(SELECT value FROM json_each\((\?|:\w+)\)\)")
_NAMED = re.compile(r"(?<=[ (]):(\w+)")


def translated(text: str) -> str:
    """Return a statement of SQLite's in the words of PostgreSQL and psycopg."""
    for theirs, ours in WORDS:
        text = text.replace(theirs, ours)
    text = _LISTED.sub(r"= ANY(\1::bigint[])", _TABLE.sub(r"\1store.", text))
    if "INSERT OR IGNORE" in text:
        text = f"{text.replace(' OR IGNORE', '')} ON CONFLICT DO NOTHING"
    return _NAMED.sub(r"%(\1)s", text.replace("'{%'", "'{%%'").replace("?", "%s"))


SCHEMA = f"""
CREATE TABLE store.about (version bigint NOT NULL, home text NOT NULL DEFAULT '');
INSERT INTO store.about VALUES ({VERSION});

-- The mark of each connection's last transaction: whoever loses the server while it commits looks here whether it did.
CREATE TABLE store.commits (mark bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());

CREATE SEQUENCE store.task_ids MINVALUE 0 START 0;
{translated(sql.SHARED_SCHEMA)}
CREATE INDEX ON store.runs (id) WHERE ended IS NULL;
CREATE INDEX ON store.tasks (key);
-- By their end, so that those which have long gone are not even looked at.
CREATE INDEX ON store.claims (expires);

-- What Python's writer calls JSON: NaN and infinity are null; zeros, which PostgreSQL has no room for, are marked.
CREATE FUNCTION store.as_json(told text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN told::jsonb;
EXCEPTION WHEN others THEN
    BEGIN
        told := replace(told, '\\u0000', '\\ufffd');
        RETURN regexp_replace(told, '(^|[\\[,:\\s])(NaN|-?Infinity)(?=[\\],}}\\s]|$)', '\\1null', 'g')::jsonb;
    EXCEPTION WHEN others THEN RETURN NULL;
    END;
END $$;

-- A value that is plain data; null of one that is a file, or no plain data.
CREATE FUNCTION store.value_of(kind text, data bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE told text;
BEGIN
    IF data IS NULL OR kind NOT IN ('json', 'typed', 'text', 'npscalar') THEN RETURN NULL; END IF;
    told := convert_from(data, 'UTF8');
    IF kind = 'text' THEN RETURN to_jsonb(told); END IF;
    IF kind = 'json' THEN RETURN store.as_json(told); END IF;
    IF kind = 'typed' THEN RETURN store.as_json(told) -> 0; END IF;
    told := substr(told, strpos(told, ' ') + 1);
    IF told IN ('True', 'False') THEN RETURN to_jsonb(told = 'True'); END IF;
    IF told IN ('nan', 'inf', '-inf') THEN RETURN NULL; END IF;
    RETURN coalesce(store.as_json(told), to_jsonb(told));
EXCEPTION WHEN others THEN RETURN NULL;
END $$;
"""

# --- opening, transactions -----------------------------------------------------------------------------

THERE = "SELECT to_regclass('store.about') IS NOT NULL"
TABLES_THERE = """
SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
"""
HAS_SCHEMA = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s)"
READ_VERSION = "SELECT version FROM store.about"
HOME = "SELECT home FROM store.about"
NOTE_HOME = "UPDATE store.about SET home = %s WHERE home = '' RETURNING home"
SERVER_TIME = "SELECT extract(epoch FROM clock_timestamp())::double precision"
SERVER_ENCODING = "SHOW server_encoding"
# Whoever stops in the middle of a transaction, like a laptop that is closed, holds up the others for so long at most.
# A snapshot that is older than the lock would miss what was committed last: read committed, whatever is usual here.
_PATIENCE = "SET LOCAL lock_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
LOCK = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {_PATIENCE}; SELECT pg_advisory_xact_lock({{lock}})"
DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
MARK = "DELETE FROM store.commits WHERE mark = {last}; INSERT INTO store.commits (mark) VALUES ({mark})"
SNAPSHOT = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_PATIENCE}"
SCHEMAS = "SELECT nspname FROM pg_catalog.pg_namespace"
# A question of anybody: nothing is found by a bare name but what PostgreSQL itself has.
ASKING = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {_PATIENCE}; SET LOCAL search_path = pg_catalog;"
    " SET LOCAL standard_conforming_strings = on"
)
IS_COMMITTED = "SELECT 1 FROM store.commits WHERE mark = %s"
DROP_OLD_MARKS = "DELETE FROM store.commits WHERE at < now() - interval '1 hour'"
TAKE_IDS = "SELECT setval('store.task_ids', last_value + %(count)s) - %(count)s + 1 FROM store.task_ids"

# --- what is done in another way -----------------------------------------------------------------------

LAST_TASK = "SELECT coalesce(max(id), 0) FROM store.tasks"
SET_ORDER = """
INSERT INTO store.orders (experiment, keys) VALUES (%s, %s) ON CONFLICT (experiment) DO UPDATE SET keys = excluded.keys
"""
# It takes a lease again that fell while its machine slept. Claims are written anew twice in a lease, not at each beat.
HEARTBEAT = f"""
WITH claimed AS (
    UPDATE store.claims SET expires = {_LEASE}
    WHERE run = %(run)s AND expires < now() + interval '{LEASE_SECONDS // 2} seconds'
)
UPDATE store.runs SET heartbeat = %(now)s, ended = NULL, expires = {_LEASE} WHERE id = %(run)s AND outcome IS NULL
"""
SEEK_LACKS = ""  # whoever asks looks himself
PARAMS_OF = "SELECT key, params FROM store.tasks WHERE key = ANY(%s::bytea[])"
SET_ACTIVITY = """
INSERT INTO store.activities (run, time, workers) VALUES (%s, %s, %s)
ON CONFLICT (run) DO UPDATE SET time = excluded.time, workers = excluded.workers
"""
LOGS_OF_ATTEMPTS = """
SELECT log_file FROM store.attempts WHERE log_file IS NOT NULL
UNION SELECT piece ->> 7 FROM store.tasks, json_array_elements(pieces::json) AS piece WHERE pieces IS NOT NULL
UNION SELECT piece ->> 7 FROM store.attempts, json_array_elements(pieces::json) AS piece WHERE pieces IS NOT NULL
"""
IDS_LOOK_RIGHT = "SELECT last_value >= (SELECT coalesce(max(id), 0) FROM store.tasks) FROM store.task_ids"


def placed(text: str, schema: str) -> str:
    """Return a statement for the tables of one schema."""
    return text.replace("store.", f'"{schema}".')


@lru_cache(maxsize=8)
def statements(schema: str) -> SimpleNamespace:
    """Return all statements by name, for the tables of one schema."""

    def each(statement: object, change: Callable[[str], str]) -> object:
        if isinstance(statement, tuple):
            return tuple(each(one, change) for one in statement if "blobs" not in one)
        if isinstance(statement, dict):
            return {name: each(one, change) for name, one in statement.items()}
        return change(statement) if isinstance(statement, str) else statement

    theirs = {name: each(text, translated) for name, text in vars(sql).items() if name.isupper()}
    ours = {name: text for name, text in globals().items() if name.isupper() and name[0] != "_"}
    return SimpleNamespace(
        **{name: each(text, lambda one: placed(one, schema)) for name, text in {**theirs, **ours}.items()}
    )
