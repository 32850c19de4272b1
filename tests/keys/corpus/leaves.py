"""Change one leaf of a value at a time: everything that pickling it, or its own API, reaches.

Knows: how reductions rebuild a value. May not know: how keys are made.

A variant that cannot exist (its class refuses it) or that is the value again (its class makes up for it) is none.
"""

from __future__ import annotations

import copyreg
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

from tests.keys.corpus.edits import edits_of

Variants = Iterator[tuple[str, Any]]

_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodDescriptorType)
_LIBRARIES = ("numpy", "scipy", "pandas", "polars", "pyarrow", "sklearn", "torch", "xarray", "pydantic_core")
_HEAP_TYPE = 1 << 9


def variants(value: Any, path: str = "", above: tuple[int, ...] = ()) -> Variants:
    """Yield a path and a copy of the value, for each leaf, in which that one alone is another."""
    if id(value) in above:
        return
    above = (*above, id(value))
    kind = type(value)
    edit = edits_of(value)
    if edit is not None:
        for name, make in edit.items():
            try:
                yield path + name, make()
            except Exception:
                continue
    elif kind in _ATOMS:
        yield from ((path + f"<{i}>", other) for i, other in enumerate(_ATOMS[kind](value)))
    elif kind in (list, tuple):
        for i, item in enumerate(value):
            for name, other in variants(item, f"{path}[{i}]", above):
                yield name, kind((*value[:i], other, *value[i + 1 :]))
        yield path + "[+]", kind((*value, "added"))
    elif kind is dict:
        yield from _of_dict(value, path, above)
    elif kind in (set, frozenset):
        for i, item in enumerate(sorted(value, key=repr)):
            for name, other in variants(item, f"{path}{{{i}}}", above):
                yield name, kind({*value} - {item} | {other})
    elif not isinstance(value, _NAMED) and kind.__name__ not in _NAMES_ONLY:
        yield from _of_reduction(value, path, above)


def _of_dict(value: dict[Any, Any], path: str, above: tuple[int, ...]) -> Variants:
    for key, item in value.items():
        for name, other in variants(item, f"{path}[{key!r:.30}]", above):
            yield name, {**value, key: other}
        for name, other in variants(key, f"{path}.keys[{key!r:.30}]", above):
            yield name, {(other if k is key else k): v for k, v in value.items()}
    yield path + "[+]", {**value, "added": 1}


_NAMES_ONLY = {
    "TypeVar",
    "ForwardRef",
    "_SpecialForm",
    "_AnyMeta",
    "Logger",
    "ReferenceType",
    "getset_descriptor",
}

_ATOMS: dict[type, Callable[[Any], list[Any]]] = {
    bool: lambda v: [not v, int(v)],
    int: lambda v: (
        [v + 1, float(v), *([bool(v)] if v in (0, 1) else []), *([-v] if v else [])]
        if abs(v) < 2**60
        else [v + 1]
    ),
    float: lambda v: (
        [0.5]
        if not math.isfinite(v)
        else [math.nextafter(v, math.inf), -v, *([int(v)] if v == int(v) else [])]
    ),
    complex: lambda v: [complex(v.real, v.imag + 1)],
    str: lambda v: [v + "x", v[:-1] + chr(ord(v[-1]) ^ 1) if v else "y", v.encode("utf-8", "replace")],
    bytes: lambda v: [v + b"x", *([v[:-1] + bytes([v[-1] ^ 1]), bytes([v[0] ^ 1]) + v[1:]] if v else [])],
    bytearray: lambda v: [v + b"x", bytes(v)],
    type(None): lambda _: [0, "none"],
    type(...): lambda _: [None],
    type(NotImplemented): lambda _: [None],
}


# -- what pickling reaches ---------------------------------------------------------------------------------


def _of_reduction(value: Any, path: str, above: tuple[int, ...]) -> Variants:
    reduced = _reduction(value)
    if reduced is None:
        return
    func, args, state, items, pairs = reduced
    before = flat(value)

    def made(args: Any = args, state: Any = state, items: Any = items, pairs: Any = pairs) -> Any:
        try:
            other = _rebuilt(func, args, state, items, pairs)
            return other if flat(other) != before else None
        except Exception:
            return None  # there is no such value

    parts: dict[str, Any] = {"args": args, "state": state, "items": items, "pairs": pairs}
    for part, content in parts.items():
        if content is None:
            continue
        for name, other in variants(content, f"{path}.{part}", above):
            if part == "args" and not isinstance(other, tuple):
                continue
            changed = made(**{part: other})
            if changed is not None:
                yield name, changed
    if _attributes(value) is not None and state is None:
        changed = made()
        if changed is not None:
            yield path + ".attribute", changed


def _attributes(value: Any) -> Any:
    return getattr(value, "__dict__", None)


def _reduction(value: Any) -> tuple[Any, Any, Any, Any, Any] | None:
    """Return function, arguments, state, items and pairs; None for what has none, or whose parts only C may touch."""
    kind: Any = type(value)
    if (
        kind.__module__.partition(".")[0] in _LIBRARIES
        and not kind.__flags__ & _HEAP_TYPE
        and kind.__name__ not in _SAFE
    ):
        return None
    try:
        reduce = copyreg.dispatch_table.get(kind)
        reduced = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception:
        return None
    if isinstance(reduced, str):
        return None
    func, args, state, items, pairs = (*reduced, None, None, None)[:5]
    return (
        func,
        args,
        state,
        list(items) if items is not None else None,
        dict(pairs) if pairs is not None else None,
    )


_SAFE = {"Tree", "LossFunction"}


def _rebuilt(func: Any, args: Any, state: Any, items: Any, pairs: Any) -> Any:
    made = func(*args)
    if state is not None:
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            state, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
            made.__dict__.update(state or {}) if state else None
            for name, part in (slots or {}).items():
                object.__setattr__(made, name, part)
    for item in items or ():
        made.append(item) if hasattr(made, "append") else made.add(item)
    for key, item in (pairs or {}).items():
        made[key] = item
    return made


def flat(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return what a value is made of as plain text, to see whether a change has come to anything."""
    if id(value) in above:
        return "^"
    above = (*above, id(value))
    kind = type(value)
    if kind in _ATOMS:
        return kind.__name__, repr(value)
    if kind in (list, tuple):
        return kind.__name__, [flat(item, above) for item in value]
    if kind in (set, frozenset):
        return kind.__name__, sorted(repr(flat(item, above)) for item in value)
    if kind is dict:
        return "dict", sorted(repr((flat(k, above), flat(v, above))) for k, v in value.items())
    if isinstance(value, _NAMED) or kind.__name__ in _NAMES_ONLY:
        return "named", getattr(value, "__qualname__", repr(value)), id(value)
    told = _TOLD.get(kind.__module__.partition(".")[0])
    if told is not None and edits_of(value) is not None:
        return kind.__qualname__, told(value)
    reduced = _reduction(value)
    if reduced is None:
        return kind.__qualname__, repr(value)
    return kind.__qualname__, [flat(part, above) for part in reduced[1:]]


def _as_text(value: Any) -> str:
    return (
        repr(value.tolist()) + str(getattr(value, "dtype", "")) if hasattr(value, "tolist") else repr(value)
    )


_TOLD: dict[str, Callable[[Any], Any]] = {
    "numpy": _as_text,
    "torch": repr,
    "pandas": repr,
    "polars": repr,
    "pyarrow": repr,
}
