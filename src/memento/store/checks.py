"""Tell what is wrong with an index, with a row, with a folder: the pure part of `verify`.

Knows: the schema, the columns, the names that files of ours have. May not know: who is told, how anything is mended.

Nothing here unpickles, writes, or follows a link out of the store.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from memento.layout import DEFINITIONS, GENERATIONS, SET_ASIDE, TEMPORARY
from memento.records import DONE, FAILED, Encoded
from memento.store import rows, sql
from memento.store.database import schema_faults
from memento.values.formats import SUFFIXES
from memento.values.places import below, entries

_HARMLESS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers leave them
_HARMLESS_START = (".nfs", "._")  # files that NFS keeps while they are open; macOS on foreign disks
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"([0-9a-f]{2})[0-9a-f]{30}\.[a-z]+")
_KEY = re.compile(r"[0-9a-f]{32}")
UPSTREAM = re.compile(r'"task ([0-9a-f]{32})"')  # how parameters name the task that they come from
_FORMATS = frozenset(SUFFIXES)


def index_faults(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite's own check and a look at every table find; empty for a whole index.

    Parameters
    ----------
    connection : sqlite3.Connection
        Reading only serves; other processes may write meanwhile.
    """
    faults: list[str] = []
    try:
        found = [text for (text,) in connection.execute(sql.INTEGRITY)]
        faults += [] if found == ["ok"] else found
        if connection.execute("PRAGMA application_id").fetchone()[0] != sql.APPLICATION_ID:
            faults.append("it has lost the mark of Memento's index")
        faults += schema_faults(connection)
        for table in sql.TABLES:  # SQLite itself does not look into texts
            for _ in connection.execute(f"SELECT * FROM {table}"):
                pass
        if connection.execute(sql.COUNTER_LOOKS_RIGHT).fetchone() != (1,):
            faults.append("the counter of rows is wrong")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        faults.append(str(error))
    return faults


def row_fault(row: tuple[Any, ...], experiments: dict[int, str]) -> str | None:
    """Return what is wrong with a row of `sql.TASKS_IN_ID_RANGE`, or None."""
    key, experiment, params, run, repeat, status, code, attempt = row[1:9]
    if not isinstance(key, bytes) or len(key) != 16:
        return "its key in the index is no key"
    value = None if row[15] is None else Encoded(row[15], row[19], row[18], row[17], row[16])
    if not rows.is_as_written(key, params, value, row[26]):
        return "its row in the index is not what was written"
    facts = (row[0], status == DONE, *row[9:13], row[24], experiment, repeat, row[13], row[27], row[28])
    if not rows.facts_are_as_written((facts,)):
        return "what its row in the index says of its time, memory or failure is not what was written"
    if status not in (DONE, FAILED):
        return "its row says neither that it is done nor that it failed"
    if status == DONE and value is None:
        return "its row says that it is done, and has no value"
    if value is not None and (value.format not in _FORMATS or (value.data is None) == (value.ref is None)):
        return "its row does not say where its value is"
    if not all(isinstance(number, int) for number in (code, attempt, run)):
        return "a number in its row in the index is none any more"
    if experiment not in experiments:
        return "its row in the index belongs to no experiment"
    if row[24] is not None and not _is_json(row[24], dict):
        return "the index's record of its failure is damaged"
    if row[23] is not None and not _is_json(row[23], list):
        return "the index's list of its artifacts is damaged"
    return None


def wrong_metrics(found: Iterable[tuple[Any, ...]]) -> set[int]:
    """Return the tasks whose metrics, rows of `sql.METRICS_IN_ID_RANGE`, are not what was written."""
    wrong = set()
    for task, its in groupby(found, key=itemgetter(0)):
        series = list(its)
        if not rows.metrics_are_as_written(series, series[0][1]):
            wrong.add(task)
    return wrong


def _is_json(text: Any, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, TypeError):
        return False


def foreign_payloads(folder: Path, others: frozenset[str]) -> Iterator[Path]:
    """Yield what has no place in a folder of payloads.

    Parameters
    ----------
    folder : Path
        ``payloads`` or ``steps``.
    others : frozenset of str
        Folders in it that hold something else.
    """
    for shard in entries(folder):
        if is_harmless(shard) or shard.name in others:
            continue
        if (
            not shard.is_dir()
            or shard.is_symlink()
            or not (_SHARD.fullmatch(shard.name) or shard.name == DEFINITIONS)
        ):
            yield shard
            continue
        for path in entries(shard):
            name = _NAME.fullmatch(path.name)
            ours = name is not None and shard.name in (name[1], DEFINITIONS) and not path.is_symlink()
            if not path.is_dir() and (ours or is_harmless(path) or path.name.startswith(TEMPORARY)):
                continue
            yield path


def checkpoint_files(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Yield the files of checkpoints, with their tasks' keys."""
    for task in entries(folder):
        if _KEY.fullmatch(task.name) and not task.is_symlink():
            for path in below(task):
                if path.name in GENERATIONS:
                    yield bytes.fromhex(task.name), path


def foreign_checkpoints(folder: Path) -> Iterator[Path]:
    """Yield what has no place in the folder of checkpoints."""
    for task in entries(folder):
        if is_harmless(task):
            continue
        if not _KEY.fullmatch(task.name) or task.is_symlink() or not task.is_dir():
            yield task
            continue
        for path in below(task):
            known = (
                path.name in GENERATIONS
                or path.name.removesuffix(SET_ASIDE) in GENERATIONS
                or is_harmless(path)
            )
            if path.is_symlink() or (not path.is_dir() and not known):
                yield path


def is_harmless(path: Path) -> bool:
    """Tell whether a file is what file managers and file systems leave anywhere."""
    return path.name in _HARMLESS or path.name.startswith(_HARMLESS_START)
