"""Say what changed between two versions of the code: a short diff, function by function.

Knows: `CodeVersion.functions`, as read from code or from a store. May not know: code itself, tasks, policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

Functions = Mapping[str, tuple[str, str]]  # "module:qualname" -> (digest, readable source)

MOST_LINES = 40  # of one explanation
_MOST_OF_ONE = 14  # lines of one function's diff
_AROUND = 1  # lines shown before and after a changed one
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
            before, after = map(_text, (self.before, self.after))
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
        import difflib

        before, after = self.before[:_READ], self.after[:_READ]
        pieces = difflib.unified_diff(before, after, n=_AROUND, lineterm="")
        for number, line in enumerate(pieces):
            if not line.startswith("@@"):
                if number > 1:  # after the names of two files
                    yield line
            elif number > 2:
                yield "..."


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
    import difflib

    news, olds = ([one for one in side if one.place] for side in (added, gone))
    if len(news) != 1 or len(olds) != 1:
        return None
    new, old = news[0], olds[0]
    before, after = ("\n".join(lines)[:_COMPARED] for lines in (old.before, new.after))
    if difflib.SequenceMatcher(None, before, after, autojunk=False).ratio() < _ALIKE:
        return None
    return Change("changed", f"{new.name}, formerly {old.name}", new.place, old.before, new.after)


def explain_code(old: Functions, new: Functions, most: int = MOST_LINES) -> list[str]:
    """Say what changed between two versions of the code.

    Parameters
    ----------
    old, new : dict
        `CodeVersion.functions` of either.
    most : int
        How many lines to return at most; what is left out is counted in the last one.

    Returns
    -------
    list of str
        A diff of each function that changed, then what is new and what is no longer used.

    Examples
    --------
    >>> explain_code({"exp:f": ("1", ""), "exp:LR": ("2", "LR = 1")}, {"exp:LR": ("3", "LR = 2")})
    ['LR: 1 -> 2', 'no longer used: f']
    """
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


def _change(kind: str, name: str, before: str, after: str) -> Change:
    place, after_lines = _parts(after)
    older_place, before_lines = _parts(before)
    bare = name.partition("#")[0].rpartition(":")[2].replace(".<locals>.", ".")
    return Change(kind, bare, place or older_place, before_lines, after_lines)


def _parts(readable: str) -> tuple[str, list[str]]:
    """Split a readable definition into its place and its lines."""
    lines = readable.splitlines()
    if lines and lines[0].startswith("# "):
        return lines[0][2:], lines[1:]
    return "", lines


def _text(lines: list[str]) -> str:
    return lines[0].partition(" = ")[2] if lines else "?"


def _cut(text: str, start: int) -> str:
    begun = f"...{text[start:]}" if start else text
    return begun if len(begun) <= _VALUE else f"{begun[: _VALUE - 3]}..."
