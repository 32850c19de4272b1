"""Encode what an experiment was made with: captured variables, defaults, attributes, an object's state.

Knows: how values are encoded; that functions with a name in a file count by that name here. May not know: tasks.
"""

from __future__ import annotations

import functools
import types
from hashlib import blake2b
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys import source
from memento.keys.callables import captured, encode_content
from memento.keys.encode import Encoder, frame, node, text
from memento.keys.experiments import has_no_file, stands_under_its_name
from memento.keys.kinds import dispatch
from memento.keys.names import qualified_name
from memento.keys.objects import attributes, is_plain


def digits(func: Any, name: str) -> str:
    """Return 32 digits that tell an experiment from others of its name; "" where the name alone tells it.

    Raises
    ------
    UnkeyableValue
        What it was made with has no certain identity.
    """
    if _is_bare(func):
        return ""
    try:
        encoded = _MadeWith().encode(func)
    except UnkeyableValue as error:
        raise _ask_for_name(name, error.where, error.kind, error.reason) from None
    except RecursionError:
        raise _ask_for_name(name, "", "function", "what it was made with is nested too deeply") from None
    if encoded == _plain(name):
        return ""
    return blake2b(encoded, digest_size=16, person=b"memento made").hexdigest()


def _ask_for_name(name: str, where: str, kind: str, reason: str) -> UnkeyableValue:
    return UnkeyableValue(
        where, kind, f'{reason}; {name} was made with it. Name the experiment: Memento(..., name="...")'
    )


def _is_bare(func: Any) -> bool:
    """Say whether an object that can be called, or whose method is, holds nothing but its class, which has a name."""
    if isinstance(func, types.MethodType):
        owner = func.__self__
        if not isinstance(owner, type):
            return _is_bare(owner)
        return stands_under_its_name(owner) and not has_no_file(owner)
    if isinstance(func, (type, types.FunctionType, functools.partial)) or hasattr(func, "__qualname__"):
        return False
    cls = type(func)
    named = stands_under_its_name(cls) and not has_no_file(cls)
    return named and is_plain(cls) and not attributes(func)


def _plain(name: str) -> bytes:
    return node("experiment", text(name))


class _MadeWith(Encoder):
    """Encodes values as keys do, but functions of the project by name and what they were made with."""

    def __init__(self) -> None:
        super().__init__(_dispatch)


def _dispatch(enc: Encoder, value: Any) -> bytes:
    if isinstance(value, types.FunctionType):
        return _function(enc, value) if _has_place(value) else dispatch(enc, value)
    if isinstance(value, functools.partial) and type(value) is functools.partial:
        made = [enc.at(".func", value.func), enc.at(".args", value.args), enc.at(".keywords", value.keywords)]
        return node("partial", *made, enc.fields(vars(value).items()))
    if isinstance(value, types.MethodType):
        return _method(enc, value)
    if isinstance(value, type) and has_no_file(value):
        return encode_content(enc, value, qualified_name(value))
    if isinstance(value, (type, types.BuiltinFunctionType)) or hasattr(value, "__qualname__"):
        return _plain(qualified_name(value)) if stands_under_its_name(value) else dispatch(enc, value)
    return dispatch(enc, value)


def _method(enc: Encoder, method: types.MethodType) -> bytes:
    if isinstance(method.__self__, type):
        return node("class method", enc.encode(method.__self__), text(method.__name__))
    return node("method", text(method.__name__), enc.at(".__self__", method.__self__))


def _has_place(func: types.FunctionType) -> bool:
    """Say whether a file and a name in it tell which function this is; others count by their code."""
    made_of_text = func.__code__.co_filename.startswith("<")
    return not (func.__name__ == "<lambda>" or made_of_text or has_no_file(func))


def _function(enc: Encoder, func: types.FunctionType) -> bytes:
    """Return the frame of a function by its name, and by what its source does not tell."""
    attributes = {name: value for name, value in vars(func).items() if name != "__wrapped__"}
    made = [enc.fields(attributes.items())] if attributes else []
    made += _defaults(enc, func)
    if func.__closure__ and not stands_under_its_name(func):
        made.append(frame(b"a", b"".join(captured(enc, func, " (captured {!r})"))))
        wrapped = getattr(func, "__wrapped__", None)
        if wrapped is not None:
            made.append(enc.at(".__wrapped__", wrapped))
    return node("experiment", text(qualified_name(func)), *made)


def _defaults(enc: Encoder, func: types.FunctionType) -> list[bytes]:
    values = func.__defaults__ or ()
    last = func.__code__.co_argcount
    given = dict(zip(func.__code__.co_varnames[last - len(values) : last], values, strict=True))
    given |= func.__kwdefaults__ or {}
    if not given:
        return []
    written = source.literal_defaults(source.find_function(func))  # the code's version tells these
    found = {name: value for name, value in given.items() if name not in written}
    return (
        [node("defaults", *[text(n) + enc.at(f"({n}=)", found[n]) for n in sorted(found)])] if found else []
    )
