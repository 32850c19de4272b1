"""Name experiments: by their file's place in the project, their qualified name, and what they were made with.

Knows: names, digests. May not know: tasks, and code beyond what digests read.

Two partials of one function, two instances of one callable class, two closures of one factory and two experiments
behind one decorator have the same qualified name and compute different things: one must never be served the other's
results. What such a function was made with counts like a parameter's value. The code of a function that has a file is
no part of this, nor that of functions which it captured: an edited experiment keeps its results, and that is told.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from typing import Any

from memento.keys.names import qualified_name
from memento.keys.places import INTERACTIVE, NOTEBOOK, count_as_project, real, script
from memento.wording import short_name

_NO_FILE = (f"{NOTEBOOK}:", f"{INTERACTIVE}:")


def experiment_name(func: Any, home: str | None = None) -> str:
    """Return the default name of an experiment.

    Parameters
    ----------
    func : callable
        Function, method, partial or callable object.
    home : str, optional
        Folder of the store, where that was found above the script: it may hold several projects, and then paths begin
        there.

    Returns
    -------
    str
        ``path/in/project.py:qualname``, or ``module:qualname`` for a function of an installed package. Where the
        function was made with something (a partial's arguments, an object's state, captured variables, defaults that
        are no literals, attributes), and where it has no file, ``#`` and the digest of that stand behind it.

    Raises
    ------
    UnkeyableValue
        What it was made with has no certain identity; ``Memento(..., name=...)`` names it by hand.

    Examples
    --------
    >>> import json, functools
    >>> from memento.wording import short_name
    >>> experiment_name(json.dumps)
    'json:dumps'
    >>> short_name(experiment_name(functools.partial(json.dumps, indent=2)))
    'json:dumps#352a9652'
    """
    while isinstance(func, functools.partial) and not (func.args or func.keywords or vars(func)):
        func = func.func
    name = _base_name(func)
    above = _projects_above(name, home) if home else ""
    if isinstance(func, types.FunctionType) and _is_told_by_its_name(func):
        return above + name
    from memento.keys.made_with import digits

    made = digits(func, name)
    return f"{above}{name}#{made}" if made else above + name


def _is_told_by_its_name(func: types.FunctionType) -> bool:
    """Say at a glance that a function was made with nothing, as most experiments are."""
    made = func.__defaults__ or func.__kwdefaults__ or vars(func)
    return not made and stands_under_its_name(func) and not has_no_file(func)


def _projects_above(name: str, home: str) -> str:
    """Return the way from a folder down to the project that a name's path begins in, if it lies there."""
    root, home = script().roots[0], real(home)
    if not root.startswith(os.path.join(home, "")) or not os.path.exists(
        os.path.join(root, name.partition(":")[0])
    ):
        return ""
    return os.path.relpath(root, home).replace(os.sep, "/") + "/"


def is_named_by_code(name: str) -> bool:
    """Say whether an edit gives the experiment another name, since there is no file to name it by."""
    return name.startswith(_NO_FILE) and short_name(name) != name


def _base_name(func: Any) -> str:
    while isinstance(func, functools.partial):
        func = func.func
    code = getattr(getattr(func, "__func__", func), "__code__", None)
    if code is None:  # an object that can be called: its class has a file
        code = getattr(getattr(type(func), "__call__", None), "__code__", None)  # noqa: B004 - its code is wanted
    if code is not None:
        count_as_project(code.co_filename)
    owner = getattr(func, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType) and hasattr(func, "__name__"):
        return f"{qualified_name(owner if isinstance(owner, type) else type(owner))}.{func.__name__}"
    return qualified_name(func)


def has_no_file(obj: Any) -> bool:
    """Say whether a function or class comes from a prompt, a text, or a notebook whose file is not known."""
    return qualified_name(obj).startswith(_NO_FILE)


def stands_under_its_name(obj: Any) -> bool:
    """Say whether a name that could be imported stands for this very object."""
    space: Any = getattr(sys.modules.get(getattr(obj, "__module__", None) or ""), "__dict__", {})
    if isinstance(obj, types.FunctionType) and obj.__globals__.get("__name__") == obj.__module__:
        space = obj.__globals__  # a profiler's `__main__` is its own
    found: Any = None
    for part in getattr(obj, "__qualname__", "<>").split("."):
        found = space.get(part)
        space = getattr(found, "__dict__", {})
    if isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    return found is obj
