"""List what a value holds, to find the code among it.

Knows: containers, wrappers, attributes of instances. May not know: what counts, what is the project's.

None of the value's own code runs: containers are read as the built-in class below them, attributes where they lie.
"""

from __future__ import annotations

import functools
import sys
import types
from _weakref import ReferenceType
from collections.abc import Iterator
from typing import Any

from memento.keys.encode import LEAVES
from memento.keys.hidden import OF_WRAPPERS

# Libraries whose values hold no code, or nothing that is read here; of NumPy's, arrays of objects do.
_WITHOUT_CODE = frozenset({"numpy", "pandas", "polars", "pyarrow", "xarray"})
_OF_PYTHON_WITH_CODE = frozenset({
    "builtins", "collections", "types", "functools", "argparse", "contextlib", "operator", "unittest", "enum", "typing",
})  # fmt: skip


def parts_of(value: Any) -> Iterator[Any]:
    """Yield what a value holds directly, less what holds no code; classes of instances are not among it."""
    if isinstance(value, dict):
        yield from _kinds(dict.keys(value))
        yield from _kinds(dict.values(value))
    kind: Any
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            yield from _kinds(kind.__iter__(value))
    if isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, types.BuiltinMethodType):
        if not isinstance(value.__self__, (types.ModuleType, type(None))):
            yield value.__self__  # `get = REGISTRY.get`
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, types.MappingProxyType):
        yield from _kinds(list(value.values()))
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif isinstance(value, ReferenceType):
        yield value()
    elif isinstance(value, types.GenericAlias):
        yield from value.__args__  # before Python 3.11 it passes for a class
    elif isinstance(value, property):
        yield from (f for f in (value.fget, value.fset, value.fdel) if f is not None)
    yield from _kinds(_others(value))


def _others(value: Any) -> Iterator[Any]:
    cls: Any = type(value)
    collections, numpy = sys.modules.get("collections"), sys.modules.get("numpy")
    if collections is not None:
        if isinstance(value, collections.deque):
            yield from collections.deque.__iter__(value)
        elif isinstance(value, collections.defaultdict):
            yield value.default_factory
    if numpy is not None:
        yield from _of_numpy(value, numpy)
    if not holds_no_code(cls):
        yield from attributes_of(value).values()


def _of_numpy(value: Any, numpy: Any) -> Iterator[Any]:
    if isinstance(value, numpy.ndarray) and value.dtype.hasobject:
        yield from numpy.asarray(value, dtype=object).ravel().tolist()
    elif isinstance(value, numpy.vectorize):
        yield value.pyfunc
    elif isinstance(value, numpy.ufunc) and value.__name__.endswith(" (vectorized)"):
        import gc  # alone sees the function of `np.frompyfunc`

        yield from filter(callable, gc.get_referents(value))


def weak_parts_of(value: Any) -> list[Any]:
    """Return what is still there of what a weak container holds: classes and functions register themselves in such."""
    weakref = sys.modules.get("weakref")
    if weakref is None:
        return []
    for kind in (weakref.WeakKeyDictionary, weakref.WeakValueDictionary):
        if isinstance(value, kind):
            return [*kind.keys(value), *kind.values(value)]
    return list(weakref.WeakSet.__iter__(value)) if isinstance(value, weakref.WeakSet) else []


def _kinds(values: Any) -> Iterator[Any]:
    """Yield values less the plain ones: of a million numbers there is nothing to see."""
    yield from (value for value in values if type(value) not in LEAVES)


@functools.lru_cache(maxsize=4096)
def holds_no_code(cls: Any) -> bool:
    """Say whether the attributes of a class's instances are none of ours: a library's numbers, Python's machinery."""
    root = cls.__module__.partition(".")[0]
    return root in _WITHOUT_CODE or (root in sys.stdlib_module_names and root not in _OF_PYTHON_WITH_CODE)


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what stands in an instance's `__dict__` and slots."""
    if isinstance(value, (type, types.FunctionType, types.ModuleType)):
        return {}
    found: dict[str, Any] = {}
    cls = type(value)
    for base in cls.__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, types.MemberDescriptorType) and base.__module__ != "builtins":
                try:
                    found[name] = slot.__get__(value, cls)
                except AttributeError:
                    continue  # never assigned
    try:
        space = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return found
    if isinstance(space, dict):
        found.update(space)
    return {
        name: part
        for name, part in found.items()
        if not isinstance(vars(cls).get(name), functools.cached_property)  # reading one is no change
        and not ("__wrapped__" in found and name in OF_WRAPPERS)
    }
