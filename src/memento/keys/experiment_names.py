"""Name experiments: by their file's place in the project, their qualified name, and what they were made with.

Knows: names, how values are encoded. May not know: tasks.

Two partials of one function, two instances of one callable class, two closures of one factory and two experiments
behind one decorator have the same qualified name and compute different things: one must never be served the other's
results. What such a function was made with counts like a parameter's value. The code of a function that has a file is
no part of this, nor that of functions which it captured: an edited experiment keeps its results, and that is told.
"""

from __future__ import annotations

import functools
import os
import types
from hashlib import blake2b
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys.code_files import Program
from memento.keys.encode import Encoder, frame, node, text
from memento.keys.encode_callable import captured, encode_content
from memento.keys.encode_object import attributes, is_plain
from memento.keys.find_source import defaults_of, find_function, literal_defaults
from memento.keys.names import qualified_name, stands_under_its_name
from memento.keys.project_files import INTERACTIVE, NOTEBOOK, count_as_project, real, script
from memento.keys.value_digest import dispatch
from memento.wording import short_name

_NO_FILE = (f"{NOTEBOOK}:", f"{INTERACTIVE}:")


def experiment_name(func: Any, home: str | None = None) -> str:
    """Return the default name of an experiment: ``path/in/project.py:qualname``, or ``module:qualname`` of a library's.

    Where the function was made with something (a partial's arguments, an object's state, captured variables, defaults
    that are no literals, attributes), and where it has no file, ``#`` and the digest of that stand behind it; an
    UnkeyableValue tells that this has no certain identity. `home` is the folder of the store, where that was found
    above the script: it may hold several projects, and then paths begin there.
    """
    while isinstance(func, functools.partial) and not (func.args or func.keywords or vars(func)):
        func = func.func
    name = _base_name(func)
    made = _made_with(func, name)
    return (_projects_above(name, home) if home else "") + (f"{name}#{made}" if made else name)


def _projects_above(name: str, home: str) -> str:
    """Return the way from a folder down to the project that a name's path begins in, if it lies there."""
    root, home = script().roots[0], real(home)
    inside = root.startswith(os.path.join(home, ""))
    if not inside or not os.path.exists(os.path.join(root, name.partition(":")[0])):
        return ""
    return os.path.relpath(root, home).replace(os.sep, "/") + "/"


def is_named_by_code(name: str) -> bool:
    """Say whether an edit gives the experiment another name, since there is no file to name it by."""
    return name.startswith(_NO_FILE) and short_name(name) != name


def _base_name(func: Any) -> str:
    while isinstance(func, functools.partial):
        func = func.func
    if isinstance(func, Program):
        return f"{func.place}:command"
    code = getattr(getattr(func, "__func__", func), "__code__", None)
    if code is None:  # an object that can be called: its class has a file
        code = getattr(getattr(type(func), "__call__", None), "__code__", None)  # noqa: B004 - its code is wanted
    if code is not None:
        count_as_project(code.co_filename)
    owner = getattr(func, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType) and hasattr(func, "__name__"):
        return f"{qualified_name(owner if isinstance(owner, type) else type(owner))}.{func.__name__}"
    return qualified_name(func)


def _made_with(func: Any, name: str) -> str:
    """Return 32 digits that tell an experiment from others of its name; "" where the name alone tells it."""
    if _is_told_by_its_name(func) if isinstance(func, types.FunctionType) else _is_bare(func):
        return ""
    try:
        encoded = Encoder(_dispatch).encode(func)
    except UnkeyableValue as error:
        where, kind, reason = error.where, error.kind, error.reason
    except RecursionError:
        where, kind, reason = "", "function", "what it was made with is nested too deeply"
    else:
        if encoded == _plain(name):
            return ""
        return blake2b(encoded, digest_size=16, person=b"memento made").hexdigest()
    todo = f'{name} was made with it. Name the experiment: Memento(..., name="...")'
    raise UnkeyableValue(where, kind, f"{reason}; {todo}")


def _has_no_file(obj: Any) -> bool:
    """Say whether a function or class comes from a prompt, a text, or a notebook whose file is not known."""
    return qualified_name(obj).startswith(_NO_FILE)


def _has_name_in_file(obj: Any) -> bool:
    return stands_under_its_name(obj) and not _has_no_file(obj)


def _is_told_by_its_name(func: types.FunctionType) -> bool:
    """Say at a glance that a function was made with nothing, as most experiments are."""
    return not (func.__defaults__ or func.__kwdefaults__ or vars(func)) and _has_name_in_file(func)


def _is_bare(func: Any) -> bool:
    """Say whether an object that can be called, or whose method is, holds nothing but its class, which has a name."""
    if isinstance(func, types.MethodType):
        owner = func.__self__
        return _has_name_in_file(owner) if isinstance(owner, type) else _is_bare(owner)
    if isinstance(func, (type, types.FunctionType, functools.partial)) or hasattr(func, "__qualname__"):
        return False
    return _has_name_in_file(type(func)) and is_plain(type(func)) and not attributes(func)


# -- values as keys encode them, but functions of the project by name and what they were made with ---------


def _plain(name: str) -> bytes:
    return node("experiment", text(name))


def _dispatch(enc: Encoder, value: Any) -> bytes:
    if isinstance(value, Program):
        return node("program", enc.at("", value.made_with()))
    if isinstance(value, types.FunctionType):
        return _function(enc, value) if _has_place(value) else dispatch(enc, value)
    if isinstance(value, functools.partial) and type(value) is functools.partial:
        made = [enc.at(".func", value.func), enc.at(".args", value.args), enc.at(".keywords", value.keywords)]
        return node("partial", *made, enc.fields(vars(value)))
    if isinstance(value, types.MethodType):
        if isinstance(value.__self__, type):
            return node("class method", enc.encode(value.__self__), text(value.__name__))
        return node("method", text(value.__name__), enc.at(".__self__", value.__self__))
    if isinstance(value, type) and _has_no_file(value):
        return encode_content(enc, value, qualified_name(value))
    if isinstance(value, (type, types.BuiltinFunctionType)) or hasattr(value, "__qualname__"):
        return _plain(qualified_name(value)) if stands_under_its_name(value) else dispatch(enc, value)
    return dispatch(enc, value)


def _has_place(func: types.FunctionType) -> bool:
    """Say whether a file and a name in it tell which function this is; others count by their code."""
    made_of_text = func.__code__.co_filename.startswith("<")
    return not (func.__name__ == "<lambda>" or made_of_text or _has_no_file(func))


def _function(enc: Encoder, func: types.FunctionType) -> bytes:
    """Return the frame of a function by its name, and by what its source does not tell."""
    attributes = {name: value for name, value in vars(func).items() if name != "__wrapped__"}
    made = [enc.extra(attributes), *_defaults(enc, func)]
    if func.__closure__ and not stands_under_its_name(func):
        made.append(frame(b"a", b"".join(captured(enc, func, " (captured {!r})"))))
        wrapped = getattr(func, "__wrapped__", None)
        if wrapped is not None:
            made.append(enc.at(".__wrapped__", wrapped))
    return node("experiment", text(qualified_name(func)), *made)


def _defaults(enc: Encoder, func: types.FunctionType) -> list[bytes]:
    """Return the frame of defaults that are no literals: those the code's version tells."""
    given = defaults_of(func)
    written = literal_defaults(find_function(func)) if given else {}
    found = [text(name) + enc.at(f"({name}=)", given[name]) for name in sorted(given.keys() - written)]
    return [node("defaults", *found)] if found else []
