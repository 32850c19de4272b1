"""Say which part of a value cannot be pickled, and what to do.

Knows: containers, attributes, what functions use. May not know: files, tasks.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

from memento.values.store_serializer import dumps_value


def explain(value: Any, error: BaseException, what: str = "the result") -> str:
    """Say which part of a value cannot be pickled, and what to do."""
    if isinstance(error, RecursionError):  # at no part in particular
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        return (
            f"{what} cannot be saved: it is a {kind} that is nested too deeply to be pickled ({error})."
            " Return it flatter, or give its class a __reduce__ or __getstate__ that makes a list of its parts."
        )
    path, part, cause = culprit(value, what, error)
    kind = f"{type(part).__module__}.{type(part).__qualname__}".removeprefix("builtins.")
    return (
        f"{path} cannot be saved: it is a {kind}, which cannot be pickled ({type(cause).__name__}: {cause})."
        " Return plain data instead, or give its class a __reduce__ or __getstate__ that leaves such parts out."
    )


def culprit(
    value: Any, path: str, error: BaseException, dumps: Callable[[Any], object] = dumps_value
) -> tuple[str, Any, BaseException]:
    """Follow the failing part down into containers, attributes and what functions use."""
    seen: set[int] = set()
    for _ in range(30):  # deeper than anybody wants to read
        seen.add(id(value))
        for step, child in _children(value):
            if id(child) in seen:
                continue
            try:
                dumps(child)
            except Exception as exc:
                path, value, error = path + step, child, exc
                break
        else:
            break
    return path, value, error


def _names(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _names(part)


def _children(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", child) for key, child in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", child) for i, child in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [(" (an element of it)", child) for child in value]
    if isinstance(value, types.FunctionType):
        cells = value.__closure__ or ()
        captured = [
            (f" (captured {name!r})", c.cell_contents)
            for name, c in zip(value.__code__.co_freevars, cells, strict=True)
        ]
        space = value.__globals__
        used = dict.fromkeys(name for name in _names(value.__code__) if name in space)
        return captured + [(f" (global {name!r})", space[name]) for name in used]
    attributes = getattr(value, "__dict__", None)
    return [(f".{name}", child) for name, child in attributes.items()] if isinstance(attributes, dict) else []
