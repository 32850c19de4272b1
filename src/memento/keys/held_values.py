"""List what a value holds, to find the code among it, and tell what of code is the user's own.

Knows: containers, wrappers, attributes, live classes and functions, and where their files lie. May not know: what
counts, how it is followed.

None of a value's own code runs: containers are read as the built-in class below them, attributes where they lie.
"""

from __future__ import annotations

import functools
import sys
import types
from _weakref import ReferenceType
from collections.abc import Iterator
from typing import Any

from memento.keys.class_body import methods, unwrapped
from memento.keys.encode import LEAVES
from memento.keys.encode_object import attributes
from memento.keys.names import is_project_function, is_project_module

# Libraries whose values hold no code, or nothing that is read here; of NumPy's, arrays of objects do.
_WITHOUT_CODE = frozenset({"numpy", "pandas", "polars", "pyarrow", "xarray"})
_OF_PYTHON_WITH_CODE = frozenset({
    "builtins", "collections", "types", "functools", "argparse", "contextlib", "operator", "unittest", "enum", "typing",
})  # fmt: skip


def parts_of(value: Any) -> Iterator[Any]:
    """Yield what a value holds directly, less what holds no code; classes of instances are not among it."""
    # Of a million numbers there is nothing to see.
    return (part for part in _parts(value) if type(part) not in LEAVES)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from dict.keys(value)
        yield from dict.values(value)
    kind: Any
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            yield from kind.__iter__(value)
    if isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, types.BuiltinMethodType):
        if not isinstance(value.__self__, types.ModuleType):
            yield value.__self__  # `get = REGISTRY.get`
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, types.MappingProxyType):
        yield from value.values()
    elif isinstance(value, ReferenceType):
        yield value()
    elif isinstance(value, types.GenericAlias):
        yield from value.__args__  # before Python 3.11 it passes for a class
    elif isinstance(value, (property, staticmethod, classmethod)):
        yield from unwrapped(value)
    yield from _in_weak_container(value)
    collections, numpy = sys.modules.get("collections"), sys.modules.get("numpy")
    if collections is not None:
        if isinstance(value, collections.deque):
            yield from collections.deque.__iter__(value)
        elif isinstance(value, collections.defaultdict):
            yield value.default_factory
    if numpy is not None:
        yield from _of_numpy(value, numpy)
    cls: Any = type(value)
    if not _holds_no_code(cls):
        yield from attributes_of(value).values()


def _in_weak_container(value: Any) -> list[Any]:
    """Return what is still there of what a weak container holds: classes and functions register themselves in such."""
    weakref = sys.modules.get("weakref")
    for kind in (weakref.WeakKeyDictionary, weakref.WeakValueDictionary) if weakref is not None else ():
        if isinstance(value, kind):
            return [*kind.keys(value), *kind.values(value)]
    is_set = weakref is not None and isinstance(value, weakref.WeakSet)
    return list(value) if is_set else []


def _of_numpy(value: Any, numpy: Any) -> Iterator[Any]:
    if isinstance(value, numpy.ndarray) and value.dtype.hasobject:
        yield from numpy.asarray(value, dtype=object).ravel().tolist()
    elif isinstance(value, numpy.vectorize):
        yield value.pyfunc
    elif isinstance(value, numpy.ufunc) and value.__name__.endswith(" (vectorized)"):
        import gc  # alone sees the function of `np.frompyfunc`

        yield from filter(callable, gc.get_referents(value))


@functools.lru_cache(maxsize=4096)
def _holds_no_code(cls: Any) -> bool:
    """Say whether the attributes of a class's instances are none of ours: a library's numbers, Python's machinery."""
    root = cls.__module__.partition(".")[0]
    return root in _WITHOUT_CODE or (root in sys.stdlib_module_names and root not in _OF_PYTHON_WITH_CODE)


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what stands in an instance's `__dict__` and slots."""
    if isinstance(value, (type, types.FunctionType, types.ModuleType)):
        return {}
    try:
        space = object.__getattribute__(value, "__dict__")
    except AttributeError:
        space = {}
    return attributes(value, space if isinstance(space, dict) else {})


# -- the user's own code ---------------------------------------------------------------------------------


def is_class(item: Any) -> bool:
    """Say whether a value is a class itself, which `list[int]` is not."""
    return isinstance(item, type) and not isinstance(item, types.GenericAlias)


def is_project_class(cls: type) -> bool:
    """Say whether a class is the user's own."""
    return is_project_module(cls.__module__) or is_loaded_by_hand(cls)


def is_loaded_by_hand(cls: type) -> bool:
    """Say whether a class stems from a file of the project that no import loaded, and no module stands for."""
    known = isinstance(sys.modules.get(cls.__module__), types.ModuleType)
    return not known and any(map(is_project_function, methods(cls)))


def put_into(cls: type) -> list[types.FunctionType]:
    """Return the project's functions that were put into a library's class as methods."""
    return [
        part
        for base in cls.__mro__
        for part in vars(base).values()
        if type(part) is types.FunctionType
        and part.__module__ != base.__module__
        and is_project_function(part)
    ]


def may_lead_to_project(value: Any) -> bool:
    """Say whether what a library has under a name may lead to the project: a registry, what was put in its place."""
    if isinstance(value, types.FunctionType):
        return is_project_function(value)
    if is_class(value):
        return bool(put_into(value))
    return not isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType))
