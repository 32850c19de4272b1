"""Lay out a list of tasks for a width: what tells them apart stays, and wraps; numbers go first, and are named.

Knows: texts and widths. May not know: tasks, stores, streams.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GAP = "  "
_LEAST = 12  # columns of a terminal that a text is wrapped or cut to, at least


class Column(NamedTuple):
    """A column of a list."""

    name: str
    cells: Sequence[str]
    stays: bool = False  # it tells rows apart: it is never left out
    last: bool = False  # it goes only where wrapping what stays makes no room for it
    wraps: bool = False  # between ", ", and anywhere where it must
    cut: bool = False  # its end may go where there is no room
    right: bool = False  # numbers stand under their last digit


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes.

    >>> width_of("lr"), width_of("学习"), width_of("e\\u0301")
    (2, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def laid_out(columns: Sequence[Column], width: int | None) -> tuple[list[str], list[str]]:
    """Return the lines of a list, its head first, and the names of columns that are left out.

    Without a width each row is a line.
    """
    shown, left_out = list(columns), list[str]()
    while width is not None and _needed(shown) > width:
        going = next((one for one in reversed(shown) if not one.stays and not one.last), None)
        if going is None and _needed(shown, wrapped=True) > width:
            going = next((one for one in reversed(shown) if not one.stays), None)
        if going is None:
            break
        shown.remove(going)
        left_out.insert(0, going.name)
    sizes = [_size(column) for column in shown]
    if width is not None:
        over = sum(sizes) + len(_GAP) * (len(sizes) - 1) - width
        for place in reversed(range(len(shown))):
            if over > 0 and (shown[place].wraps or shown[place].cut):
                smaller = max(min(_LEAST, sizes[place]), sizes[place] - over)
                over -= sizes[place] - smaller
                sizes[place] = smaller
    rows = [
        [column.name for column in shown],
        *map(list, zip(*(column.cells for column in shown), strict=True)),
    ]
    return [line for row in rows for line in _lines(row, shown, sizes)], left_out


def _size(column: Column) -> int:
    return max(map(width_of, (column.name, *column.cells)))


def _needed(columns: Sequence[Column], *, wrapped: bool = False) -> int:
    """Return the width at which nothing more need go: what may be cut can do with less, what wraps too if it must."""
    sizes = [
        min(_size(one), _LEAST if wrapped else 3 * _LEAST)
        if one.cut
        else min(_size(one), 2 * _LEAST)
        if one.wraps and wrapped
        else _size(one)
        for one in columns
    ]
    return sum(sizes) + len(_GAP) * (len(sizes) - 1)


def _lines(row: Sequence[str], columns: Sequence[Column], sizes: Sequence[int]) -> Iterator[str]:
    parts = [
        _wrapped(cell, size) if column.wraps else [_cut(cell, size) if column.cut else cell]
        for cell, column, size in zip(row, columns, sizes, strict=True)
    ]
    for at in range(max(map(len, parts))):
        cells = [own[at] if at < len(own) else "" for own in parts]
        yield _GAP.join(
            " " * (size - width_of(cell)) + cell if column.right else cell + " " * (size - width_of(cell))
            for cell, column, size in zip(cells, columns, sizes, strict=True)
        ).rstrip()


def _cut(text: str, size: int) -> str:
    if width_of(text) <= size:
        return text
    while width_of(text) > size - 1:
        text = text[:-1]
    return text + "…"


def _wrapped(text: str, size: int) -> list[str]:
    """Break a text into lines, after a comma where that can be."""
    lines, line = list[str](), ""
    pieces = [f"{part}, " for part in text.split(", ")]
    pieces[-1] = pieces[-1][:-2]
    for piece in pieces:
        if line and width_of(line + piece.rstrip()) > size:
            lines.append(line.rstrip())
            line = ""
        line += piece
        while width_of(line.rstrip()) > size:
            at = len(line)
            while width_of(line[:at]) > size:
                at -= 1
            lines.append(line[:at])
            line = line[at:]
    return [*lines, line.rstrip()]
