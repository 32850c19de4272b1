"""Say the right line to somebody who uses `Memento` as another tool is used.

Knows: how functions look, and what people give instead of one. May not know: how anything runs.

Imported only where something is wrong, or not plain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from memento.config import ELSEWHERE, short_text
from memento.executors.choose import is_engine
from memento.matrix.matrix import Matrix

CONTEXTS = frozenset("context ctx c _context".split())
CONFIGS = frozenset(
    "config cfg conf configuration _config params parameters param args hparams options".split()
)
_HEARS = ("on_event", "task_completed", "all_tasks_completed", "task_failure")


def name_of(func: object) -> str:
    """Name a function as one would write it."""
    name = getattr(func, "__qualname__", type(func).__qualname__)
    return str(name).rpartition("<locals>.")[2]


def short_name(func: object) -> str:
    """Name a function as one would call it."""
    name = name_of(func).rpartition(".")[2]
    return name if name.isidentifier() else "func"


def no_function(given: object) -> str:
    """Say what to give instead of something that is no function."""
    if isinstance(given, type):
        return (
            f"{given.__qualname__} is a class: all that a task would do is make an instance. Give a function"
            f" func(context, config), like a method of an object: Memento({given.__name__}(...).{_method(given)})."
        )
    if isinstance(given, str) and " " in given.strip():
        return (
            f"func must be callable as func(context, config), got the text {given!r}."
            f" To run a program for each task, write Memento(memento.command({given!r}))."
        )
    if isinstance(given, str):
        return (
            f"func must be callable as func(context, config), got the text {given!r}. Give the function itself:"
            f" Memento({given.rpartition(':')[2].rpartition('.')[2] or 'func'}), without quotes."
        )
    if isinstance(given, (Mapping, Matrix, os.PathLike)):
        return (
            "func must be callable as func(context, config), got the matrix."
            " Give the function first, and the matrix to run: Memento(func).run(matrix)."
        )
    return (
        f"func must be callable as func(context, config), got {short_text(given, 40)} ({type(given).__qualname__})."
        " Give the function itself, which Memento calls for each task: Memento(func), not Memento(func(...))."
    )


def _method(kind: type) -> str:
    """Return the method of a class that looks most like an experiment."""
    for name, value in vars(kind).items():
        code = getattr(value, "__code__", None)
        if code is not None and not name.startswith("_") and code.co_argcount == 3:
            return name
    return "run"


def unbound(func: object) -> str:
    """Say how to give the method of a class."""
    owner, _, name = name_of(func).rpartition(".")
    return (
        f"{name_of(func)} is a method that lacks its object."
        f" Give the method of an object: Memento({owner or 'Owner'}(...).{name})."
    )


def where_else(func: str, name: str, names: Sequence[str]) -> str:
    """Say where a function finds what it asks for and no matrix has."""
    if name == "settings":
        return f"Write def {func}(config, ...) and read config.settings."
    place = ELSEWHERE.get(name, "").format(name)
    if place.startswith("context."):
        return f"Write def {func}(context, ...) and read {place}."
    if name in CONFIGS:
        return f"For all parameters write def {func}(config), or def {func}(**{name})."
    if name in CONTEXTS:
        return f"Write def {func}(context, ...)."
    there = ", ".join(f"{n}=..." if n == name else n for n in names)
    return (
        f"Give it values: {{'parameters': {{{name!r}: [...]}}}}, a default: def {func}({there}), or bind it:"
        f" Memento(functools.partial({func}, {name}=...))."
    )


def no_provider(func: object, given: object) -> str:
    """Say what to write where what is given as notification provider hears nothing; "" where it may."""
    name = short_name(func)
    if isinstance(given, type):
        return (
            f"notification_provider must be an object, got the class {given.__qualname__}."
            f" Write Memento({name}, {given.__name__}())."
        )
    if any(hasattr(given, method) for method in _HEARS):
        return ""
    if isinstance(given, str) and is_engine(given):
        return f"the executor is named. Write Memento({name}, executor={given!r})."
    if isinstance(given, (Mapping, Matrix, str, os.PathLike, list)):
        return f"the matrix goes to run. Write Memento({name}).run(matrix)."
    if isinstance(given, int):
        return f"notification_provider has no method on_event: {given!r}. Write Memento({name}, num_workers={given})."
    return (
        f"notification_provider has no method on_event: {short_text(given, 40)} ({type(given).__qualname__})."
        " Give an object of a subclass of memento.NotificationProvider."
    )
