"""Name the tasks that run in little room, so that each is told from the others and rows stay as they are.

Knows: the texts of configurations. May not know: terminals, events.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

_NEXT_PARAMETER = re.compile(r", (?=\w+=)")
_NAMED = (24, 16, 12, 8, 6)  # columns of a name or a value, the more room the more
_BARE = (16, 12, 8, 6, 4, 3)  # columns of a value where values stand without their parameters' names
_STEPS = 2 + len(_NAMED) + len(_BARE)


class TaskNames:
    """Shortens configurations alike, as one run shows them from one moment to the next.

    What takes too much room loses first what no two tasks have differed in so far, then letters in the middle of values
    and names, then the names. What was shortened once stays so while the room is the same: rows that change their
    form from one moment to the next cannot be read.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}  # the value that each parameter was first seen with
        self._varied: set[str] = set()
        self._room = self._step = 0

    def fit(self, configs: Sequence[str], room: int) -> list[str]:
        """Return the configurations as texts of at most `room` columns."""
        from rich.cells import cell_len

        parts = [[_pair(piece) for piece in _NEXT_PARAMETER.split(config)] for config in configs]
        for name, value in (pair for part in parts for pair in part):
            if self._first.setdefault(name, value) != value:
                self._varied.add(name)
        if room != self._room:
            self._room, self._step = room, 0
        while True:
            texts = [self._text(part) for part in parts]
            if self._step == _STEPS - 1 or all(cell_len(text) <= room for text in texts):
                return [cut_end(text, room) for text in texts]
            self._step += 1

    def _text(self, part: Sequence[tuple[str, str]]) -> str:
        if not self._step:
            return _joined(part)
        telling = [pair for pair in part if pair[0] in self._varied] or part
        if self._step == 1:
            return _joined(telling)
        if self._step < 2 + len(_NAMED):
            limit = _NAMED[self._step - 2]
            return _joined([(cut_middle(name, limit), cut_middle(value, limit)) for name, value in telling])
        limit = _BARE[self._step - 2 - len(_NAMED)]
        return " ".join(cut_middle(value or name, limit) for name, value in telling)


def _pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name, value


def _joined(part: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" if value else name for name, value in part)


def cut_middle(text: str, columns: int) -> str:
    """Leave out what stands in the middle of a text that takes more room: values differ at both ends.

    >>> cut_middle("StandardScaler", 8), cut_middle("SVC", 8), cut_middle("日本語データセット", 8)
    ('Stan…ler', 'SVC', '日本…ト')
    """
    from rich.cells import cell_len

    if cell_len(text) <= columns:
        return text
    tail = (columns - 1) // 2
    return f"{_within(text, columns - 1 - tail)}…{_within(text[::-1], tail)[::-1]}"


def cut_end(text: str, columns: int) -> str:
    """Leave out the end of a text that takes more room.

    >>> cut_end("StandardScaler", 8), cut_end("日本語", 4)
    ('Standar…', '日…')
    """
    from rich.cells import cell_len

    return text if cell_len(text) <= columns else f"{_within(text, columns - 1)}…"


def _within(text: str, columns: int) -> str:
    from rich.cells import cell_len

    ends = accumulate(cell_len(char) for char in text)
    return text[: sum(1 for end in ends if end <= columns)]
