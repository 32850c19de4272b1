"""Say which known name somebody may have meant, or what is written here for another tool's word.

Knows: words and how far apart they are. May not know: what the words name.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

_SHOWN = 12  # names listed when none is near; more would bury the message


def in_other_words(word: str, table: Mapping[str, str]) -> str | None:
    """Return what a table has this word for, however it is written; its words are in lower case, without separators.

    >>> in_other_words("log_Metric", {"context.record({'loss': 0.3})": "log logmetric track"})
    "context.record({'loss': 0.3})"
    """
    plain = _plain(word)
    return next((right for right, words in table.items() if plain in words.split()), None)


def instead_of(word: str, table: Mapping[str, str], owner: str, known: Iterable[str]) -> str | None:
    """Return what to write for another tool's word, else the attribute of `owner` that looks like it, if any."""
    near = (f"{owner}.{name}" for name in nearest(word, known))
    return in_other_words(word, table) or next(near, None)


def nearest(name: object, known: Iterable[str], count: int = 1, likeness: float = 0.6) -> list[str]:
    """Return up to `count` known names that look like `name`, the nearest first; 1 is the `likeness` of equal ones."""
    import difflib

    names = list(known)
    if not isinstance(name, str):
        return []
    folded = {n.casefold(): n for n in reversed(names)}
    matches = difflib.get_close_matches(name.casefold(), list(folded), count, likeness)
    return [folded[match] for match in matches]


def near_file(path: str | os.PathLike[str], suffixes: Collection[str]) -> str:
    """Return a question for the file of such a name that lies where none of this name does; "" where none does."""
    folder, name = os.path.split(os.fspath(path))
    try:
        there = [one for one in os.listdir(folder or ".") if os.path.splitext(one)[1].lower() in suffixes]
    except OSError:  # there is no such folder either
        return ""
    near = nearest(name, sorted(there))
    return f" Did you mean {os.path.join(folder, near[0])}?" if near else ""


def did_you_mean(name: object, known: Iterable[str], what: str = "Known") -> str:
    """Return the remedy for an unknown name: the nearest known one, else what is known."""
    names = list(known)
    close = nearest(name, names)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not names:
        return f"{what}: none."
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(repr(n) for n in names[:_SHOWN])}{more}."


def misspelled(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is most likely a misspelling of, if any.

    Stricter than `nearest`, for places where a new name is allowed: ``alpha2`` beside
    ``alpha`` is a new name, ``alhpa`` is not.

    >>> misspelled("modle", ["model"]), misspelled("alpha2", ["alpha"]), misspelled("n", ["k"])
    ('model', None, None)
    """
    plain = _plain(name)
    for other in known:
        other_plain = _plain(other)
        if plain == other_plain:
            return other
        shorter = min(len(plain), len(other_plain))
        if _digitless(plain) == _digitless(other_plain) or shorter < 4:
            continue
        if _edits(plain, other_plain, 2 if shorter >= 8 else 1):
            return other
    return None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def _digitless(name: str) -> str:
    return "".join(char for char in name if not char.isdigit())


def _edits(a: str, b: str, limit: int) -> bool:
    """Tell whether `limit` edits (insert, delete, replace, swap of neighbours) make `a` into `b`."""
    if abs(len(a) - len(b)) > limit:
        return False
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1] <= limit
