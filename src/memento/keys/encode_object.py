"""Encode objects of classes that nothing else knows, by what pickle would rebuild them from.

Knows: attributes, slots and the reduce protocol. May not know: pickle's bytes, which depend on memo order.
"""

from __future__ import annotations

import copyreg
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys.encode import Encoder, frame, named, node
from memento.keys.ignored_state import library_of, without_caches
from memento.keys.names import module_name, qualified_name, resolve

_PROTOCOL = 4  # fixed: reductions may differ between protocols
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def attributes(value: Any, space: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what an instance holds: its `__dict__` (or `space`) and slots, without what is merely cached."""
    cls: Any = type(value)
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__slots__" not in vars(base):
            continue
        for name, slot in vars(base).items():
            if not isinstance(slot, types.MemberDescriptorType):
                continue
            try:
                content = slot.__get__(value)
            except AttributeError:
                continue  # never assigned
            # A base's slot of the same name is another one, hidden by it.
            found[name if name not in found else f"{base.__qualname__}.{name}"] = content
    found.update(getattr(value, "__dict__", {}) if space is None else space)
    return without_caches(cls, found)


def is_plain(cls: Any) -> bool:
    """Say whether instances hold nothing but attributes: no C type below, no reduction of their own."""
    return (
        all(base is object or base.__flags__ & HEAP_TYPE for base in cls.__mro__)
        and cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
        and not any(has_own(cls, name) for name in ("__getstate__", "__getnewargs__", "__getnewargs_ex__"))
        and cls not in copyreg.dispatch_table
    )


_GENERATED = ("dataclasses", "attr._make", "attr")  # their __getstate__ only lists the fields


def has_own(cls: type, name: str) -> bool:
    """Say whether a class has a method that neither `object` nor a decorator for records gave it."""
    method = getattr(cls, name, None)
    if method is None or method is getattr(object, name, None):
        return False
    made_by = getattr(method, "__globals__", {}).get("__name__", "")
    return made_by not in _GENERATED and not str(made_by).startswith("attr")


def unkeyable(value: Any, reason: str) -> UnkeyableValue:
    """Return the error that says why a value has no certain identity."""
    return UnkeyableValue("", qualified_name(type(value)), reason)


def encode(enc: Encoder, value: Any) -> bytes:
    """Return the frame of an object by its attributes or its reduction."""
    cls = type(value)
    if cls is object:
        raise unkeyable(value, "a bare object() equals only itself, in this process")
    if isinstance(value, Iterator) and not is_plain(cls) and cls.__module__ in ("builtins", "itertools"):
        raise unkeyable(value, "an iterator is used up by reading it; pass a list")
    if is_plain(cls):
        _reduction(value)  # refuses locks and their kin, which hold what no attribute shows
        state = attributes(value)
        _check_addresses(value, state.values())
        return node("object", enc.encode(cls), enc.fields(state))
    return _encode_reduction(enc, value, _reduction(value))


def _reduction(value: Any) -> Any:
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        return reduce(value) if reduce is not None else value.__reduce_ex__(_PROTOCOL)
    except RecursionError:
        raise
    except Exception as error:
        raise unkeyable(value, f"{error}" if str(error) else type(error).__name__) from error


def tells_address(part: Any, value: Any) -> bool:
    """Say whether a part of an object's state is where in memory the object lies: that differs in every process."""
    if type(part) is str:
        return f"0x{id(value):x}" in part.lower()
    return type(part) is int and part == id(value)


def _check_addresses(value: Any, parts: Iterable[Any]) -> None:
    if any(tells_address(part, value) for part in parts):
        raise unkeyable(value, "its state holds its own address in memory, which differs in every process")


def _encode_reduction(enc: Encoder, value: Any, reduction: Any) -> bytes:
    cls = type(value)
    if isinstance(reduction, str):
        return _by_name(value, reduction)
    func, args, *rest = reduction
    state, items, pairs, setter = (*rest, None, None, None, None)[:4]
    _check_addresses(value, (*args, state))
    if state is None and _is_reduced_by_python(cls):
        state = _added(value)
    if type(state) is dict:
        _check_addresses(value, state.values())
        state = without_caches(cls, state)
    if cls.__module__ == "_io" and type(state) is tuple and state[-1:] == ({},):
        state = (*state[:-1], None)  # a file in memory has a dict as soon as somebody looks for it
    # An exception has a dict as soon as somebody looks for it.
    bare = not hasattr(cls, "__setstate__") or isinstance(value, BaseException)
    halves = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if bare and setter is None and not any(halves):
        state = None  # Python versions disagree on whether nothing is None or {}
    step = ".__reduce__()[{}]" if cls.__module__ != "builtins" else "[{}]"
    return node(
        "reduced",
        enc.encode(cls),
        enc.at("", func),
        frame(b"t", b"".join([enc.at(step.format(i), arg) for i, arg in enumerate(args)])),
        _encode_state(enc, state),
        enc.listed(items) if items is not None else b"0",
        frame(b"d", enc.pairs(pairs)) if pairs is not None else b"0",
        enc.at("", setter) if setter is not None else b"",
    )


def _is_reduced_by_python(cls: Any) -> bool:
    """Say whether Python's own code tells what a subclass's instance is made of: it knows not what that adds."""
    if (
        library_of(cls) in sys.stdlib_module_names
        or cls in copyreg.dispatch_table
        or isinstance(getattr(cls, "__getstate__", None), types.FunctionType)
    ):
        return False
    ways = ("__reduce_ex__", "__reduce__")
    home = next(base for base in cls.__mro__ if any(way in vars(base) for way in ways))
    written = any(isinstance(getattr(home, way), types.FunctionType) for way in ways)
    return not written or library_of(home) in sys.stdlib_module_names


def _added(value: Any) -> dict[str, Any]:
    """Return the attributes that classes beside the standard library's give an instance."""
    theirs = [base for base in type(value).__mro__ if library_of(base) in sys.stdlib_module_names]
    slots = {name for base in theirs for name in vars(base) if "__slots__" in vars(base)}
    return {name: part for name, part in attributes(value).items() if name not in slots}


def _by_name(value: Any, name: str) -> bytes:
    """Return the frame of what pickle knows by a name in its module."""
    module = getattr(value, "__module__", None) or type(value).__module__
    known = resolve(module, name)
    if known is not None and known is not value:
        raise unkeyable(value, f"it calls itself {name}, and {module}.{name} is another object")
    return named(f"{module_name(module)}:{name}")


def _encode_state(enc: Encoder, state: Any) -> bytes:
    if type(state) is dict and all(type(name) is str for name in state):
        return enc.fields(state)
    if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:
        first = {} if state[0] is None else state[0]  # as above
        return node("state", _encode_state(enc, first), _encode_state(enc, state[1]))
    return enc.at(".__getstate__()", state)
