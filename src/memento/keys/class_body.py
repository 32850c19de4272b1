"""List all that a class holds, for classes that no importable name stands for.

Knows: class dictionaries and what frameworks write into them. May not know: how values are encoded.

The source of a class made in a function or by a factory is not what tells it from its sisters: ``size = n`` in its
body, a field's default, an enum's values and a named tuple's fields come from outside. What its body left behind is.
"""

from __future__ import annotations

import enum
import functools
import types
from typing import Any

_C_PARTS = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.BuiltinFunctionType,
)  # fmt: skip
# What Python and its library keep in a class beside its body; some of it in some versions only.
_BOOKKEEPING = frozenset({
    "__module__", "__qualname__", "__name__", "__doc__", "__dict__", "__weakref__", "__hash__", "__match_args__",
    "__firstlineno__", "__static_attributes__", "__parameters__", "__type_params__", "__abstractmethods__", "_abc_impl",
    "_is_protocol", "_is_runtime_protocol", "__protocol_attrs__", "__non_callable_proto_members__", "__signature__",
    "__slotnames__", "__dataclass_fields__", "__dataclass_params__", "__attrs_attrs__", "__attrs_props__",
    "__attrs_own_setattr__",
})  # fmt: skip
_OF_NAMED_TUPLES = frozenset(
    {"_make", "_replace", "_asdict", "__replace__", "__new__", "__repr__", "__getnewargs__"}
)
_OF_RECORDS = frozenset({
    "__init__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__",
    "__delattr__", "__replace__", "__getstate__", "__setstate__", "__attrs_init__",
})  # fmt: skip
_WRITERS = ("dataclasses", "reprlib", "attr._make")


def body(cls: type) -> dict[str, Any]:
    """Return what the body of a class left in it: methods, attributes, members of enums, fields with their options.

    Less what Python keeps beside them, and the methods that `dataclass` and its kin wrote.
    """
    members = {"members": _members(cls)} if issubclass(cls, enum.Enum) else {}
    return _left_by_the_body(cls) | members | _fields(vars(cls)) | _options(vars(cls))


def content(cls: type) -> dict[str, Any]:
    """Return what a class holds besides its methods, which its source may not tell: attributes, defaults, members."""
    if issubclass(cls, enum.Enum):
        return _members(cls)
    found = _left_by_the_body(cls)
    kept = {n: v for n, v in found.items() if not _is_special(n) and not _is_method(v, cls)}
    return kept | _fields(vars(cls))


def _members(cls: type[enum.Enum]) -> dict[str, Any]:
    return {name: member._value_ for name, member in cls.__members__.items()}


def _left_by_the_body(cls: type) -> dict[str, Any]:
    space = vars(cls)
    skipped = set(_BOOKKEEPING)
    if "_fields" in space and issubclass(cls, tuple):
        skipped |= {*_OF_NAMED_TUPLES, *space["_fields"]}
    is_enum, is_model = issubclass(cls, enum.Enum), "__pydantic_fields__" in space
    return {
        name: value
        for name, value in space.items()
        if name not in skipped
        and not (name == "__annotations__" and not value)  # made by whoever looks for it
        and not isinstance(value, _C_PARTS)
        and not (is_enum and not _is_of_body(name, value, cls))
        and not (is_model and _is_special(name) and not isinstance(value, types.FunctionType))
        and not _is_written_by_a_decorator(name, value, space)
    }


def _is_special(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")


def _is_of_body(name: str, value: Any, cls: Any) -> bool:
    """Say whether an attribute of an enum is neither a member nor what the enum's making left."""
    if isinstance(value, types.FunctionType):
        return bool(value.__module__ == cls.__module__)
    return not _is_special(name) and name not in cls.__members__


def _is_written_by_a_decorator(name: str, value: Any, space: Any) -> bool:
    """Say whether `dataclass` or its kin wrote a method: what it says, the fields say."""
    if name not in _OF_RECORDS or not isinstance(value, types.FunctionType):
        return False
    if "__dataclass_fields__" not in space and "__attrs_attrs__" not in space:
        return False
    file = value.__code__.co_filename
    return file == "<string>" or file.startswith("<attrs ") or value.__globals__.get("__name__") in _WRITERS


def _fields(space: Any) -> dict[str, Any]:
    """Return the fields' defaults of a dataclass, an attrs class or a pydantic model."""
    found: dict[str, Any] = {}
    if "__dataclass_fields__" in space:
        import dataclasses  # whoever has such a class has loaded it

        options, fields = space["__dataclass_params__"], space["__dataclass_fields__"]
        found["dataclass()"] = options.eq, options.order, options.frozen, tuple(fields)
        for name, field in fields.items():
            if field.default is not dataclasses.MISSING:
                found[f"{name}.default"] = field.default
            elif field.default_factory is not dataclasses.MISSING:
                found[f"{name}.default_factory"] = field.default_factory
    if "__attrs_attrs__" in space:
        fields = space["__attrs_attrs__"]
        found["attrs()"] = tuple((field.name, field.init, bool(field.eq)) for field in fields)
        found.update({f"{field.name}.default": field.default for field in fields})
    for name, field in (space.get("__pydantic_fields__") or {}).items():
        found[f"{name}.annotation"] = field.annotation
        if not field.is_required():
            found[f"{name}.default"] = field.default_factory or field.default
    return found


def _options(space: Any) -> dict[str, Any]:
    """Return what decorators and models noted of their fields beside the defaults."""
    found: dict[str, Any] = {}
    if "__dataclass_fields__" in space:
        found["dataclass options"] = tuple(map(_of_dataclass, space["__dataclass_fields__"].values()))
    if "__attrs_attrs__" in space:
        found["attrs options"] = tuple(map(_of_attrs, space["__attrs_attrs__"]))
    if "__pydantic_fields__" in space:
        found["pydantic options"] = {n: f.metadata for n, f in space["__pydantic_fields__"].items()}
    return found


def _of_dataclass(field: Any) -> tuple[Any, ...]:
    flags = field.init, field.repr, field.compare, field.hash, field.kw_only is True
    return (field.name, field._field_type.name, *flags, dict(field.metadata))


def _of_attrs(field: Any) -> tuple[Any, ...]:
    flags = bool(field.repr), bool(field.order), field.hash, field.kw_only
    return (field.name, *flags, field.converter, field.validator, dict(field.metadata))


def noted(cls: type) -> dict[str, Any]:
    """Return what the fields of a record were given beside their defaults: converters, validators, metadata."""
    space = vars(cls)
    found: dict[str, list[Any]] = {}
    for name, field in space.get("__dataclass_fields__", {}).items():
        found[name] = [dict(field.metadata)]
    for field in space.get("__attrs_attrs__", ()):
        found[field.name] = [field.converter, field.validator, field.on_setattr, dict(field.metadata)]
    for name, field in (space.get("__pydantic_fields__") or {}).items():
        found[name] = list(field.metadata)
    return {name: parts for name, parts in found.items() if any(p is not None and p != {} for p in parts)}


# -- methods ---------------------------------------------------------------------------------------------


def methods(cls: type) -> list[types.FunctionType]:
    """Return the functions that the body of a class left in it, those inside descriptors included."""
    parts = [part for value in _left_by_the_body(cls).values() for part in functions_in(value)]
    return [part for part in parts if part.__module__ == cls.__module__]


def functions_in(value: Any) -> list[types.FunctionType]:
    """Return a function itself, and those that a descriptor of a class is made of."""
    return [part for part in unwrapped(value) if isinstance(part, types.FunctionType)]


def unwrapped(value: Any) -> list[Any]:
    """Return what a descriptor of a class is made of, less what it lacks; anything else is itself."""
    parts = [value]
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    elif isinstance(value, (staticmethod, classmethod)):
        parts = [value.__func__]
    elif isinstance(value, functools.cached_property):
        parts = [value.func]
    return [part for part in parts if part is not None]


def _is_method(value: Any, cls: type) -> bool:
    # A function that was defined elsewhere, such as one that a factory was given, is a value that the class holds.
    inside = f"{cls.__qualname__}."
    return all(
        isinstance(f, types.FunctionType)
        and f.__module__ == cls.__module__
        and f.__qualname__.startswith(inside)
        for f in unwrapped(value)
    )
