"""Name experiments: by module and qualified name, and by what they were made with.

Knows: names, digests. May not know: tasks, source code beyond what digests read.

Two partials of one function, two instances of one callable class, two closures of one factory and two lambdas of one
module have the same qualified name and compute different things: one must never be served the other's results.
"""

from __future__ import annotations

import functools
import types

from memento.errors import UnkeyableValue
from memento.hints import Any
from memento.keys.kinds import digest
from memento.keys.names import qualified_name

_DIGITS = 8  # of the digest, in a name that people read


def experiment_name(func: Any) -> str:
    """Return the default name of an experiment.

    Parameters
    ----------
    func : callable
        Function, method, partial or callable object.

    Returns
    -------
    str
        ``module:qualname`` with the script's own name in place of ``__main__``; behind it, for a partial its bound
        arguments, for a bound method or a callable object its state, for a closure the data that it captured and for a
        lambda its code, as ``#`` and a few digits of their digest.

    Raises
    ------
    UnkeyableValue
        What it was made with has no certain identity; ``Memento(..., name=...)`` names it by hand.

    Examples
    --------
    >>> import json, functools
    >>> experiment_name(json.dumps)
    'json:dumps'
    >>> experiment_name(functools.partial(json.dumps, indent=2))
    'json:dumps#5b7eaeca'
    """
    made_with: list[Any] = []
    while isinstance(func, functools.partial):
        if func.args or func.keywords:
            made_with.append((func.args, dict(func.keywords)))
        func = func.func
    name, state = _name_and_state(func)
    made_with += state
    if not made_with:
        return name
    try:
        return f"{name}#{digest(made_with, name).hex()[:_DIGITS]}"
    except UnkeyableValue as error:
        reason = f"{error.reason}; it is part of {name}: an experiment can be named by hand, Memento(..., name=...)"
        raise UnkeyableValue(error.where, error.kind, reason) from None


def _name_and_state(func: Any) -> tuple[str, list[Any]]:
    """Return the qualified name of a callable, and the data that tells it from others of that name."""
    owner = getattr(func, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType) and hasattr(func, "__name__"):
        if isinstance(owner, type):
            return f"{qualified_name(owner)}.{func.__name__}", []
        return f"{qualified_name(type(owner))}.{func.__name__}", _state(owner)
    if isinstance(func, types.FunctionType):
        if func.__name__ == "<lambda>":
            return qualified_name(func), [func]
        return qualified_name(func), _captured(func)
    if isinstance(func, type) or hasattr(func, "__qualname__"):
        return qualified_name(func), []
    return qualified_name(func), _state(func)


def _state(owner: Any) -> list[Any]:
    """An object's state, where it has any."""
    has_slots = any(getattr(cls, "__slots__", ()) for cls in type(owner).__mro__)
    return [owner] if has_slots or getattr(owner, "__dict__", None) else []


def _captured(func: types.FunctionType) -> list[Any]:
    """The plain data that a closure captured; functions and live objects count as code and are watched as such."""
    found = []
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
            if not callable(value) and not isinstance(value, types.ModuleType):
                found.append((name, digest(value)))
        except (ValueError, UnkeyableValue):  # not filled yet, or a lock, a file, ...
            continue
    return found
