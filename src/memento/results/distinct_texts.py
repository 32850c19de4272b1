"""Give each value of a parameter a text of its own, as short as it can be.

Knows: how values are named. May not know: tasks, frames, stores.

    a class, function or instance of a name that others have too     by the last parts of its module: `a.Solver`
    texts that differ only far behind                                by what stands where they differ
    a plain value that reads like another one (1, "1", True, "-")    as Python writes it: `'1'`
    what nothing tells apart                                         numbered: `<lambda>#1`, `<lambda>#2`

The same values in the same order have the same texts, in the program that ran them and where they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

LIMIT = 80  # characters of a text
_AROUND = 12  # characters shown before the place where texts differ


class Name(NamedTuple):
    """What a value can be called."""

    text: str  # whole
    home: str = ""  # the module that tells what the text names from its like; "" where it names nothing
    quoted: str = ""  # a plain value as Python writes it; "" for others


def distinct_texts(names: Sequence[Name], taken: Iterable[str] = (), limit: int = LIMIT) -> list[str]:
    """Return a text for each name, all different and none `taken`, in at most about `limit` characters.

    Examples
    --------
    >>> distinct_texts([Name("Solver", "bench.a"), Name("Solver", "bench.b"), Name("1", quoted="1")])
    ['a.Solver', 'b.Solver', '1']
    >>> distinct_texts([Name("1", quoted="1"), Name("1", quoted="'1'"), Name("f()"), Name("f()")])
    ['1', "'1'", 'f()#1', 'f()#2']
    """
    reserved = frozenset(taken)
    texts = [_cut(name.text, limit) for name in names]
    if len(set(texts)) == len(texts) and reserved.isdisjoint(texts):
        return texts
    for group in _alike(texts, reserved):
        for place in group:
            texts[place] = names[place].quoted or texts[place]
    for group in _alike(texts, reserved):
        found = _apart([names[place] for place in group], limit)
        for place, text in zip(group, found, strict=True):
            texts[place] = text
    groups = _alike(texts, reserved)
    unused = reserved.union(texts)
    for group in groups:
        number = 0
        for place in group:
            number += 1
            while (text := f"{texts[place]}#{number}") in unused:
                number += 1
            texts[place] = text
    return texts


def _alike(texts: Sequence[str], reserved: frozenset[str]) -> list[list[int]]:
    """Return the places of those that have a text in common, or one that means something else."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    return [group for text, group in places.items() if len(group) > 1 or text in reserved]


def _apart(names: Sequence[Name], limit: int) -> list[str]:
    """Tell names apart by what they say; some may stay alike."""
    whole = [name.text for name in names]
    texts = list(whole)
    if len(set(whole)) < len(whole):
        homes = [
            name.home.removesuffix(".py").replace("/", ".").split(".") if name.home else [] for name in names
        ]
        every = {".".join([*home, text]) for home, text in zip(homes, whole, strict=True)}
        for count in range(1, max(map(len, homes)) + 1):  # as few parts as tell as many apart as all do
            texts = [".".join([*home[-count:], text]) for home, text in zip(homes, whole, strict=True)]
            if len(set(texts)) == len(every):
                break
        if len(set(texts)) == len(set(whole)):  # homes tell nothing
            texts = list(whole)
    if all(len(text) <= limit for text in texts):
        return texts
    differ = _first_difference(texts)
    return [_around(text, differ, limit) for text in texts]


def _first_difference(texts: Sequence[str]) -> int:
    first, last = min(texts), max(texts)
    for place, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return place
    return min(len(first), len(last))


def _around(text: str, place: int, limit: int) -> str:
    """Cut a text so that its beginning shows, and what stands around a place."""
    if len(text) <= limit or place < limit - 1:
        return _cut(text, limit)
    head = max(limit // 3, 1)
    room = max(limit - head - 1, 2)
    start = max(head, min(place - min(_AROUND, room // 2), len(text) - room))
    return f"{text[:head]}…{_cut(text[start:], room)}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
