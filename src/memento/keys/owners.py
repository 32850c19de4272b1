"""Tell what of code is the user's own, also where no import statement put it into its place.

Knows: live classes and functions, and where their files lie. May not know: what counts, how it is followed.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from memento.keys import source
from memento.keys.names import is_project_function, is_project_module


def is_class(item: Any) -> bool:
    """Say whether a value is a class itself, which `list[int]` is not."""
    return isinstance(item, type) and not isinstance(item, types.GenericAlias)


def is_definition(value: Any) -> bool:
    """Say whether a value is code itself, not data."""
    return isinstance(value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType))


def is_project_class(cls: type) -> bool:
    """Say whether a class is the user's own."""
    return is_project_module(cls.__module__) or is_loaded_by_hand(cls)


def is_loaded_by_hand(cls: type) -> bool:
    """Say whether a class stems from a file of the project that no import loaded, and no module stands for."""
    known = isinstance(sys.modules.get(cls.__module__), types.ModuleType)
    return not known and any(map(is_project_function, source.methods(cls)))


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
    return bool(put_into(value)) if is_class(value) else not is_definition(value)
