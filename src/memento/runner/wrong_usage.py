"""Say the right line to somebody who uses `Memento` as another tool is used.

Knows: how functions look, and what people give instead of one. May not know: how anything runs.

Imported only where something is wrong, or not plain.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Mapping, Sequence

from memento.config import short_text
from memento.executors.choose import is_engine
from memento.matrix.matrix import Matrix

_CONTEXTS = frozenset("context ctx c _context".split())
_CONFIGS = frozenset(
    "config cfg conf configuration _config params parameters param args hparams options".split()
)
_HEARS = ("on_event", "task_completed", "all_tasks_completed", "task_failure")


def name_of(func: object) -> str:
    """Name a function as one would write it."""
    name = getattr(func, "__qualname__", type(func).__qualname__)
    return str(name).rpartition("<locals>.")[2]


def _short_name(func: object) -> str:
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


def wrong_signature(func: object, signature: inspect.Signature, problem: str) -> str:
    """Say how a function has to look that cannot be called with a context and a config."""
    name = _short_name(func)
    told = f"{name_of(func)}{signature} cannot be called as func(context, config): {problem}."
    names = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if names[:1] == ["self"]:
        owner = name_of(func).rpartition(".")[0] or "Owner"
        return f"{told} Give the method of an object: Memento({owner}(...).{name})."
    extra = names[2:] if len(names) > 2 else [n for n in names if n not in _CONTEXTS | _CONFIGS]
    if names and names[0] in _CONTEXTS and extra:
        bound = f"functools.partial({name}, {', '.join(f'{n}=...' for n in extra)})"
        return (
            f"{told} Memento gives each task these two; parameters of the matrix are config.{extra[0]} and so on, and"
            f" what is no parameter is bound before: Memento({bound})."
        )
    return f"{told} {_right_line(name, [n for n in names if n not in _CONTEXTS | _CONFIGS])}"


def takes_parameters(func: object, names: Sequence[str], known: Collection[str]) -> str:
    """Say how to read parameters that a function takes by name, given its arguments' names; "" where it takes none."""
    if not inspect.isfunction(func):  # a bound method, or an object's `__call__`
        names = names[1:]
    taken = [
        name
        for place, name in enumerate(names)
        if name in known and name not in (_CONTEXTS if place == 0 else _CONFIGS if place == 1 else ())
    ]
    if not taken:
        return ""
    name = _short_name(func)
    return (
        f"{name}({', '.join(names)}) takes parameters of the matrix by name, but Memento calls it with the context and"
        f" the config. {_right_line(name, taken)}"
    )


def _right_line(name: str, parameters: Collection[str]) -> str:
    read = f" and read {', '.join(f'config.{n}' for n in parameters)}" if parameters else ""
    return f"Write def {name}(context, config):{read}."


def is_swapped(names: list[str]) -> bool:
    """Tell whether a function takes the config before the context."""
    return names[:2] == ["config", "context"] or (
        len(names) > 1 and names[0] in ("config", "cfg", "conf") and names[1] in ("context", "ctx")
    )


def no_provider(func: object, given: object) -> str:
    """Say what to write where what is given as notification provider hears nothing; "" where it may."""
    name = _short_name(func)
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
