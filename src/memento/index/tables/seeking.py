"""Look for rows by what stands in them, where no index of the database's leads to them.

Knows: the table of tasks. May not know: what names and values in parameters mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memento.index.types import Narrow, Sought

if TYPE_CHECKING:
    from memento.index.tables.base import Database

_FIRST = 64  # rows read at first
_MOST = 8_192  # ... and at once, later
_TEXTS = 16  # of one parameter that are looked for: each costs all rows a moment


def seek(database: Database, sought: Sought) -> Iterator[Narrow]:
    """Yield rows that are looked for: few are read at first; no cursor stays open while the caller works."""
    names: dict[int, str] = dict(database.all(database.sql.EXPERIMENT_NAMES))
    number = next((number for number, name in names.items() if name == sought.experiment), None)
    if number is None and sought.experiment is not None:
        return
    statement, asked = _statement(database, sought, number)
    while True:
        found = database.all(statement, asked)
        if any(row[2] not in names for row in found):
            names.update(database.all(database.sql.EXPERIMENT_NAMES))
        for row in found:
            yield Narrow._make((*row[:2], names[row[2]], *row[3:]))
        if len(found) < asked["limit"]:
            return
        asked |= {"below": found[-1][0], "limit": min(8 * asked["limit"], _MOST)}


def _statement(database: Database, sought: Sought, experiment: int | None) -> tuple[str, dict[str, Any]]:
    """Return the statement that looks for rows, and its values."""
    sql = database.sql
    texts = [list(some) for some in sought.texts if 0 < len(some) <= _TEXTS]
    lacks = [f'$."{name}"' for name in sought.lacks if '"' not in name] if sql.SEEK_LACKS else []
    given = sought._asdict() | {
        "experiment": experiment,
        "runs": None if sought.runs is None else database.listed(sought.runs),
    }
    narrowed = [condition for name, condition in sql.SEEK_BY.items() if given[name] is not None]
    asked = {name: given[name] for name in sql.SEEK_BY if given[name] is not None}
    asked |= {"below": sys.maxsize, "limit": _FIRST}
    asked |= {f"text{at}_{place}": text for at, some in enumerate(texts) for place, text in enumerate(some)}
    asked |= {f"path{place}": path for place, path in enumerate(lacks)}
    groups = [
        [sql.SEEK_TEXT.format(f"text{at}_{place}") for place in range(len(some))]
        for at, some in enumerate(texts)
    ]
    narrowed += [f"AND ({' OR '.join(group)})" for group in groups]
    narrowed += [sql.SEEK_LACKS.format(f"path{place}") for place in range(len(lacks))]
    return sql.SEEK.format(" ".join(narrowed)), asked
