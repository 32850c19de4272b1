"""What stands in for a value that cannot be loaded here, so that one such value hides no other.

Knows: why a value could not be loaded, and what wrote it. May not know: stores, frames.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from memento.errors import MementoError, StoreError
from memento.wording import one_line

_TOLD = 200  # characters of an error


class Unreadable:
    """A stored value that cannot be loaded here; shows what it is, why, and by what it was written."""

    __slots__ = ("problem", "type", "writer")

    def __init__(self, type: str, problem: str, writer: str = "") -> None:  # noqa: A002  # what it is
        self.type, self.problem, self.writer = type, problem, writer

    def by(self, writer: str) -> Unreadable:
        """Return the same, with what wrote it."""
        return Unreadable(self.type, self.problem, writer)

    def __repr__(self) -> str:
        written = f"; written by {self.writer}" if self.writer else ""
        return f"<unreadable {self.type or 'value'}: {self.problem}{written}>"


def problem_of(error: BaseException) -> str:
    """Say in one line why a value cannot be loaded.

    >>> problem_of(ModuleNotFoundError("No module named 'lab'"))
    "ModuleNotFoundError: No module named 'lab'"
    """
    if isinstance(error, StoreError):
        return one_line(error.problem.rstrip("."), _TOLD)
    if isinstance(error, MementoError):
        return one_line(str(error), _TOLD)
    return one_line(f"{type(error).__name__}: {error}", _TOLD)


def writer_of(provenance: Mapping[str, Any], type_name: str) -> str:
    """Name the Python and the package that wrote a value of this type.

    >>> writer_of({"python": "3.13.1 (main)", "packages": {"pandas": "3.0.0"}}, "pandas:DataFrame")
    'Python 3.13.1, pandas 3.0.0'
    """
    python = str(provenance.get("python", "")).partition(" ")[0]
    return _versions(python, provenance.get("packages"), type_name)


def here(type_name: str) -> str:
    """Name the Python and the package that would read a value of this type here."""
    from memento.store.provenance import packages

    return _versions(sys.version.partition(" ")[0], packages(), type_name)


def _versions(python: str, packages: object, type_name: str) -> str:
    named = [f"Python {python}"] if python else []
    top = type_name.partition(":")[0].partition(".")[0]
    known = {"sklearn": "scikit-learn"}.get(top, top)
    if isinstance(packages, Mapping):
        named += [f"{known} {packages[known]}"] if known in packages else []
    return ", ".join(named)
