"""Describe the experiment's code: its own function and what of the user's project it reaches.

Knows: functions, classes, the globals they name. May not know: tasks, the store, policies.

Nothing is imported or executed, and nothing here raises: what cannot be read is named as unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from memento.keys import forms
from memento.keys.encode import LEAVES
from memento.keys.kinds import digest
from memento.keys.reach import Marks, Reach, Told


class CodeVersion:
    """The experiment's code at one moment.

    Parameters
    ----------
    marks : dict
        What counts: name -> digest -> definition or text that people may read; several may have one name.
    unfollowed : iterable of (str, str), default=()
        What may matter too and does not count, with the reason.
    """

    def __init__(self, marks: Marks, unfollowed: Iterable[tuple[str, str]] = ()) -> None:
        self._found = marks
        self.unfollowed = tuple(sorted(unfollowed))
        self._marks = dict(sorted(_named(marks)))
        self.digest = digest([(name, mark) for name, (mark, _) in self._marks.items()])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeVersion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """What counts, by name."""
        return tuple(self._marks)

    @functools.cached_property
    def functions(self) -> dict[str, tuple[str, str]]:
        """Each name with its digest and its source, written out when it is asked for: a cached run asks for none."""
        return {
            name: (mark, told if isinstance(told, str) else forms.readable(told))
            for name, (mark, told) in self._marks.items()
        }


def _named(marks: Marks) -> Iterator[tuple[str, tuple[str, Told]]]:
    """Yield what was found by name; of several of one name all but the first carry their digest too."""
    for name, several in marks.items():
        for i, mark in enumerate(sorted(several)):  # in no order that depends on the way here
            yield f"{name}#{mark[:16]}" if i else name, (mark, several[mark])


def combined(versions: Iterable[CodeVersion]) -> CodeVersion:
    """Return the version that takes in all that several count; their order and repetition make no difference.

    Parameters
    ----------
    versions : iterable of CodeVersion
        That of the experiment, and those of a task's values.

    Returns
    -------
    CodeVersion
        Of one version alone, the same digest.

    Examples
    --------
    >>> combined([]).functions
    {}
    """
    found: Marks = {}
    unfollowed: set[tuple[str, str]] = set()
    for version in versions:
        unfollowed.update(version.unfollowed)
        for name, several in version._found.items():
            found.setdefault(name, {}).update(several)
    return CodeVersion(found, unfollowed)


_ROWS = (tuple, list, set, frozenset)


def value_code(value: Any) -> CodeVersion | None:
    """Return the code of the project that a value brings with it, or None where it brings none.

    Parameters
    ----------
    value : object
        A parameter's value or a setting.

    Returns
    -------
    CodeVersion or None
        Of functions, classes, and what instances and containers hold of these.

    Examples
    --------
    >>> value_code(1) is None and value_code([len, {"a": 1.5}]) is None
    True
    """
    if type(value) in LEAVES or (type(value) in _ROWS and LEAVES.keys() >= set(map(type, value))):
        return None  # nearly all; of tuples, such as sizes of layers, there may be many
    reach = Reach()
    reach.follow(value)
    return CodeVersion(reach.marks, reach.unfollowed) if reach.marks else None


def code_version(func: Any) -> CodeVersion:
    """Return the version of an experiment's code: itself and what of the user's project it reaches.

    Parameters
    ----------
    func : callable
        The experiment.

    Returns
    -------
    CodeVersion
        Its digest ignores comments, docstrings, formatting and line numbers.

    Examples
    --------
    >>> code_version(len).functions
    {}
    """
    reach = Reach()
    reach.state(func)
    reach.follow(func)
    return CodeVersion(reach.marks, reach.unfollowed)
