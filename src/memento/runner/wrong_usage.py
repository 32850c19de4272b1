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
_MATRIX_FILES = (".yaml", ".yml", ".toml", ".json")
_RUNS = frozenset(
    "fit execute start submit map launch compute evaluate search go main call do train apply optimize".split()
)
GIVE = "Give it values"  # begins the remedy where the matrix lacks a name
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
            f"func must be a function, got the text {given!r}."
            f" To run a program for each task, write Memento(memento.command({given!r}))."
        )
    if isinstance(given, (str, os.PathLike)):
        return f"func must be a function, got the text {str(given)!r}. {_named_by(str(given))}"
    if hasattr(given, "run_all"):
        return (
            "func must be a function, got a Memento. Write run(matrix) on that, or give the function itself."
        )
    if isinstance(given, (Mapping, Matrix)):
        return (
            "func must be a function, got the matrix."
            " Give the function first, and the matrix to run: Memento(func).run(matrix)."
        )
    return (
        f"func must be a function, got {short_text(given, 40)} ({type(given).__qualname__})."
        " Give the function itself, which Memento calls for each task: Memento(func), not Memento(func(...))."
    )


def _named_by(text: str) -> str:
    """Say how to give the function that a text means."""
    place, colon, name = text.rpartition(":")
    file = os.path.basename(place if colon else text)
    stem, ending = os.path.splitext(file)
    if ending in _MATRIX_FILES:
        return f"That is a matrix: Memento(func).run({text!r})."
    if ending == ".py" or colon:
        func, place = (name, place) if colon else ("func", text)
        module = stem if ending == ".py" else place
        return (
            f"Give the function itself: `from {module} import {func}`, then Memento({func}); or on the command line"
            f" `memento run {place}:{func} matrix.yaml`."
        )
    return f"Give the function itself: Memento({text.rpartition('.')[2] or 'func'}), without quotes."


def called(func: object, args: Sequence[object]) -> str:
    """Say what to write where a Memento was called like the function."""
    given = "matrix" if not args or isinstance(args[0], (Mapping, Matrix)) else short_text(args[0], 40)
    return f"a Memento is not called. Write Memento({short_name(func)}).run({given})."


def no_attribute(func: object, name: str, known: Sequence[str]) -> str:
    """Say what to write instead of an attribute that a Memento does not have."""
    told = f"Memento has no attribute {name!r}"
    if name.startswith("_"):
        return told
    from memento.results.results import Results
    from memento.suggest import nearest

    run = f"Memento({short_name(func)}).run(matrix)"
    if name in dir(Results):
        return (
            f"{told}; results have it. Write {run}.{name}{'()' if callable(getattr(Results, name)) else ''}."
        )
    near = nearest(name, [one for one in known if not one.startswith("_")])
    if name.casefold() in _RUNS:
        return f"{told}. Write {run}."
    return f"{told}. Did you mean {near[0]}?" if near else f"{told}. To run it write {run}."


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
        f"{GIVE}: {{'parameters': {{{name!r}: [...]}}}}, a default: def {func}({there}), or bind it:"
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
