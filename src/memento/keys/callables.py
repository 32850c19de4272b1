"""Encode classes, functions, methods, partials and modules.

Knows: names and source. May not know: libraries.

What can be imported from an installed package counts by its name, as do the classes of the project. Functions of the
project, lambdas and closures count by name, code, defaults and what they capture: their cells and the globals that
their code names.
"""

from __future__ import annotations

import functools
import re
import types
import typing

from memento.errors import UnkeyableValue
from memento.hints import Any
from memento.keys import source
from memento.keys.classes import content
from memento.keys.encode import Encoder, frame, named, node, text
from memento.keys.names import (
    file_of_module,
    is_project_module,
    module_name,
    qualified_name,
    resolve,
)
from memento.keys.objects import HEAP_TYPE
from memento.keys.places import is_installed_file

_COMPREHENSION = re.compile(r"<(list|set|dict)comp>\.(<locals>\.)?")
_UNIONS = (typing.Union, types.UnionType)


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
        arguments = enc.at(".args", value.args) + enc.at(".keywords", value.keywords)
        arguments += _noted(enc, value)
        return node("partial", enc.encode(type(value)), enc.at(".func", value.func), arguments)
    if isinstance(value, types.ModuleType):
        return node("module", text(module_name(value.__name__)))
    if isinstance(value, (staticmethod, classmethod)):
        return node(type(value).__name__, enc.at(".__func__", value.__func__))
    if isinstance(value, property):
        return node("property", *[enc.at(f".{a}", getattr(value, a)) for a in ("fget", "fset", "fdel")])
    if isinstance(value, types.BuiltinFunctionType) and isinstance(
        value.__self__, (types.ModuleType, type(None))
    ):
        return named(qualified_name(value))
    wrapped = getattr(value, "__wrapped__", None) if type(value).__module__ == "functools" else None
    if isinstance(wrapped, types.FunctionType):  # functools.lru_cache
        return node("wrapped", text(qualified_name(type(value))), enc.at(".__wrapped__", wrapped))
    return None


def _encode_generic(enc: Encoder, value: Any) -> bytes:
    origin, args = typing.get_origin(value), typing.get_args(value)
    if origin is None:
        return node("typing", text("Any"))
    if origin in _UNIONS:
        return node("union", enc.unordered(args))
    return node("generic", enc.encode(origin), enc.sequence(args))


def _encode_class(enc: Encoder, cls: type) -> bytes:
    name = _COMPREHENSION.sub("", qualified_name(cls))
    by_name = frame(b"C", name.encode("utf-8", "surrogatepass"))
    if _is_local(cls):
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
    found = source.find_class(cls, file_of_module(cls.__module__) if cls.__module__ != "__main__" else None)
    functions = sorted(source.methods(cls), key=lambda f: f.__qualname__)
    if found is not None or not vars(cls).keys().isdisjoint(("__dataclass_fields__", "__attrs_attrs__")):
        functions = [f for f in functions if not _is_generated(f, found)]
    if found is not None:
        code = text(source.normal_form(found.tree))
    else:
        code = b"".join(text(f.__name__) + text(source.code_form(f.__code__)) for f in functions)
    captured = [_captured(enc, f, found) for f in functions]
    bases = enc.sequence(base for base in cls.__bases__ if base is not object)
    held = content(cls) | {f"{f.__qualname__}()": _defaults_of(f) for f in functions if _defaults_of(f)}
    if _is_local(type(cls)):
        held["metaclass"] = type(cls)
    more = [_held(enc, held, has_source=found is not None)] if held else []
    return node("class", text(name), code, frame(b"t", bases), *captured, *more)


def _is_local(cls: type) -> bool:
    return "<locals>" in cls.__qualname__ and is_project_module(cls.__module__)


def _is_generated(func: types.FunctionType, found: source.Found | None) -> bool:
    """Say whether a decorator such as `dataclass` wrote a method: what it says, the class says."""
    file = func.__code__.co_filename
    unwritten = file[:1] == "<" and (found is None or file != found.file)
    return unwritten or _home(func) in ("dataclasses", "reprlib", "attr._make")


def _defaults_of(func: types.FunctionType) -> tuple[Any, ...]:
    return tuple(filter(None, (func.__defaults__, func.__kwdefaults__)))


def _held(enc: Encoder, held: dict[str, Any], has_source: bool) -> bytes:
    """Return the frame of what a class holds; a lock and its kin count by the source that makes them."""
    frames = []
    for name, value in held.items():
        try:
            frames.append(text(name) + enc.at(f".{name}", value))
        except UnkeyableValue:
            if not has_source:
                raise
            frames.append(text(name) + node("made by its class", text(qualified_name(type(value)))))
    return frame(b"a", b"".join(sorted(frames)))


def _noted(enc: Encoder, value: Any) -> bytes:
    """Return the frame of attributes that were set on a function or a partial; nothing where there are none."""
    noted = {name: part for name, part in vars(value).items() if name != "__wrapped__"}
    return enc.fields(noted.items()) if noted else b""


def counts_by_name(func: types.FunctionType) -> bool:
    """Say whether a function is what an importable name stands for."""
    if "<" in func.__qualname__ or is_project_module(func.__module__) or is_project_module(_home(func)):
        return False
    found = resolve(func.__module__, func.__qualname__)
    return found is func or (not func.__closure__ and is_installed_file(func.__code__.co_filename))


def _home(func: types.FunctionType) -> str | None:
    name = func.__globals__.get("__name__")
    return name if isinstance(name, str) else None


def _encode_function(enc: Encoder, func: types.FunctionType) -> bytes:
    name = qualified_name(func)
    if counts_by_name(func):
        return named(name)
    name = _COMPREHENSION.sub("", name)  # from Python 3.12 on it leaves no trace in names
    found = source.find_function(func)
    code = source.normal_form(found.tree) if found is not None else source.code_form(func.__code__)
    defaults = enc.at(".__defaults__", func.__defaults__) + enc.at(".__kwdefaults__", func.__kwdefaults__)
    return node("function", text(name), text(code), defaults, _captured(enc, func, found) + _noted(enc, func))


def _captured(enc: Encoder, func: types.FunctionType, found: source.Found | None) -> bytes:
    """Return the frame of what a function takes from outside: its cells, and the globals that it names."""
    frames = []
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            frames.append(text(name) + node("empty cell"))
        else:
            frames.append(text(name) + enc.at(f".<captured {name}>", content))
    space = func.__globals__
    names = {chain[0] for chain in source.outer_names(func, found)} - set(func.__code__.co_freevars)
    frames += [text(n) + enc.at(f".<global {n}>", space[n]) for n in sorted(names) if n in space]
    return frame(b"a", b"".join(frames))
