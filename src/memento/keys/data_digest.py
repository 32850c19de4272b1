"""Digest the data that code reads, as it stands: every kind of it, whatever else it holds.

Knows: how values are encoded for keys. May not know: how code is found, tasks.

It differs from the digest of a key. Code in it counts by name, since it is followed and counts on its own; so does what
an installed library defines. What cannot be keyed (a lock, an open file) counts by its type and is named, instead of
keeping all else from being seen; an object of the user's then counts by its attributes. What differs from place to
place and from run to run without a change of the program counts by its type or by its place: loggers, generators
without a seed, paths in the project's folder.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from hashlib import blake2b
from typing import Any

from memento.keys.ast_normal_form import Found, code_form, normal_form
from memento.keys.class_body import content, methods
from memento.keys.encode import LEAVES, Encoder, frame, named, node, text
from memento.keys.encode_object import tells_address
from memento.keys.find_source import filled_cells, find_class, find_function
from memento.keys.held_values import attributes_of
from memento.keys.ignored_state import is_seeded_by_the_system
from memento.keys.names import (
    is_path,
    is_project_module,
    module_name,
    path_in_project,
    qualified_name,
    resolve,
    without_place,
)
from memento.keys.project_files import MAINS
from memento.keys.value_digest import dispatch

# Classes whose instances count by their type alone, by the module that defines them, which is not imported for it.
_BY_TYPE = {
    "logging": ("Logger", "LoggerAdapter", "Handler"),
    "weakref": ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet"),
}

_MOST_MAPPED = 4 << 30  # bytes; more of a mapped file would take seconds to read at every run


class DataEncoder(Encoder):
    """Encodes the data of a module; one instance serves one digest."""

    def __init__(self, module: str) -> None:
        super().__init__(_dispatch, {**LEAVES, str: self._text})  # of all leaves texts alone may be paths
        self.unkeyable: set[str] = set()  # types of what cannot be keyed
        self.module, self._names = module, frozenset({module, *MAINS})

    def digest(self, value: Any) -> str:
        """Return a digest of a value; never raises."""
        try:
            encoded = self.encode(value)
        except Exception:  # nested too deeply
            self.unkeyable.add(qualified_name(type(value)))
            encoded = _by_type(value)
        return blake2b(encoded, digest_size=16).hexdigest()

    def _text(self, value: str) -> bytes:
        if value[:1] not in ("/", "\\") and value[1:2] != ":" and value not in self._names:
            return text(value)  # no absolute path: nearly all, and a table may have millions
        known = without_place(value, self.module)
        return text(value) if known is value else self.encode(known)


def _by_type(value: Any) -> bytes:
    """Return the frame of what counts by its type alone."""
    return node("by type", text(qualified_name(type(value))))


def _dispatch(enc: Any, value: Any) -> bytes:
    """Return the frame of a compound value; of what cannot be keyed, that of its type and the user's attributes."""
    try:
        encoded = _encode_code(enc, value) or _encode_local(enc, value)
        return encoded if encoded is not None else dispatch(enc, value)
    except RecursionError:
        raise
    except Exception:
        own = attributes_of(value) if is_project_module(type(value).__module__) else {}
        held = {name: part for name, part in own.items() if not tells_address(part, value)}
        if not held:
            enc.unkeyable.add(qualified_name(type(value)))
        return node("by type", text(qualified_name(type(value))), enc.extra(held))


def _encode_code(enc: Any, value: Any) -> bytes | None:
    """Return the frame of code by its name; with its form where others have that name."""
    if isinstance(value, types.GenericAlias):
        return None
    if isinstance(value, types.ModuleType):
        return node("module", text(module_name(value.__name__)))
    if isinstance(value, type):
        made_by_hand = value.__module__ == "types" and resolve("types", value.__qualname__) is None
        if not made_by_hand and (not is_ambiguous(value) or not is_project_module(value.__module__)):
            return frame(b"C", qualified_name(value).encode("utf-8", "surrogatepass"))
        held = enc.fields(content(value))
        return node("class", text(qualified_name(value)), text(form_of(value, find_class(value))), held)
    if isinstance(value, types.FunctionType):
        # Else `exec` made it, and no module has it.
        if "__name__" in value.__globals__ and not is_ambiguous(value):
            return named(qualified_name(value))
        made_with = enc.sequence([*filled_cells(value).values(), value.__defaults__, value.__kwdefaults__])
        return node(
            "function", text(qualified_name(value)), text(form_of(value, find_function(value))), made_with
        )
    return None


def is_ambiguous(code: Any) -> bool:
    """Say whether the name of a function or class may stand for several: a closure, a lambda, a second ``def _``."""
    if "<" in code.__qualname__:
        return True
    known = resolve(code.__module__, code.__qualname__)
    while known is not None and known is not code:
        wrapped = getattr(known, "__dict__", {}).get("__wrapped__")
        if wrapped is None:
            # An object or a library's function that stands in its place was made of it.
            return isinstance(known, type(code))
        known = wrapped
    return False


def _encode_local(enc: Any, value: Any) -> bytes | None:
    """Return the frame of what is another thing here than in a key."""
    cls: Any = type(value)
    if counts_by_type(cls) or is_seeded_by_the_system(value):
        return _by_type(value)
    if cls is dict and "__builtins__" in value:  # `exec` leaves it in the dict that it is given
        return dispatch(enc, {name: part for name, part in value.items() if name != "__builtins__"})
    if cls is functools.singledispatchmethod:  # its attributes differ between Python versions
        return node("singledispatchmethod", enc.pairs(value.dispatcher.registry.items()))
    if cls is functools.partialmethod:
        return node("partialmethod", enc.sequence((value.func, value.args, value.keywords)))
    if cls.__name__ == "ContextVar" and cls.__module__ == "_contextvars":
        return node("context variable", text(value.name), enc.at("", value.get()))
    numpy = sys.modules.get("numpy")
    if numpy is not None and cls is numpy.memmap and value.nbytes > _MOST_MAPPED:
        return _encode_mapped(enc, value)
    known = without_place(value, enc.module) if is_path(value) else value
    return node("path", enc.encode(known)) if known is not value else None


def _encode_mapped(enc: Any, value: Any) -> bytes:
    """Return the frame of a large mapped array by its file, whose content would take too long to read at every run."""
    enc.unkeyable.add(f"mapped file of {value.nbytes / 1e9:.0f} GB")
    status = os.stat(value.filename)
    place = path_in_project(str(value.filename), enc.module) or str(value.filename)
    told = (place, value.dtype.str, value.shape, value.offset, status.st_size, status.st_mtime_ns)
    return node("mapped", text(repr(told)))


@functools.lru_cache(maxsize=4096)
def counts_by_type(cls: Any) -> bool:
    """Say whether instances of a class count by their type alone, and rightly so: nothing of a program changes them."""
    for module, names in _BY_TYPE.items():
        space = getattr(sys.modules.get(module), "__dict__", {})
        if any(isinstance(base := space.get(name), type) and issubclass(cls, base) for name in names):
            return True
    return False


# -- code in data ----------------------------------------------------------------------------------------


def form_of(code: Any, found: Found | None) -> str:
    """Return the normal form of a function or class, or of its compiled code where it has no source."""
    if found is not None:
        return normal_form(found.tree)
    if isinstance(code, types.FunctionType):
        return code_form(code.__code__)
    own = sorted(methods(code), key=lambda func: func.__qualname__)
    return repr([[*map(qualified_name, code.__bases__)], *(code_form(f.__code__) for f in own)])
