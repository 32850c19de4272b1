"""Read what stands as text in a file or a server: numbers, times, values as YAML 1.2 writes them.

Knows: text. May not know: columns, sources, matrices. No text builds an object or names one.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from memento.wording import seconds_in

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: dict[str, bool | None] = {"~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_ESCAPED = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
# As other programs write them.
_NUMBERS = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"}


def value_of(text: str) -> Any:
    """Return the value that a text is in a matrix file; what is no number, truth, null, list or dict is itself.

    >>> [value_of(text) for text in ("1", "1.0", "1e-3", "true", "null", "svc", "[1, 2]", "!py os:system")]
    [1, 1.0, 0.001, True, None, 'svc', [1, 2], '!py os:system']
    """
    plain = text.strip()
    if plain in _WORDS:
        return _WORDS[plain]
    if _INT.fullmatch(plain) and len(plain) < 1000:  # Python refuses thousands of digits
        return int(plain)
    if _FLOAT.fullmatch(plain):
        return float(_ESCAPED.get(plain.lower(), plain))
    if plain[:1] in ("[", "{", '"'):
        try:
            return json.loads(plain)
        except (ValueError, RecursionError):
            return text
    if len(plain) > 1 and plain[0] == plain[-1] == "'":
        return plain[1:-1].replace("''", "'")
    return text


def result_of(text: str) -> Any:
    """Return the result that a text is: as `value_of`, and numbers that are none as other programs write them.

    >>> [result_of(text) for text in ("0.93", "NaN", "-inf", "good")]
    [0.93, nan, -inf, 'good']
    """
    return float(text) if text.strip().lower() in _NUMBERS else value_of(text)


def number_of_cell(cell: object) -> float | None:
    """Return the number that a cell is; None where it is none.

    >>> number_of_cell("0.5"), number_of_cell(3), number_of_cell("none")
    (0.5, 3.0, None)
    """
    if isinstance(cell, bool) or cell is None:
        return None
    try:
        return float(cell)  # type: ignore[arg-type]  # whatever it is, it says so
    except (TypeError, ValueError, OverflowError):
        return None


def seconds_of_cell(cell: object) -> float | None:
    """Return the seconds that a cell tells, like 12.5 or "1h30m"; None where it tells none.

    >>> seconds_of_cell("12.5"), seconds_of_cell("1h30m"), seconds_of_cell("long")
    (12.5, 5400.0, None)
    """
    number = number_of_cell(cell)
    if number is not None:
        return seconds_in(number)
    return seconds_in(cell, short=True) if isinstance(cell, str) else None


def moment_of_cell(cell: object) -> float | None:
    """Return the moment that a cell tells, in UTC seconds; one without a zone is of this place.

    >>> moment_of_cell("2026-01-02T03:04:05.5Z"), moment_of_cell(12), moment_of_cell("soon")
    (1767323045.5, 12.0, None)
    """
    number = number_of_cell(cell)
    if number is not None:
        return seconds_in(number)
    if not isinstance(cell, str):
        return None
    text = re.sub("Z$", "+00:00", cell.strip())  # Python 3.10 reads neither this nor five digits
    text = re.sub(r"\.(\d+)", lambda found: f".{found[1][:6]:0<6}", text, count=1)
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds_in(moment)
