"""Say why a user's file could not be imported, by the user's own frames.

Knows: tracebacks. May not know: what the file is for.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import StackSummary, TracebackException

from memento.errors import MementoError
from memento.runner.asked_for import RunOfItsOwn
from memento.worker.user_lines import is_ours

_IMPORTLIB = ("<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)


class FailedImport(MementoError):
    """A user's file raises while it is imported; exits with 1."""


@contextmanager
def told_by_users_frames(place: str) -> Iterator[None]:
    """Turn whatever an import raises into a message with that part of the traceback which is the user's."""
    try:
        yield
    except RunOfItsOwn:  # that is told by who imports
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
            raise  # a signal's
        raise FailedImport(f"{place} could not be imported:\n{_users_part(error)}") from error


def _users_part(error: BaseException) -> str:
    try:
        told = TracebackException.from_exception(error, compact=True)
        _drop(told, set())
        return "".join(told.format()).rstrip()
    except Exception as exc:  # a broken __str__ must not hide what failed
        return f"{type(error).__name__}: <its traceback cannot be shown: {type(exc).__name__}>"


def _drop(told: TracebackException, seen: set[int]) -> None:
    """Leave out the frames of Memento and of the import itself, in the whole chain of causes."""
    seen.add(id(told))
    told.stack = StackSummary.from_list(
        [one for one in told.stack if not (is_ours(one.filename) or one.filename.startswith(_IMPORTLIB))]
    )
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None and id(other) not in seen:
            _drop(other, seen)
