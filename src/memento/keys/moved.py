"""Tell whether two versions of the code are the same code elsewhere: a file was moved, a function renamed.

Knows: `CodeVersion.functions`, as read from code or from a store. May not know: code itself, tasks, policies.

A place in the project that both versions have is the same place: so two files that change their roles are a change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from memento.keys.changes import Functions

_Place = dict[str, tuple[str, str]]  # qualified name -> (digest, readable source)
_CUT = 500  # characters of a readable value; a longer one is not there whole


def is_same_elsewhere(old: Functions, new: Functions) -> bool:
    """Tell whether two versions differ only in where things stand, or in the name of one function and what is in it.

    Parameters
    ----------
    old, new : dict
        `CodeVersion.functions` of either.

    Examples
    --------
    >>> old = {"a/exp.py:f": ("1", "# exp.py:1\\ndef f(): ..."), "a/exp.py:LR": ("2", "LR = 1")}
    >>> is_same_elsewhere(old, {"b/exp.py:f": old["a/exp.py:f"], "b/exp.py:LR": old["a/exp.py:LR"]})
    True
    >>> is_same_elsewhere(old, {"b/exp.py:f": old["a/exp.py:f"], "b/exp.py:LR": ("3", "LR = 2")})
    False
    """
    if len(old) != len(new):
        return False
    before, after = _by_place(old), _by_place(new)
    places = _places(before, after)
    if places is None:
        return False
    moved = {name: _elsewhere(told, places) for name, told in old.items()}
    left: list[tuple[str, tuple[str, str]]] = []
    rest = {**new}
    for name, (mark, text) in moved.items():
        place, _, bare = name.partition(":")
        there = f"{places.get(place, place)}:{bare}"
        found = rest.get(there)
        if found is not None and _is_same(found, (mark, text), old[name]):
            del rest[there]
        else:
            left.append((there, (mark, text)))
    return not left or _is_one_renamed(left, list(rest.items()))


def _by_place(functions: Functions) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for name, told in functions.items():
        place, _, bare = name.partition(":")
        places.setdefault(place, {})[bare] = told
    return places


def _places(before: Mapping[str, _Place], after: Mapping[str, _Place]) -> dict[str, str] | None:
    """Say where each place is now; None where that is not certain."""
    gone = [place for place in before if place not in after]
    come = [place for place in after if place not in before]
    if len(gone) != len(come):
        return None
    if len(gone) == 1:
        return {gone[0]: come[0]}
    found: dict[str, str] = {}
    for place in gone:
        alike = [other for other in come if before[place].keys() == after[other].keys()]
        if len(alike) > 1:  # several files have the same names: the one that kept its own
            alike = [other for other in alike if _file(other) == _file(place)]
        if len(alike) != 1 or alike[0] in found.values():
            return None
        found[place] = alike[0]
    return found


def _file(place: str) -> str:
    return place.rpartition("/")[2]


def _elsewhere(told: tuple[str, str], places: Mapping[str, str]) -> tuple[str, str]:
    """Return a readable value with the places that it names as they are now."""
    mark, text = told
    if text.startswith("# "):
        return told
    for old, new in places.items():
        text = re.sub(rf"(?<![\w./]){re.escape(old)}(?=:)", lambda _, new=new: new, text)  # type: ignore[misc]
    return mark, text


def _is_same(found: tuple[str, str], moved: tuple[str, str], before: tuple[str, str]) -> bool:
    if found[0] == before[0]:
        return True
    # The digest of a value that names a place is of that place.
    return moved[1] != before[1] and found[1] == moved[1] and len(moved[1]) < _CUT


def _is_one_renamed(left: list[tuple[str, tuple[str, str]]], rest: list[tuple[str, tuple[str, str]]]) -> bool:
    """Tell whether one definition, with what belongs to it, has another name now and is the same otherwise."""
    old, new = (min((name for name, _ in side), key=len) for side in (left, rest))
    if len(left) != len(rest) or old.partition(":")[0] != new.partition(":")[0]:
        return False
    own_old, own_new = (name.partition(":")[2].rpartition(".")[2] for name in (old, new))
    found = dict(rest)
    for name, (mark, text) in left:
        now = found.get(new + name[len(old) :]) if name.startswith(old) else None
        if now is None:
            return False
        if not text.startswith("# "):  # a value that it was made with
            if now[0] != mark:
                return False
            continue
        if _anonymous(text, own_old) != _anonymous(now[1], own_new):
            return False
    return True


def _anonymous(text: str, own: str) -> str:
    return re.sub(rf"\b{re.escape(own)}\b", "_", text.partition("\n")[2])
