"""Describe the experiment's code: its own function and what of the user's project it reaches; compare processes by it.

Knows: functions, classes, the globals they name. May not know: tasks, the store, policies.

Nothing is imported or executed, and nothing here raises: what cannot be read is named as unknown.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from memento.keys.ast_normal_form import readable
from memento.keys.code_dependencies import CodeWalk, Marks, Told
from memento.keys.encode import LEAVES
from memento.keys.names import module_name
from memento.keys.project_files import place_of_file
from memento.keys.value_digest import digest


class CodeVersion:
    """The experiment's code at one moment; its digest ignores comments, docstrings, formatting and line numbers."""

    def __init__(self, marks: Marks, unfollowed: Iterable[tuple[str, str]] = ()) -> None:
        self.found = marks  # what counts
        self.unfollowed = tuple(sorted(unfollowed))  # what may matter too and does not count, with the reason
        self.marks = dict(sorted(_named(marks)))
        self.digest = digest([(name, mark) for name, (mark, _) in self.marks.items()])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeVersion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """What counts, by name."""
        return tuple(self.marks)

    @functools.cached_property
    def functions(self) -> dict[str, tuple[str, str]]:
        """Each name with its digest and its source, written out when it is asked for: a cached run asks for none."""
        return {
            name: (mark, told if isinstance(told, str) else readable(told))
            for name, (mark, told) in self.marks.items()
        }


def _named(marks: Marks) -> Iterator[tuple[str, tuple[str, Told]]]:
    """Yield what was found by name; of several of one name all but the first carry their digest too."""
    for name, several in marks.items():
        for i, mark in enumerate(sorted(several)):  # in no order that depends on the way here
            yield f"{name}#{mark[:16]}" if i else name, (mark, several[mark])


def combined(versions: Iterable[CodeVersion]) -> CodeVersion:
    """Return the version that takes in all that several count; their order and repetition make no difference."""
    found: Marks = {}
    unfollowed: set[tuple[str, str]] = set()
    for version in versions:
        unfollowed.update(version.unfollowed)
        for name, several in version.found.items():
            found.setdefault(name, {}).update(several)
    return CodeVersion(found, unfollowed)


_ROWS = (tuple, list, set, frozenset)


def value_code(value: Any) -> CodeVersion | None:
    """Return the code of the project that a value brings with it, or None where it brings none."""
    if type(value) in LEAVES or (type(value) in _ROWS and LEAVES.keys() >= set(map(type, value))):
        return None  # nearly all; of tuples, such as sizes of layers, there may be many
    walk = CodeWalk()
    walk.follow(value)
    return CodeVersion(walk.marks, walk.unfollowed) if walk.marks else None


def code_version(func: Any) -> CodeVersion:
    """Return the version of an experiment's code: itself and what of the user's project it reaches."""
    walk = CodeWalk()
    walk.state(func)
    walk.follow(func)
    return CodeVersion(walk.marks, walk.unfollowed)


# -- in another process ----------------------------------------------------------------------------------
#
# What the script itself defines travels with the function. What stands in other modules of the project a fresh process
# imports anew, so it has what the import leaves, and nothing of what the program has changed since.


def seen_by(func: Any, apart: Callable[[Any], object] | None = None) -> dict[str, tuple[str, str]]:
    """Return what an experiment reads of the project's modules, but for the script's: digests, and words for data.

    `apart` says of a global's value whether it reaches other processes in a way of its own.
    """
    scripts = (_place_of(sys.modules.get("__main__")), module_name("__main__"), "unknown")
    seen = {
        name: (mark, told if isinstance(told, str) else "")
        for name, (mark, told) in code_version(func).marks.items()
        if name.partition(":")[0] not in scripts and "#" not in name
    }
    data = [name for name, (_, told) in seen.items() if told] if apart is not None else []
    modules = {_place_of(module): module for module in sys.modules.copy().values()} if data else {}
    for name in data:
        place, _, attribute = name.partition(":")
        if apart is not None and apart(getattr(modules.get(place), "__dict__", {}).get(attribute)):
            del seen[name]
    return seen


def differences(there: Mapping[str, tuple[str, str]], func: Any) -> list[tuple[str, str, str]]:
    """Compare what the program saw, told by `seen_by`, with what is seen here: names, what is there, what is here."""
    here = seen_by(func)
    found = [
        (name, told, here[name][1])
        for name, (mark, told) in there.items()
        if name in here and here[name][0] != mark
    ]
    missing = [(name, told, "nothing") for name, (_, told) in there.items() if told and name not in here]
    if missing:
        # A module that is not here yet may come with what is missed.
        loaded = {_place_of(module) for module in sys.modules.copy().values()}
        found += [one for one in missing if one[0].partition(":")[0] in loaded]
    return found


def _place_of(module: Any) -> str | None:
    file = getattr(module, "__dict__", {}).get("__file__")
    return place_of_file(file) if isinstance(file, str) else None
