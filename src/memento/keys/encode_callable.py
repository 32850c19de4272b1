"""Encode classes, functions, methods, partials and modules.

Knows: names and source. May not know: libraries.

What an installed package has counts by its name, and so do the project's classes that can be imported. The project's
functions, lambdas and closures count by name, code, defaults, attributes and what they capture: their cells, and what
cannot change among the globals that their code names.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Iterable
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys.ast_normal_form import Found, code_form, normal_form
from memento.keys.class_body import body
from memento.keys.encode import LEAVES, Encoder, frame, named, node, plain_number, text
from memento.keys.encode_object import HEAP_TYPE
from memento.keys.find_source import filled_cells, find_class, find_function
from memento.keys.global_names import OF_MODULES, reads_of
from memento.keys.ignored_state import OF_WRAPPERS, encode_ignored
from memento.keys.names import is_project_module, module_name, qualified_name, resolve, without_place
from memento.keys.project_files import is_installed_file

_UNIONS = (typing.Union, types.UnionType)
_NONE = type(None)


def encode(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of a class, function or what wraps one; None for other values."""
    if typing.get_origin(value) is not None or value is typing.Any:
        return _encode_generic(enc, value)
    if isinstance(value, type):
        return _encode_class(enc, value)
    if isinstance(value, types.FunctionType):
        return _encode_function(enc, value)
    if isinstance(value, types.MethodType):
        return node("method", enc.at(".__func__", value.__func__), enc.at(".__self__", value.__self__))
    if isinstance(value, functools.partial):
        arguments = enc.at(".args", value.args) + enc.at(".keywords", value.keywords) + _noted(enc, value)
        return node("partial", enc.encode(type(value)), enc.at(".func", value.func), arguments)
    if isinstance(value, types.ModuleType):
        return node("module", text(module_name(value.__name__)))
    if isinstance(value, (staticmethod, classmethod)):
        return node(type(value).__name__, enc.at(".__func__", value.__func__))
    if isinstance(value, property):
        return node("property", *[enc.at(f".{a}", getattr(value, a)) for a in ("fget", "fset", "fdel")])
    if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, (types.ModuleType, _NONE)):
        return named(qualified_name(value))
    if isinstance(value, functools.cached_property):
        return node("cached_property", enc.encode(type(value)), enc.at(".func", value.func))
    if type(value).__module__ == "functools" and type(value).__name__ == "_lru_cache_wrapper":
        return node("lru_cache", enc.at(".__wrapped__", value.__wrapped__), _noted(enc, value))
    return None


def _encode_generic(enc: Encoder, value: Any) -> bytes:
    origin, args = typing.get_origin(value), typing.get_args(value)
    if origin is None:
        return node("typing", text("Any"))
    if origin in _UNIONS:
        return node("union", enc.unordered(args))
    if origin is typing.Annotated:  # a class in some versions of Python, not in others
        return node("annotated", enc.sequence(args))
    # `typing.List[int]` is another than `list[int]`.
    own_name = getattr(value, "_name", None) if type(value).__module__ == "typing" else None
    return node("generic", enc.encode(own_name), enc.encode(origin), enc.sequence(args))


def _encode_class(enc: Encoder, cls: type) -> bytes:
    name = qualified_name(cls)
    by_name = frame(b"C", name.encode("utf-8", "surrogatepass"))
    if "<locals>" in cls.__qualname__ and is_project_module(cls.__module__):
        return encode_content(enc, cls, name)
    named_so = resolve(cls.__module__, cls.__qualname__) if cls.__flags__ & HEAP_TYPE else cls
    if named_so is cls:
        return by_name
    # Made by `type()`, by another factory, or in a loop: its name says too little.
    encoded = encode_content(enc, cls, name)
    if isinstance(named_so, type) and encode_content(enc, named_so, name) == encoded:
        return by_name  # its module was loaded again
    return encoded


def encode_content(enc: Encoder, cls: type, name: str) -> bytes:
    """Return the frame of a class by all that its body holds."""
    # `Table[int]` where it is written so.
    written: Iterable[Any] = vars(cls).get("__orig_bases__", cls.__bases__)
    bases = enc.sequence(base for base in written if base is not object)
    held = body(cls)
    if type(cls) not in (type, enum.EnumMeta):
        held["metaclass"] = type(cls)
    return node("class", text(name), frame(b"t", bases), _held(enc, cls, held))


def _held(enc: Encoder, cls: type, held: dict[str, Any]) -> bytes:
    """Return the frame of what a class holds; a socket and its kin count by the source that makes them."""
    frames = []
    for name, value in held.items():
        try:
            frames.append(text(name) + enc.at(f".{name}", value))
        except UnkeyableValue:
            if (found := find_class(cls)) is None:
                raise
            made = text(normal_form(found.tree)) + text(qualified_name(type(value)))
            frames.append(text(name) + node("made by its class", made))
    return frame(b"a", b"".join(sorted(frames)))


def _noted(enc: Encoder, value: Any) -> bytes:
    """Return the frame of attributes that were set on a function or a partial; nothing where there are none."""
    return enc.extra({name: part for name, part in vars(value).items() if name not in _OF_WRAPPERS})


_OF_WRAPPERS = OF_WRAPPERS | {"__wrapped__", "cache_parameters"}


def counts_by_name(func: types.FunctionType) -> bool:
    """Say whether a function is a library's, known to all by its name; the project's own count by code."""
    home = func.__globals__.get("__name__")
    own = is_project_module(func.__module__) or (isinstance(home, str) and is_project_module(home))
    if own or "<" in func.__qualname__:
        return False
    found = resolve(func.__module__, func.__qualname__)
    return found is func or (not func.__closure__ and is_installed_file(func.__code__.co_filename))


def _encode_function(enc: Encoder, func: types.FunctionType) -> bytes:
    """Return the frame of a function by its own code, and that of the project's functions which it reaches by name.

    These stand in one list, in whatever order and however often they call each other.
    """
    if counts_by_name(func):
        return named(qualified_name(func))
    if _is_of_singledispatch(func.__code__) and hasattr(func, "registry"):
        implementations = frame(b"d", enc.pairs(func.registry.items()))
        return node("singledispatch", text(qualified_name(func)), implementations)
    own, todo = _described(enc, func)
    reached: list[bytes] = []
    seen = {id(func)}
    while todo:
        other = todo.pop()
        if id(other) in seen:
            continue
        seen.add(id(other))
        if not enc.refers_back(other):
            described, more = enc.within(other, _described, enc, other)
            reached.append(described)
            todo += more
    return node("function", own, *sorted(reached))


def captured(enc: Encoder, func: types.FunctionType, step: str) -> list[bytes]:
    """Return the frames of the variables that a function has captured; `step` names one in an error."""
    held = filled_cells(func)
    return [
        text(name) + (enc.at(step.format(name), held[name]) if name in held else node("empty cell"))
        for name in func.__code__.co_freevars
    ]


def _described(enc: Encoder, func: types.FunctionType) -> tuple[bytes, list[types.FunctionType]]:
    """Return the frame of one function, and the project's functions among the globals that it names."""
    name = qualified_name(func)
    found = find_function(func)
    code = normal_form(found.tree) if found is not None else code_form(func.__code__)
    defaults = enc.at(".__defaults__", func.__defaults__) + enc.at(".__kwdefaults__", func.__kwdefaults__)
    frames, others = captured(enc, func, ".<captured {}>"), []
    for variable, value in _globals(func, found):
        if isinstance(value, types.FunctionType) and not counts_by_name(value):
            frames.append(text(variable) + node("reached", text(qualified_name(value))))
            others.append(value)
        elif _is_fixed(value):
            frames.append(text(variable) + enc.at(f".<global {variable}>", value))
    described = text(name) + text(code) + defaults + frame(b"a", b"".join(frames)) + _noted(enc, func)
    return frame(b"a", described), others


def _globals(func: types.FunctionType, found: Found | None) -> list[tuple[str, Any]]:
    space = func.__globals__
    names = {chain[0] for chain in reads_of(func, found).names} - set(func.__code__.co_freevars) - OF_MODULES
    return [(name, without_place(space[name], func.__module__)) for name in sorted(names) if name in space]


def _is_of_singledispatch(code: types.CodeType) -> bool:
    return code.co_filename == functools.singledispatch.__code__.co_filename and code.co_name == "wrapper"


# -- globals -----------------------------------------------------------------------------------------------

_FIXED_HOMES = frozenset({"datetime", "decimal", "fractions", "uuid", "pathlib", "re", "zoneinfo"})


def _is_fixed(value: Any) -> bool:
    """Say whether a global that a function names is part of the function as a value.

    What can change in place is not: a dict that serves as a cache would give the function a new key with every call. It
    is part of the version of the code, which is taken when a run starts.
    """
    value = plain_number(value)
    cls = type(value)
    if cls in (tuple, frozenset):
        return all(map(_is_fixed, value))
    if isinstance(value, (types.BuiltinFunctionType, types.MethodType)):
        owner = value.__self__
        return isinstance(owner, (_NONE, type, types.ModuleType)) or encode_ignored(owner) is not None
    if isinstance(value, functools.partial):
        return all(map(_is_fixed, (value.func, *value.args, *value.keywords.values())))
    if isinstance(value, (type, types.FunctionType, types.ModuleType, enum.Enum, range)):
        return True
    if getattr(value, "__wrapped__", None) is not None and cls.__module__ == "functools":
        return True
    return (cls in LEAVES and cls is not bytearray) or str(cls.__module__).partition(".")[0] in _FIXED_HOMES
