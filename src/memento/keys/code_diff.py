"""Compare two versions of the code: a short diff for people, and whether they are the same code elsewhere.

Knows: `CodeVersion.functions`, as read from code or from a store. May not know: code itself, tasks, policies.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Functions = Mapping[str, tuple[str, str]]  # "module:qualname" -> (digest, readable source)

MOST_LINES = 40  # of one explanation
_MOST_OF_ONE = 14  # lines of one function's diff
_WIDTH = 110  # characters of a line
_VALUE = 60  # characters of a constant
_LEAD = 20  # of them before the first that differs
_READ = 2_000  # lines of one function that are compared
_COMPARED = 2_000  # characters by which a definition is known under another name
_ALIKE = 0.6


class Change(NamedTuple):
    """One function, class or constant that differs between two versions."""

    kind: str  # "changed", "new" or "gone"
    name: str  # as people say it
    place: str  # "experiment.py:24"; "" where it is no definition
    before: list[str]
    after: list[str]

    @property
    def is_constant(self) -> bool:
        """Whether it is a value by its name, told in one line."""
        return not self.place and all(len(side) <= 1 for side in (self.before, self.after))

    def lines(self) -> list[str]:
        """Describe the change: its name, and below it what differs."""
        title = f"{self.name} ({self.place})" if self.place and self.kind != "gone" else self.name
        if self.kind == "new":
            return [f"new: {title}"]
        if self.kind == "gone":
            return [f"no longer used: {title}"]
        if self.is_constant:
            before, after = (
                side[0].partition(" = ")[2] if side else "?" for side in (self.before, self.after)
            )
            # Long texts may begin alike: what is shown of them begins shortly before they part.
            same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
            start = max(0, same - _LEAD) if same > _VALUE - _LEAD else 0
            return [f"{self.name}: {_cut(before, start)} -> {_cut(after, start)}"]
        diff = list(self._diff())
        left = len(diff) - _MOST_OF_ONE
        if left > 1:
            diff[_MOST_OF_ONE:] = [f"... {left} more lines"]
        return [title, *(f"  {line[:_WIDTH]}" for line in diff)]

    def _diff(self) -> Iterator[str]:
        pieces = difflib.unified_diff(self.before[:_READ], self.after[:_READ], n=1, lineterm="")
        for number, line in enumerate(pieces):
            if not line.startswith("@@"):
                if number > 1:  # after the names of two files
                    yield line
            elif number > 2:
                yield "..."


def _cut(text: str, start: int) -> str:
    begun = f"...{text[start:]}" if start else text
    return begun if len(begun) <= _VALUE else f"{begun[: _VALUE - 3]}..."


def changes(old: Functions, new: Functions) -> list[Change]:
    """Compare two versions: what changed, then what is new, then what is no longer used."""
    was = {name: name for name in new if name in old} | _moved(old, new)
    changed = [
        _change("changed", name, old[before][1], new[name][1])
        for name, before in was.items()
        if old[before][0] != new[name][0]
    ]
    left = set(old).difference(was.values())
    added = [_change("new", name, "", new[name][1]) for name in new if name not in was]
    gone = [_change("gone", name, old[name][1], "") for name in old if name in left]
    renamed = _renamed(added, gone)
    if renamed is not None:  # a diff says more than that all of it is new
        changed.append(renamed)
        added, gone = ([one for one in side if not one.place] for side in (added, gone))
    return [*changed, *added, *gone]


def _moved(old: Functions, new: Functions) -> dict[str, str]:
    """Say where that was which stands in another file now, under the same name."""
    left: dict[str, list[str]] = {}
    for name in old:
        if name not in new:
            left.setdefault(name.partition(":")[2], []).append(name)
    found = {name: left.get(name.partition(":")[2], []) for name in new if name not in old}
    certain = {name: olds[0] for name, olds in found.items() if len(olds) == 1}
    return certain if len({*certain.values()}) == len(certain) else {}


def _renamed(added: list[Change], gone: list[Change]) -> Change | None:
    """Return the one definition that has another name now, where there is but one and most of it is as it was."""
    news, olds = ([one for one in side if one.place] for side in (added, gone))
    if len(news) != 1 or len(olds) != 1:
        return None
    new, old = news[0], olds[0]
    before, after = ("\n".join(lines)[:_COMPARED] for lines in (old.before, new.after))
    if difflib.SequenceMatcher(None, before, after, autojunk=False).ratio() < _ALIKE:
        return None
    return Change("changed", f"{new.name}, formerly {old.name}", new.place, old.before, new.after)


def _change(kind: str, name: str, before: str, after: str) -> Change:
    place, after_lines = _place_and_lines(after)
    older_place, before_lines = _place_and_lines(before)
    bare = name.partition("#")[0].rpartition(":")[2].replace(".<locals>.", ".")
    return Change(kind, bare, place or older_place, before_lines, after_lines)


def _place_and_lines(readable: str) -> tuple[str, list[str]]:
    lines = readable.splitlines()
    if lines and lines[0].startswith("# "):
        return lines[0][2:], lines[1:]
    return "", lines


def explain_code(old: Functions, new: Functions, most: int = MOST_LINES) -> list[str]:
    """Say in at most so many lines what changed between two versions: diffs, then what is new and no longer used."""
    lines: list[str] = []
    found = changes(old, new)
    for told, change in enumerate(found):
        more = change.lines()
        last = told == len(found) - 1
        if len(lines) + len(more) > most - (not last):
            room = most - 1 - len(lines)
            if room > 3 and len(more) > room:  # a part of a diff says more than its name
                lines += [*more[: room - 1], "  ..."]
                told += 1
            left = len(found) - told
            return [*lines, f"and {left} more {'function' if left == 1 else 'functions'}"] if left else lines
        lines += more
    return lines


# -- the same code elsewhere -----------------------------------------------------------------------------

_CUT = 500  # characters of a readable value; a longer one is not there whole
_Told = dict[str, tuple[str, str]]


def is_same_elsewhere(old: Functions, new: Functions) -> bool:
    """Tell whether two versions differ only in where things stand, or in the name of one function and what is in it.

    A place in the project that both versions have is the same place: so two files that change their roles are a change.
    """
    places = _places(_names_by_place(old), _names_by_place(new)) if len(old) == len(new) else None
    if places is None:
        return False
    left: _Told = {}
    rest: _Told = {**new}
    for name, (mark, text) in old.items():
        place, _, bare = name.partition(":")
        there, moved = f"{places.get(place, place)}:{bare}", _elsewhere(text, places)
        now = rest.get(there, ("", ""))
        # The digest of a value that names a place is of that place.
        if now[0] == mark or (moved != text and now[1] == moved and len(moved) < _CUT):
            del rest[there]
        else:
            left[there] = mark, moved
    return not left or _is_one_renamed(left, rest)


def _names_by_place(functions: Functions) -> dict[str, set[str]]:
    places: dict[str, set[str]] = {}
    for name in functions:
        place, _, bare = name.partition(":")
        places.setdefault(place, set()).add(bare)
    return places


def _places(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> dict[str, str] | None:
    """Say where each place is now; None where that is not certain."""
    gone = [place for place in before if place not in after]
    come = [place for place in after if place not in before]
    if len(gone) == len(come) == 1:
        return {gone[0]: come[0]}
    found: dict[str, str] = {}
    for place in gone:
        alike = [other for other in come if before[place] == after[other]]
        if len(alike) > 1:  # several files have the same names: the one that kept its own
            alike = [other for other in alike if other.rpartition("/")[2] == place.rpartition("/")[2]]
        if len(alike) != 1 or alike[0] in found.values():
            return None
        found[place] = alike[0]
    return found if len(gone) == len(come) else None


def _elsewhere(text: str, places: Mapping[str, str]) -> str:
    """Return a readable value with the places that it names as they are now; a definition as it is."""
    for old, new in places.items() if not text.startswith("# ") else ():
        text = re.sub(rf"(?<![\w./]){re.escape(old)}(?=:)", lambda _, new=new: new, text)  # type: ignore[misc]
    return text


def _is_one_renamed(old: _Told, new: _Told) -> bool:
    """Tell whether one definition, with what belongs to it, has another name now and is the same otherwise."""
    before, after = (min(side, key=len) for side in (old, new))
    if len(old) != len(new) or before.partition(":")[0] != after.partition(":")[0]:
        return False
    own_before, own_after = (name.partition(":")[2].rpartition(".")[2] for name in (before, after))
    for name, (mark, text) in old.items():
        now = new.get(after + name[len(before) :]) if name.startswith(before) else None
        if now is None:
            return False
        if not text.startswith("# "):  # a value that it was made with
            same = now[0] == mark
        else:
            same = _anonymous(text, own_before) == _anonymous(now[1], own_after)
        if not same:
            return False
    return True


def _anonymous(text: str, own: str) -> str:
    return re.sub(rf"\b{re.escape(own)}\b", "_", text.partition("\n")[2])
