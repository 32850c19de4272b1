"""Have a query answered in a process of its own, and say what is wrong with one that is not.

Knows: that process' requests and answers, SQLite's messages, the views. May not know: who asks, how rows are shown.
"""

from __future__ import annotations

import json
import marshal
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memento.index.sqlite import sql
from memento.index.sqlite.database import Database, explained
from memento.index.tables.views import MEANINGS, ONLY_SELECT, too_long, views_in
from memento.index.types import QueryFailed, Table, View
from memento.suggest import did_you_mean, nearest

_SCRIPT = Path(__file__).with_name("query_process.py")
_LOOKED = 10_000  # the newest metrics, among which names are looked for
_DICTS = 100  # the newest values that are dicts, ... of entries
_MISTAKE = re.compile(r'no such (column|table|function): (.+)|near "(.+?)": syntax error', re.DOTALL)
_ONE = "one statement at a time"

_DATA = "CAST(coalesce(t.value, (SELECT b.data FROM main.blobs AS b WHERE b.task = t.id)) AS TEXT)"
_SCALAR = "substr(CAST(t.value AS TEXT), instr(CAST(t.value AS TEXT), ' ') + 1)"  # after its type


class _Words:
    """See `memento.index.tables.views`."""

    tables = "main."
    # `tidied` makes JSON of what Python's writer calls JSON: NaN and infinity are null, as in all that we print.
    value = f"""
coalesce(CASE WHEN t.format = 'json' AND json_valid({_DATA}) THEN json_extract({_DATA}, '$')
     WHEN t.format = 'json' THEN json_extract(tidied({_DATA}), '$')
     WHEN t.format = 'typed' AND json_valid({_DATA}) THEN json_extract({_DATA}, '$[0]')
     WHEN t.format = 'typed' THEN json_extract(tidied({_DATA}), '$[0]')
     WHEN t.format = 'text' THEN {_DATA}
     WHEN t.format = 'npscalar' AND json_valid({_SCALAR}) THEN json_extract({_SCALAR}, '$')
     WHEN t.format = 'npscalar' AND {_SCALAR} IN ('True', 'False') THEN {_SCALAR} = 'True'
     WHEN t.format = 'npscalar' AND {_SCALAR} IN ('nan', 'inf', '-inf') THEN NULL
     WHEN t.format = 'npscalar' THEN {_SCALAR}
END, json_extract(CASE WHEN json_valid(t.shown) THEN t.shown ELSE tidied(t.shown) END, '$.items'))"""
    metrics = "json_group_object(m.name, m.last)"
    is_living = "r.id IN (SELECT run FROM temp.living)"

    def time(self, seconds: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {seconds}, 'unixepoch')"

    def key(self, column: str) -> str:
        return f"lower(hex({column}))"

    def number(self, column: str) -> str:
        return column

    def json(self, column: str, *path: str) -> str:
        return self.entry(column, *path) if path else column

    def entry(self, column: str, *path: str) -> str:
        return f"json_extract({column}, '$.{'.'.join(path)}')"

    count = flag = entry


VIEWS = views_in(_Words())


def views() -> list[View]:
    """Return the views, each with its columns."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(sql.SCHEMA)
        connection.create_function("tidied", 1, str)
        connection.execute("CREATE TEMP TABLE living (run INTEGER PRIMARY KEY)")
        found = []
        for name, select in VIEWS.items():
            columns = connection.execute(f"SELECT * FROM ({select}) LIMIT 0").description
            found.append(View(name, MEANINGS[name], [column[0] for column in columns]))
    finally:
        connection.close()
    return found


def query(
    database: Database, statement: str, seconds: float, limit: int | None, living: Iterable[int]
) -> Table:
    """Answer a query; raises QueryFailed."""
    request = {
        "uri": database.reading_uri(),
        "views": VIEWS,
        "living": list(living),
        "statement": statement,
        "seconds": seconds,
        "limit": limit,
    }
    told = _ask(json.dumps(request).encode(), seconds)
    problem = told.get("problem")
    if problem is None:
        return Table(told["columns"], told["rows"], told["more"])
    if problem == "refused":
        raise QueryFailed(f"a query may only read, and {told['text']} is not for that.", ONLY_SELECT)
    if problem == "large":
        raise QueryFailed("the answer has more than 256 MB.", "Ask for fewer columns, or add LIMIT.")
    if problem == "memory":
        raise QueryFailed("the query needs more than 512 MB of memory.", "Narrow it by WHERE, or add LIMIT.")
    raise _explained(database, told["kind"], told["text"])


def _ask(request: bytes, seconds: float) -> dict[str, Any]:
    """Start the process, and return its answer."""
    try:
        # Without the paths of packages it starts in 30 ms, and nothing of a stranger's is imported.
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_SCRIPT)],
            input=request,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise too_long(seconds) from None
    if done.returncode == -getattr(signal, "SIGALRM", 0):
        raise too_long(seconds)
    if done.returncode or not done.stdout:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise QueryFailed(
            f"the query ended its process (exit code {done.returncode}{f', {last}' if last else ''}).",
            "Narrow it by WHERE or LIMIT.",
        )
    told: dict[str, Any] = marshal.loads(done.stdout)
    return told


def _explained(database: Database, kind: str, text: str) -> Exception:
    """Turn a message of SQLite into an error that says what would be right."""
    if kind in ("DatabaseError", "OperationalError"):  # the others are the query's own
        ours = explained(getattr(sqlite3, kind)(text), database.location)
        if ours is not None:
            return ours
    if _ONE in text:
        return QueryFailed("there is more than one statement.", "Ask one question at a time.")
    if "because it is a view" in text:
        return QueryFailed("a query may only read.", ONLY_SELECT)
    found = _MISTAKE.search(text)
    if found:
        return QueryFailed(f"{text}.", _remedy(database, found[1] or "", found[2] or found[3]))
    return QueryFailed(f"{text}.", "" if kind == "OperationalError" else ONLY_SELECT)


def _remedy(database: Database, what: str, name: str) -> str:
    if what == "column":
        return _columns(database, name)
    if what == "table":
        return did_you_mean(name.rpartition(".")[2], VIEWS, "Views")
    if what == "function":
        return "sqlite.org/lang_corefunc.html lists them; median and stdev are ours."
    if name in (">", "->", "->>") and sqlite3.sqlite_version_info < (3, 38):
        return f"SQLite {sqlite3.sqlite_version} has no ->>: write json_extract(params, '$.lr')."
    return ""


def _columns(database: Database, name: str) -> str:
    """Say what somebody may have meant by a column that is not there."""
    bare = name.rpartition(".")[2].strip("\"'`[]")
    entries = (json.loads(text or "{}") for (text,) in database.all(sql.DICT_VALUES, (_DICTS,)))
    within = {entry: "value" for value in entries for entry in value}
    within |= {metric: "metrics" for (metric,) in database.all(sql.METRIC_NAMES, (_LOOKED,))}
    within |= {parameter: "params" for (parameter,) in database.all(sql.PARAMETER_NAMES)}
    if bare not in within:
        columns = {column for view in views() for column in view.columns}
        meant = nearest(bare, sorted(columns | within.keys()))
        if not meant:
            return "`memento query` alone lists the views with their columns."
        if meant[0] in columns:
            return f"Did you mean {meant[0]!r}?"
        bare = meant[0]
    quoted = bare.replace("'", "''")
    return f"Write {within[bare]} ->> '{quoted}'."
