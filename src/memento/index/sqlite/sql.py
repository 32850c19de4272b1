"""Every table and every SQL statement of the index, by name; PostgreSQL has the same in its own words (`statements`).

Long because whoever changes a table sees every statement that names it.

Knows: SQLite. May not know: files other than the index, processes, what rows mean to people.
`{}` stands for the tasks that are meant: `LISTED`, or all `IN_RANGE`.

Two rules that the tables rest on:
    Ids of tasks only grow, in commit order, and are never used twice (`counters` hands them out under the
    writer's lock), so "what is new since I last looked" is `id > ?`.
    There is no unique index on a task's key: keys are random, and an index on them would dirty a page
    for each row. One row a key is kept by claims and by what `commit` looks at in its transaction.
"""

from __future__ import annotations

APPLICATION_ID = 0x4D454D4F  # "MEMO"; names the file's format to file(1) and to us
VERSION = 1
TINY = 256  # bytes: a value up to this stands in its row, a larger one in `blobs`, so that scans stay narrow

TABLES = (
    "counters", "experiments", "runs", "codes", "changes", "adoptions", "tasks", "blobs", "attempts", "metrics",
    "claims", "axes", "orders", "moves", "commands", "answers", "events", "activities",
)  # fmt: skip

SHARED_SCHEMA = """
CREATE TABLE experiments (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments (id),
    outcome TEXT,                   -- done, failed, interrupted, died; NULL where it did not tell
    started REAL NOT NULL,          -- UTC seconds, as all times here
    heartbeat REAL NOT NULL,
    ended REAL,                     -- NULL while it holds a lease
    tasks INTEGER NOT NULL,
    counts TEXT NOT NULL,           -- JSON: done, cached, failed
    matrix_id TEXT NOT NULL,
    settings TEXT NOT NULL,         -- JSON
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    argv TEXT NOT NULL,             -- JSON
    provenance TEXT NOT NULL        -- JSON: git, packages, python, platform
);

CREATE TABLE codes (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    functions TEXT NOT NULL,        -- JSON: "module:qualname" -> [digest, normalized source]; of parts see there
    parts TEXT NOT NULL,            -- JSON: ids of the versions that this one combines, most have none
    mixed INTEGER NOT NULL,         -- 1: of tasks that went on from a checkpoint of another version
    unfollowed TEXT NOT NULL,       -- JSON: what it names and cannot look into
    run INTEGER,                    -- who saw it first; NULL where nothing was computed
    seen REAL NOT NULL              -- when
);

CREATE TABLE changes (              -- what runs found: results of this version would be computed by that one now
    id INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL,
    code INTEGER NOT NULL,
    present INTEGER NOT NULL        -- the same where nothing has changed
);
CREATE INDEX changes_by_experiment ON changes (experiment);

CREATE TABLE adoptions (            -- what people accepted: results of this version count as that one's
    id INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL,
    code INTEGER NOT NULL,
    present INTEGER NOT NULL,
    adopted REAL NOT NULL,          -- when
    who TEXT NOT NULL,              -- user@host
    verified INTEGER NOT NULL,      -- so many results were computed again, and were equal
    results INTEGER NOT NULL,       -- of so many
    UNIQUE (experiment, code, present)
);

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,              -- 16 bytes
    status TEXT NOT NULL,           -- done, failed
    code INTEGER NOT NULL,
    runtime REAL NOT NULL,          -- seconds
    experiment INTEGER NOT NULL,
    run INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started REAL NOT NULL,
    cpu_time REAL,                  -- seconds
    memory INTEGER,                 -- bytes, peak
    virtual INTEGER,
    worker TEXT NOT NULL,           -- host/pid
    params TEXT NOT NULL,           -- JSON
    format TEXT,                    -- of the value: json, text, bytes, npscalar, npy, arrow, pickle
    type TEXT,
    size INTEGER,
    ref TEXT,                       -- file under payloads/
    value BLOB,                     -- the value itself where it is tiny; larger inline ones are in blobs
    log_file TEXT,                  -- file under logs/
    log_start INTEGER,
    log_end INTEGER,
    artifacts TEXT,                 -- JSON: names under artifacts/<key>/
    failure TEXT,                   -- JSON: kind, type, message, traceback, location, output
    exception BLOB,                 -- pickled, where that was possible
    sum INTEGER,                    -- of key, parameters and value: what SQLite does not check
    metrics INTEGER NOT NULL,       -- how many it recorded
    facts INTEGER,                  -- checksum of how it went: what frames show beside the value
    warnings TEXT,                  -- JSON: [category, message, place, count] each; NULL where it warned of nothing
    pieces TEXT,                    -- JSON, where it went on from a checkpoint: each attempt's share of the above
    steps BLOB,                     -- keys of the shared steps that it used, 16 bytes each; NULL of most
    shown TEXT                      -- JSON: what stands for a value that is a file; see memento.values.describe
);
CREATE INDEX tasks_warned ON tasks (id) WHERE warnings IS NOT NULL;

CREATE TABLE attempts (             -- failed ones that something came after; the last one stands in tasks
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    experiment INTEGER NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    started REAL NOT NULL,
    runtime REAL NOT NULL,
    cpu_time REAL,
    memory INTEGER,
    worker TEXT NOT NULL,
    log_file TEXT,
    log_start INTEGER,
    log_end INTEGER,
    failure TEXT,
    exception BLOB,
    pieces TEXT
);
CREATE INDEX attempts_by_key ON attempts (key);

CREATE TABLE metrics (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    last REAL,                      -- NULL is NaN
    minimum REAL,
    maximum REAL,
    data BLOB NOT NULL,             -- little-endian float64: all x, then all y
    data_sum INTEGER,               -- checksum of data
    sum INTEGER                     -- of all the rest, so that a scan need not read data
);
CREATE INDEX metrics_by_task ON metrics (task);

CREATE TABLE claims (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, keys BLOB NOT NULL, n INTEGER NOT NULL);

CREATE TABLE axes (
    id INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL,
    place INTEGER NOT NULL,         -- among the experiment's parameters
    name TEXT NOT NULL,
    items TEXT NOT NULL             -- JSON: its values in the matrix's order; see memento.index.declared_values
);

CREATE TABLE orders (               -- of tasks, where it does not follow from that of the values
    experiment INTEGER PRIMARY KEY,
    keys BLOB NOT NULL              -- the first 8 bytes of each key
);

CREATE TABLE moves (                -- keys of renamed tasks whose folders have yet to follow
    old BLOB NOT NULL,
    new BLOB NOT NULL
);

CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,             -- pause, resume, stop, cancel, first, resize
    run INTEGER,                    -- of this run only
    experiment TEXT NOT NULL,       -- of all runs of this one, by name; '': of all
    arguments TEXT NOT NULL,        -- JSON
    sender TEXT NOT NULL,
    sent REAL NOT NULL
);

CREATE TABLE answers (
    command INTEGER NOT NULL,
    run INTEGER NOT NULL,
    time REAL NOT NULL,
    text TEXT NOT NULL,
    undo TEXT NOT NULL,
    done INTEGER NOT NULL               -- 0: refused
);

CREATE TABLE events (               -- what rows do not tell: notes, retries, workers replaced, commands taken
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL              -- JSON
);
CREATE INDEX events_by_run ON events (run);

CREATE TABLE activities (           -- what a run's workers are at
    run INTEGER PRIMARY KEY,
    time REAL NOT NULL,             -- when it was told
    workers TEXT NOT NULL           -- JSON: `types.Activity` of each, and the run's `types.Standing`
);
"""

SCHEMA = f"""{SHARED_SCHEMA}
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('task', 0);

CREATE TABLE blobs (task INTEGER PRIMARY KEY, data BLOB NOT NULL);

CREATE VIEW results AS
SELECT
    lower(hex(t.key)) AS key,
    e.name AS experiment,
    t.params AS params,
    t.repeat AS repeat,
    t.status AS status,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.started, 'unixepoch') AS started,
    t.runtime AS runtime,
    t.cpu_time AS cpu_time,
    t.memory AS memory,
    CASE WHEN t.format IN ('json', 'text') THEN CAST(coalesce(t.value, b.data) AS TEXT)
         WHEN t.format = 'typed' THEN json_extract(CAST(coalesce(t.value, b.data) AS TEXT), '$[0]')
         WHEN t.format = 'npscalar' THEN substr(CAST(t.value AS TEXT), instr(CAST(t.value AS TEXT), ' ') + 1)
    END AS value,
    t.type AS type,
    json_extract(t.failure, '$.type') AS error,
    json_extract(t.failure, '$.message') AS message
FROM tasks AS t
JOIN experiments AS e ON e.id = t.experiment
LEFT JOIN blobs AS b ON b.task = t.id;
"""

# --- opening -------------------------------------------------------------------------------------------

PAGES_LOOK_RIGHT = "SELECT count(*) FROM (SELECT id FROM tasks ORDER BY id DESC LIMIT 100)"
QUICK_CHECK = "PRAGMA quick_check(1)"
TABLE_COUNT = "SELECT count(*) FROM sqlite_master"

_ORPHANS = (
    "metrics WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task)",
    "blobs WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task)",
)
ORPHANS = tuple(f"SELECT count(*) FROM {those}" for those in _ORPHANS)
DROP_ORPHANS = tuple(f"DELETE FROM {those}" for those in _ORPHANS)

# Ids that were handed out and are gone make the counter higher than the highest id, but never by that much.
_COUNTER_IS_RIGHT = """
typeof(value) = 'integer' AND value - (SELECT coalesce(max(id), 0) FROM tasks) BETWEEN 0 AND 1000000000
"""
DECLARATIONS = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
COMPLETE_REBUILT = (
    "INSERT OR IGNORE INTO counters VALUES ('task', 0)",
    f"""
    UPDATE counters SET value = (SELECT coalesce(max(id), 0) FROM tasks)
    WHERE name = 'task' AND NOT ({_COUNTER_IS_RIGHT})
    """,
    "INSERT OR IGNORE INTO experiments SELECT DISTINCT experiment, 'lost-' || experiment FROM tasks",
    "DELETE FROM claims",
    "DELETE FROM tasks WHERE length(key) IS NOT 16 OR status NOT IN ('done', 'failed')",
    # A value that was in a blob which is lost: the task is not done any more.
    """
    DELETE FROM tasks WHERE status = 'done' AND format IS NOT NULL AND value IS NULL AND ref IS NULL
        AND id NOT IN (SELECT task FROM blobs)
    """,
    *DROP_ORPHANS,
)

# --- which tasks: a thousand of them are listed in one value ---------------------------------------------

LISTED = "IN (SELECT value FROM json_each(?))"
IN_RANGE = "BETWEEN ? AND ?"

# --- counters, experiments, codes ----------------------------------------------------------------------

COUNTER_LOOKS_RIGHT = f"SELECT {_COUNTER_IS_RIGHT} FROM counters WHERE name = 'task'"
LAST_TASK = "SELECT value FROM counters WHERE name = 'task'"
SET_LAST_TASK = "UPDATE counters SET value = ? WHERE name = 'task'"
ADD_EXPERIMENT = "INSERT OR IGNORE INTO experiments (name) VALUES (?)"
EXPERIMENT_ID = "SELECT id FROM experiments WHERE name = ?"
EXPERIMENT_NAMES = "SELECT id, name FROM experiments ORDER BY id"
# Three scans that need no more of a row than its beginning; one that does all takes three times as long.
# Where there is one only.
COUNT_TASKS_OF_ONE = "SELECT (SELECT id FROM experiments), (SELECT count(*) FROM tasks)"
COUNT_TASKS_OF_EACH = "SELECT experiment, count(*) FROM tasks GROUP BY experiment"
COUNT_FAILED_OF_EACH = "SELECT experiment, count(*) FROM tasks WHERE status = 'failed' GROUP BY experiment"
CODE_ID = "SELECT id FROM codes WHERE digest = ?"
ADD_CODE = (
    "INSERT INTO codes (digest, functions, parts, mixed, unfollowed, run, seen) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
CODE_DIGESTS = "SELECT id, digest FROM codes"
CODES = f"SELECT id, digest, functions, parts, mixed, unfollowed FROM codes WHERE id {LISTED}"
CODES_SEEN = f"SELECT id, seen, run FROM codes WHERE id {LISTED}"
CHANGES = "SELECT code, present FROM changes WHERE experiment = ? ORDER BY id"
DROP_CHANGES = "DELETE FROM changes WHERE experiment = ? AND code = ?"
ADD_CHANGE = "INSERT INTO changes (experiment, code, present) VALUES (?, ?, ?)"
ADOPTIONS = """
SELECT code, present, adopted, who, verified, results FROM adoptions WHERE experiment = ? ORDER BY id
"""
ADD_ADOPTION = """
INSERT OR IGNORE INTO adoptions (experiment, code, present, adopted, who, verified, results)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
RESULTS_OF_CODES = "SELECT code, count(*) FROM tasks WHERE experiment = ? AND status = 'done' GROUP BY code"

# --- axes ----------------------------------------------------------------------------------------------

AXES = "SELECT name, items FROM axes WHERE experiment = ? ORDER BY place, id"
LABELLED_AXES = (
    "SELECT name, items FROM axes WHERE experiment = (SELECT id FROM experiments WHERE name = ?) AND items LIKE '{%'"
    " ORDER BY place, id"
)
DROP_AXES = "DELETE FROM axes WHERE experiment = ?"
ADD_AXIS = "INSERT INTO axes (experiment, place, name, items) VALUES (?, ?, ?, ?)"
ORDER = "SELECT keys FROM orders WHERE experiment = ?"
DROP_ORDER = "DELETE FROM orders WHERE experiment = ?"
SET_ORDER = "INSERT OR REPLACE INTO orders (experiment, keys) VALUES (?, ?)"

# What names people may write in a query beside those of columns.
PARAMETER_NAMES = "SELECT DISTINCT name FROM axes"
METRIC_NAMES = "SELECT DISTINCT name FROM (SELECT name FROM metrics ORDER BY id DESC LIMIT ?)"
DICT_VALUES = """
SELECT CASE WHEN shown IS NULL THEN CAST(value AS TEXT) WHEN json_valid(shown) THEN json_extract(shown, '$.items') END
FROM tasks WHERE (format = 'json' AND type = 'builtins:dict') OR shown IS NOT NULL ORDER BY id DESC LIMIT ?
"""

IDS_OF_RUN = "SELECT id FROM tasks WHERE run = ? ORDER BY id"

# --- runs ----------------------------------------------------------------------------------------------

NEXT_RUN = "SELECT coalesce(max(id), 0) + 1 FROM runs"
ADD_RUN = """
INSERT INTO runs (id, name, experiment, started, heartbeat, tasks, counts, matrix_id, settings, host, pid,
                  process_started, boot_id, argv, provenance)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RUN_COLUMNS = """
SELECT r.id, r.name, e.name, r.outcome, r.started, r.heartbeat, r.ended, r.tasks, r.counts, r.matrix_id, r.settings,
       r.host, r.pid, r.process_started, r.boot_id, r.argv, r.provenance
FROM runs AS r JOIN experiments AS e ON e.id = r.experiment
"""
RUNS = _RUN_COLUMNS + "ORDER BY r.id DESC LIMIT ?"
RUN = _RUN_COLUMNS + "WHERE r.id = ?"
ROWS_OF_RUNS = f"""
SELECT run, sum(CASE WHEN status = 'done' THEN 1 ELSE 0 END), sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END),
       max(started + runtime) FROM tasks WHERE run {LISTED} GROUP BY run
"""
NAMES_OF_RUNS = "SELECT id, name FROM runs"
SAME_RUN = "SELECT id, name FROM runs WHERE started = ? AND host = ? AND pid = ? AND process_started = ?"
RUN_OF_NAME = "SELECT id FROM runs WHERE name = ?"
LEASES = "SELECT id, host, pid, process_started, boot_id, heartbeat, name FROM runs WHERE ended IS NULL"
RUN_SETTINGS = "SELECT settings FROM runs WHERE id = ?"
# It takes a lease again that fell while its machine slept.
HEARTBEAT = "UPDATE runs SET heartbeat = :now, ended = NULL WHERE id = :run AND outcome IS NULL"
FINISH_RUN = "UPDATE runs SET outcome = ?, counts = ?, heartbeat = ?, ended = ? WHERE id = ?"
LEASE_FELL = "UPDATE runs SET ended = heartbeat WHERE id = ? AND ended IS NULL"

# --- claims --------------------------------------------------------------------------------------------

ADD_CLAIM = "INSERT INTO claims (run, keys, n) VALUES (?, ?, ?)"
OTHERS_CLAIMS = "SELECT run, keys FROM claims WHERE run <> ?"
CLAIMING_RUNS = """
SELECT id, host, pid, process_started, boot_id, heartbeat, name FROM runs
WHERE id IN (SELECT run FROM claims WHERE run <> ?)
"""
SHRINK_CLAIM = "UPDATE claims SET keys = ?, n = ? WHERE id = ?"
DROP_CLAIM = "DELETE FROM claims WHERE id = ?"
DROP_CLAIMS_OF_RUN = "DELETE FROM claims WHERE run = ?"

# --- tasks: writing ------------------------------------------------------------------------------------

# What rows are inserted into. Of a task with a small value that printed nothing, as most, only the first columns: each
# that is NULL costs a quarter of a microsecond.
_PLAIN_COLUMNS = (
    "id, key, status, code, runtime, experiment, run, repeat, attempt, started, cpu_time, memory, virtual, worker,"
    " params, format, type, size, value, sum, metrics, facts"
)
ADD_PLAIN_TASK = f"tasks ({_PLAIN_COLUMNS})"
ADD_TASK = (
    f"tasks ({_PLAIN_COLUMNS}, ref, log_file, log_start, log_end, artifacts, failure, exception, warnings, pieces,"
    " steps, shown)"
)
ADD_BLOB = "blobs (task, data)"
ADD_METRIC = "metrics (task, name, count, last, minimum, maximum, data, data_sum, sum)"
_ATTEMPT_COLUMNS = (
    "key, experiment, run, attempt, status, started, runtime, cpu_time, memory, worker, log_file, log_start, log_end,"
    " failure, exception, pieces"
)
ADD_ATTEMPT = f"attempts ({_ATTEMPT_COLUMNS})"
KEEP_AS_ATTEMPT = (
    f"INSERT INTO {ADD_ATTEMPT} SELECT {_ATTEMPT_COLUMNS} FROM tasks WHERE id = ? AND status = 'failed'"
)
FAILED_TASKS = """
SELECT t.id, t.key FROM tasks AS t JOIN experiments AS e ON e.id = t.experiment
WHERE t.status = 'failed' AND (CAST(:experiment AS text) IS NULL OR e.name = :experiment) ORDER BY t.id
"""
SET_BACK = """
SELECT a.key, e.name, a.run, a.started FROM attempts AS a JOIN experiments AS e ON e.id = a.experiment
WHERE a.status = 'failed' AND (CAST(:experiment AS text) IS NULL OR e.name = :experiment) AND a.id IN (
    SELECT max(id) FROM attempts
    WHERE key IN (SELECT key FROM attempts EXCEPT SELECT key FROM tasks) GROUP BY key
) ORDER BY a.id
"""
IDS_WITH_PAYLOADS = "SELECT id FROM tasks WHERE ref IS NOT NULL"
IDS_WITH_PAYLOAD = "SELECT id FROM tasks WHERE ref = ?"
HAS_TASK = "SELECT 1 FROM tasks WHERE id = ?"
DROP_TASK = (
    "DELETE FROM tasks WHERE id = ?",
    "DELETE FROM blobs WHERE task = ?",
    "DELETE FROM metrics WHERE task = ?",
)
DROP_ATTEMPTS = "DELETE FROM attempts WHERE key = ?"

# --- tasks: reading ------------------------------------------------------------------------------------

NEWS = "SELECT key, id, status, code, runtime FROM tasks WHERE id > ? AND experiment = ? ORDER BY id"
KNOWN_AFTER = """
SELECT key, id, status, code, runtime FROM tasks WHERE id > ? AND id <= ? AND experiment = ? ORDER BY id
"""
KNOWN_COLUMNS_AFTER = """
SELECT key, id, CAST(status = 'done' AS int), code FROM tasks WHERE id > ? AND id <= ? AND experiment = ? ORDER BY id
"""
KNOWN_BY_ID = f"SELECT key, id, status, code, runtime FROM tasks WHERE id {LISTED}"
KNOWN_BY_KEY = "SELECT key, id, status, code, runtime FROM tasks WHERE key = ? ORDER BY id"
IDS_IN_KEY_RANGE = "SELECT id FROM tasks WHERE key >= ? AND key <= ? ORDER BY id"
RECENT = """
SELECT id FROM tasks
WHERE (CAST(:experiment AS bigint) IS NULL OR experiment = :experiment)
AND (CAST(:status AS text) IS NULL OR status = :status) ORDER BY id DESC LIMIT :limit
"""
_TASK_COLUMNS = """
SELECT t.id, t.key, t.experiment, t.params, t.run, t.repeat, t.status, t.code, t.attempt, t.started, t.runtime,
       t.cpu_time, t.memory, t.virtual, t.worker, t.format, t.type, t.size, t.ref, coalesce(t.value, b.data),
       t.log_file, t.log_start, t.log_end, t.artifacts, t.failure, t.exception, t.sum, t.metrics, t.facts,
       t.warnings, t.pieces, t.steps, t.shown
FROM tasks AS t LEFT JOIN blobs AS b ON b.task = t.id
"""
TASKS = _TASK_COLUMNS + "WHERE t.id {}"
WRITTEN = "SELECT t.id, t.params, r.settings FROM tasks AS t JOIN runs AS r ON r.id = t.run WHERE t.id {}"
_OUTLINE_COLUMNS = """
SELECT id, CAST(status = 'done' AS int), started, runtime, cpu_time, memory, failure, experiment, repeat, virtual,
       metrics, facts"""
DATA = """CASE WHEN value IS NULL AND ref IS NULL AND format IS NOT NULL
            THEN (SELECT data FROM blobs WHERE task = id) ELSE value END"""
# What `checksums.row_sum` is of, in one piece: one call of Python a row, from C, instead of a dozen.
SUMMED = f"""CAST(key || params || CASE WHEN format IS NULL THEN '' ELSE
            x'00' || format || x'00' || type || x'00' || coalesce(ref, 'None') || coalesce(shown, '')
            || coalesce({DATA}, '') END AS BLOB)"""
# Most values are JSON that stands in the index, of which the content is enough.
_VALUE_COLUMNS = f""", {SUMMED}, sum, format, {DATA}, ref,
       CASE WHEN format = 'json' AND ref IS NULL THEN NULL ELSE size END,
       CASE WHEN format = 'json' AND ref IS NULL THEN NULL ELSE type END, shown"""
OUTLINES = _OUTLINE_COLUMNS + " FROM tasks WHERE id {} ORDER BY id"
OUTLINES_AND_VALUES = _OUTLINE_COLUMNS + _VALUE_COLUMNS + " FROM tasks WHERE id {} ORDER BY id"
# Nearly all tasks of a grid are alike: done, with a tiny value of one type. What they share is read once, not for each:
# a column more costs a tenth of all this. Whether a row is of the kind, its two checksums tell.
KIND = """
SELECT char(0) || format || char(0) || type || char(0) || 'None', experiment, metrics, format, type FROM tasks
WHERE status = 'done' AND ref IS NULL AND typeof(value) = 'blob' AND id {} LIMIT 1
"""
ALIKE = """
SELECT id, started, runtime, cpu_time, memory, repeat, virtual, facts, sum,
       CAST(key || params || ? || value AS BLOB), value
FROM tasks WHERE type = ? AND metrics = ? AND status = 'done' AND failure IS NULL AND ref IS NULL
AND value IS NOT NULL AND id {} ORDER BY id
"""
# The index `tasks_warned` has no more entries than there are such tasks.
WARNINGS = "SELECT id, warnings FROM tasks WHERE warnings IS NOT NULL AND id BETWEEN ? AND ? ORDER BY id"
RETURNED_NOTHING = f"""
SELECT count(*), count(CASE WHEN type = 'builtins:NoneType' AND metrics = 0 AND artifacts IS NULL THEN 1 END)
FROM tasks WHERE id {LISTED} AND status = 'done'
"""
ATTEMPTS = """
SELECT attempt, status, started, runtime, cpu_time, memory, worker, run, log_file, log_start, log_end, failure,
       exception, pieces
FROM attempts WHERE key = ? ORDER BY id
"""
# A task that recorded any comes at least once, so that metrics which are lost are missed.
_METRICS = """
SELECT t.id, t.metrics, m.name, m.count, m.last, m.minimum, m.maximum, m.data_sum, m.sum"""
_METRICS_FROM = """
FROM tasks AS t LEFT JOIN metrics AS m ON m.task = t.id WHERE t.metrics > 0 AND t.id {} ORDER BY t.id, m.id
"""
METRICS = _METRICS + ", m.data" + _METRICS_FROM
METRIC_LASTS = _METRICS + _METRICS_FROM
RUNTIMES = """
SELECT t.params, t.runtime FROM tasks AS t JOIN experiments AS e ON e.id = t.experiment
WHERE e.name = ? AND t.status = 'done' ORDER BY t.id DESC LIMIT ?
"""
SEEK = """
SELECT id, key, experiment, params, repeat, run FROM tasks WHERE id < :below {} ORDER BY id DESC LIMIT :limit
"""
SEEK_BY = {
    "experiment": "AND experiment = :experiment",
    "status": "AND status = :status",
    "after": "AND started >= :after",
    "before": "AND started <= :before",
    "runs": "AND run IN (SELECT value FROM json_each(:runs))",
}
SEEK_TEXT = "instr(params, :{})"
SEEK_LACKS = "AND CASE WHEN json_valid(params) THEN json_type(params, :{}) IS NULL ELSE 1 END"
PARAMS_OF = "SELECT key, params FROM tasks WHERE hex(key) IN (SELECT value FROM json_each(?)) LIMIT ?"
KEYS_AND_IDS = "SELECT key, id FROM tasks"

# --- commands and events -------------------------------------------------------------------------------

SEND = "INSERT INTO commands (kind, run, experiment, arguments, sender, sent) VALUES (?, ?, ?, ?, ?, ?)"
LAST_COMMAND = "SELECT coalesce(max(id), 0) FROM commands"
COMMANDS = """
SELECT kind, run, experiment, arguments, sender, sent, id FROM commands
WHERE id > ? AND (run = ? OR (run IS NULL AND experiment IN ('', ?))) ORDER BY id
"""
ADD_ANSWER = "INSERT INTO answers (command, run, time, text, undo, done) VALUES (?, ?, ?, ?, ?, ?)"
ANSWERS = "SELECT command, run, time, text, undo, done FROM answers WHERE command = ? ORDER BY rowid"
ADD_EVENT = "INSERT INTO events (run, time, kind, data) VALUES (?, ?, ?, ?)"
EVENTS = "SELECT id, run, time, kind, data FROM events WHERE run = ? AND id > ? ORDER BY id"
SET_ACTIVITY = "INSERT OR REPLACE INTO activities (run, time, workers) VALUES (?, ?, ?)"
DROP_ACTIVITY = "DELETE FROM activities WHERE run = ?"
ACTIVITY = "SELECT time, workers FROM activities WHERE run = ?"

# --- renaming ------------------------------------------------------------------------------------------

EXPERIMENTS_OF_RUNS = "SELECT id, experiment FROM runs WHERE ended IS NULL"
KEYS_OF_EXPERIMENT = "SELECT key FROM tasks WHERE experiment = ?"
ROWS_TO_RENAME = (
    _OUTLINE_COLUMNS + f", key, {SUMMED}, sum FROM tasks WHERE id > ? AND experiment = ? ORDER BY id LIMIT ?"
)
RENAME_TASK = "UPDATE tasks SET key = ?, experiment = ?, sum = ?, facts = ? WHERE id = ?"
ATTEMPTS_OF_EXPERIMENT = "SELECT id, key FROM attempts WHERE experiment = ?"
RENAME_ATTEMPT = "UPDATE attempts SET key = ?, experiment = ? WHERE id = ?"
RENAME_RUNS = "UPDATE runs SET experiment = ? WHERE experiment = ?"
RENAME_ADOPTIONS = """
INSERT OR IGNORE INTO adoptions (experiment, code, present, adopted, who, verified, results)
SELECT ?, code, present, adopted, who, verified, results FROM adoptions WHERE experiment = ? ORDER BY id
"""
RENAME_CHANGES = """
INSERT INTO changes (experiment, code, present) SELECT :new, code, present FROM changes
WHERE experiment = :old AND code NOT IN (SELECT code FROM changes WHERE experiment = :new) ORDER BY id
"""
DROP_EXPERIMENT = (
    "DELETE FROM experiments WHERE id = ?",
    "DELETE FROM adoptions WHERE experiment = ?",
    "DELETE FROM changes WHERE experiment = ?",
)
NOTE_MOVE = "INSERT INTO moves (old, new) VALUES (?, ?)"
MOVES = "SELECT old, new FROM moves"
DROP_MOVE = "DELETE FROM moves WHERE old = ?"
LATEST_OF_OTHERS = """
SELECT t.key, e.name, t.code FROM tasks AS t JOIN experiments AS e ON e.id = t.experiment
WHERE e.name <> ? ORDER BY t.id DESC LIMIT ?
"""

# --- garbage -------------------------------------------------------------------------------------------

NAMES_OF_TASKS = """
SELECT id, key, CAST(status = 'done' AS int), ref, log_file, steps FROM tasks WHERE id > ? ORDER BY id
"""
LOGS_OF_ATTEMPTS = """
SELECT log_file FROM attempts
UNION SELECT json_extract(json_each.value, '$[7]') FROM tasks, json_each(pieces) WHERE pieces IS NOT NULL
UNION SELECT json_extract(json_each.value, '$[7]') FROM attempts, json_each(pieces) WHERE pieces IS NOT NULL
"""

# --- verifying -----------------------------------------------------------------------------------------

ID_RANGE = "SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM tasks"
INTEGRITY = "PRAGMA integrity_check(20)"
TWO_ROWS = """
SELECT id FROM tasks AS t WHERE key IN (SELECT key FROM tasks GROUP BY key HAVING count(*) > 1)
AND id < (SELECT max(id) FROM tasks WHERE key = t.key)
"""
DROP_LOGS = (
    "UPDATE tasks SET log_file = NULL, log_start = NULL, log_end = NULL WHERE log_file = ? AND log_end > ?",
    "UPDATE attempts SET log_file = NULL, log_start = NULL, log_end = NULL WHERE log_file = ? AND log_end > ?",
)
LOG_ENDS = """
SELECT log_file, max(log_end) FROM (
    SELECT log_file, log_end FROM tasks WHERE log_file IS NOT NULL
    UNION ALL SELECT log_file, log_end FROM attempts WHERE log_file IS NOT NULL
) AS logs GROUP BY log_file
"""
