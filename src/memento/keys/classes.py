"""List what a class holds besides its methods, for classes that no importable name stands for.

Knows: class dictionaries and what frameworks write into them. May not know: how values are encoded.

The source of a class made in a function or by a factory is not all that tells it from its sisters:
``size = n`` in its body, a field's default, an enum's values and a named tuple's fields come from outside.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types

from memento.hints import Any

_C_PARTS = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.BuiltinFunctionType,
)  # fmt: skip
_BOOKKEEPING = frozenset({"_abc_impl", "_is_protocol", "_is_runtime_protocol"})
_OF_NAMED_TUPLES = frozenset({"_make", "_replace", "_asdict"})


def content(cls: type) -> dict[str, Any]:
    """Return a class's own attributes by name, without methods and what Python itself keeps there.

    Parameters
    ----------
    cls : type
        Any class.

    Returns
    -------
    dict of str to object
        Values of attributes, defaults of fields, members of enums.

    Examples
    --------
    >>> content(type("Made", (), {"size": 3}))
    {'size': 3}
    """
    if issubclass(cls, enum.Enum):
        return {name: member._value_ for name, member in cls.__members__.items()}
    space = vars(cls)
    skipped = set(_BOOKKEEPING)
    if "_fields" in space and issubclass(cls, tuple):
        skipped |= {*_OF_NAMED_TUPLES, *space["_fields"]}
    found = {
        name: value
        for name, value in space.items()
        if name not in skipped
        and not (name.startswith("__") and name.endswith("__"))
        and not isinstance(value, _C_PARTS)
        and not _is_method(value, cls)
    }
    return found | _fields(space)


def _is_method(value: Any, cls: type) -> bool:
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    elif isinstance(value, (staticmethod, classmethod)):
        parts = [value.__func__]
    elif isinstance(value, functools.cached_property):
        parts = [value.func]
    else:
        parts = [value]
    functions = [part for part in parts if part is not None]
    # A function that was defined elsewhere, such as one that a factory was given, is a value that the class holds.
    inside = f"{cls.__qualname__}."
    return all(
        isinstance(f, types.FunctionType)
        and f.__module__ == cls.__module__
        and f.__qualname__.startswith(inside)
        for f in functions
    )


def _fields(space: Any) -> dict[str, Any]:
    """Return the fields' defaults of a dataclass, an attrs class or a pydantic model."""
    found: dict[str, Any] = {}
    if "__dataclass_fields__" in space:
        options = space["__dataclass_params__"]
        found["dataclass()"] = options.eq, options.order, options.frozen, tuple(space["__dataclass_fields__"])
    if "__attrs_attrs__" in space:
        found["attrs()"] = tuple(
            (field.name, field.init, bool(field.eq)) for field in space["__attrs_attrs__"]
        )
    for name, field in space.get("__dataclass_fields__", {}).items():
        if field.default is not dataclasses.MISSING:
            found[f"{name}.default"] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[f"{name}.default_factory"] = field.default_factory
    for field in space.get("__attrs_attrs__", ()):
        found[f"{field.name}.default"] = field.default
    for name, field in (space.get("__pydantic_fields__") or {}).items():
        found[f"{name}.annotation"] = field.annotation
        if not field.is_required():
            found[f"{name}.default"] = field.default_factory or field.default
    return found
