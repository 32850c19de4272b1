"""What people and scripts may ask an index in SQL: views with fixed names and columns, the same in every database.

Knows: the tables, what their columns mean. May not know: who asks, connections; how a database says it (`Words`).

The tables themselves may change with any release. A column may be added to a view; one that goes, or means something
else, makes a new view. Times are UTC texts ("2026-03-01T12:00:00.000Z"), durations seconds, memory bytes.
"""

from __future__ import annotations

from typing import Protocol

from memento.index.types import QueryFailed

# The views, and what they hold.
MEANINGS = {
    "tasks": "every finished task: done, or failed",
    "failures": "the tasks that failed, with traceback and last output",
    "attempts": "every attempt at a task, also those that another one followed",
    "metrics": "what tasks recorded: a row for each task and name",
    "runs": "every run: how it ended, its counts, command, commit, packages",
    "experiments": "every experiment, with counts",
}
ONLY_SELECT = f"Write SELECT ... over {', '.join(MEANINGS)}; `memento query` alone lists their columns."


def too_long(seconds: float) -> QueryFailed:
    """Return what to say of a query that has taken so long."""
    return QueryFailed(
        f"the query was ended after {seconds:g} s, so that it holds up no run.",
        f"Narrow it by WHERE or fewer joins, or give it more time: --timeout {max(60, 10 * seconds):g}s.",
    )


class Words(Protocol):
    """How a database says what databases say differently."""

    tables: str  # what stands before the name of each table
    # Of a task `t`, as a number, a text, or JSON; of a file, or what is no plain data, what is known by name, or NULL.
    value: str
    metrics: str  # of all metrics `m` of a task, one object
    is_living: str  # whether a run `r` lives

    def time(self, seconds: str) -> str:
        """Return a text of UTC seconds."""

    def key(self, column: str) -> str:
        """Return hexadecimal digits of bytes."""

    def number(self, column: str) -> str:
        """Return a number, NULL where it is none."""

    def json(self, column: str, *path: str) -> str:
        """Return JSON that is kept as a text, or what is in it."""

    def entry(self, column: str, *path: str) -> str:
        """Return a text in JSON."""

    def count(self, column: str, *path: str) -> str:
        """Return a number in JSON."""

    def flag(self, column: str, *path: str) -> str:
        """Return whether something is so in JSON."""


def views_in(words: Words) -> dict[str, str]:
    """Return what each view selects."""
    tasks, attempts = f"{words.tables}tasks", f"{words.tables}attempts"
    of_tasks = _attempts(words, tasks)
    return {
        "tasks": _tasks(words),
        "failures": f"{of_tasks} WHERE t.status = 'failed'",
        "attempts": f"{of_tasks} UNION ALL {_attempts(words, attempts)}",
        "metrics": _metrics(words),
        "runs": _runs(words),
        "experiments": _experiments(words),
    }


def _tasks(words: Words) -> str:
    tables = words.tables
    return f"""
SELECT
    {words.key("t.key")} AS key,
    e.name AS experiment,
    t.status AS status,
    {words.json("t.params")} AS params,
    t.repeat AS repeat,
    (SELECT {words.json("r.settings")} FROM {tables}runs AS r WHERE r.id = t.run) AS settings,
    {words.value} AS value,
    t.type AS type,
    t.size AS size,
    (SELECT {words.metrics} FROM {tables}metrics AS m WHERE m.task = t.id) AS metrics,
    t.run AS run,
    t.attempt AS attempt,
    {words.time("t.started")} AS started,
    {words.time("t.started + t.runtime")} AS ended,
    t.runtime AS runtime,
    t.cpu_time AS cpu_time,
    t.memory AS memory,
    t.worker AS worker,
    t.code AS code,
    {_failure(words)},
    {words.json("t.warnings")} AS warnings,
    {words.json("t.artifacts")} AS artifacts
FROM {tables}tasks AS t JOIN {tables}experiments AS e ON e.id = t.experiment
"""


def _failure(words: Words) -> str:
    names = {"kind": "kind", "type": "error", "message": "message", "location": "location"}
    return ", ".join(f"{words.entry('t.failure', name)} AS {column}" for name, column in names.items())


def _attempts(words: Words, table: str) -> str:
    return f"""
SELECT
    {words.key("t.key")} AS key,
    e.name AS experiment,
    t.run AS run,
    t.attempt AS attempt,
    t.status AS status,
    {words.time("t.started")} AS started,
    t.runtime AS runtime,
    t.memory AS memory,
    t.worker AS worker,
    {_failure(words)},
    {words.entry("t.failure", "traceback")} AS traceback,
    {words.entry("t.failure", "output")} AS output
FROM {table} AS t JOIN {words.tables}experiments AS e ON e.id = t.experiment"""


def _metrics(words: Words) -> str:
    tables = words.tables
    return f"""
SELECT
    {words.key("t.key")} AS key,
    e.name AS experiment,
    m.name AS name,
    m.count AS count,
    {words.number("m.last")} AS last,
    {words.number("m.minimum")} AS minimum,
    {words.number("m.maximum")} AS maximum
FROM {tables}metrics AS m JOIN {tables}tasks AS t ON t.id = m.task JOIN {tables}experiments AS e ON e.id = t.experiment
"""


def _runs(words: Words) -> str:
    def counted(status: str) -> str:
        rows = f"SELECT count(*) FROM {words.tables}tasks AS t WHERE t.run = r.id AND t.status = '{status}'"
        return f"coalesce({words.count('r.counts', status)}, ({rows})) AS {status}"

    return f"""
SELECT
    r.id AS id,
    r.name AS name,
    e.name AS experiment,
    CASE WHEN r.outcome IS NOT NULL THEN r.outcome WHEN {words.is_living} THEN 'running' ELSE 'died' END AS status,
    {words.time("r.started")} AS started,
    {words.time("r.ended")} AS ended,
    coalesce(r.ended, r.heartbeat) - r.started AS runtime,
    r.tasks AS tasks,
    {words.json("r.settings")} AS settings,
    {counted("done")},
    {words.count("r.counts", "cached")} AS cached,
    {counted("failed")},
    r.host AS host,
    r.pid AS pid,
    {words.json("r.argv")} AS command,
    {words.entry("r.provenance", "git", "commit")} AS "commit",
    {words.entry("r.provenance", "git", "branch")} AS branch,
    {words.flag("r.provenance", "git", "dirty")} AS dirty,
    {words.entry("r.provenance", "python")} AS python,
    {words.json("r.provenance", "packages")} AS packages
FROM {words.tables}runs AS r JOIN {words.tables}experiments AS e ON e.id = r.experiment
"""


def _experiments(words: Words) -> str:
    # Counted first: SQLite would else make an index of all tasks to join them.
    return f"""
SELECT
    e.name AS name,
    coalesce(t.tasks, 0) AS tasks,
    coalesce(t.done, 0) AS done,
    coalesce(t.tasks - t.done, 0) AS failed,
    coalesce(t.runtime, 0.0) AS runtime,
    {words.time("t.first")} AS first,
    {words.time("t.last")} AS last
FROM {words.tables}experiments AS e LEFT JOIN (
    SELECT experiment, count(*) AS tasks, sum(CASE WHEN status = 'done' THEN 1 ELSE 0 END) AS done,
           sum(runtime) AS runtime, min(started) AS first, max(started + runtime) AS last
    FROM {words.tables}tasks GROUP BY experiment
) AS t ON t.experiment = e.id
"""
