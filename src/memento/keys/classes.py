"""List all that a class holds, for classes that no importable name stands for.

Knows: class dictionaries and what frameworks write into them. May not know: how values are encoded.

The source of a class made in a function or by a factory is not what tells it from its sisters: ``size = n`` in its body,
a field's default, an enum's values and a named tuple's fields come from outside. What its body left behind is.
"""

from __future__ import annotations

import dataclasses
import enum
import types

from memento.hints import Any

_C_PARTS = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.BuiltinFunctionType,
)  # fmt: skip
# What Python and its library keep in a class beside its body; some of it in some versions only.
_BOOKKEEPING = frozenset({
    "__module__", "__qualname__", "__name__", "__doc__", "__dict__", "__weakref__", "__hash__", "__match_args__",
    "__firstlineno__", "__static_attributes__", "__parameters__", "__type_params__", "__abstractmethods__", "_abc_impl",
    "_is_protocol", "_is_runtime_protocol", "__protocol_attrs__", "__non_callable_proto_members__", "__signature__",
    "__slotnames__", "__dataclass_fields__", "__dataclass_params__", "__attrs_attrs__", "__attrs_props__", "__attrs_own_setattr__",
})  # fmt: skip
_OF_NAMED_TUPLES = frozenset(
    {"_make", "_replace", "_asdict", "__replace__", "__new__", "__repr__", "__getnewargs__"}
)
_OF_RECORDS = frozenset({
    "__init__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__",
    "__delattr__", "__replace__", "__getstate__", "__setstate__", "__attrs_init__",
})  # fmt: skip
_WRITERS = ("dataclasses", "reprlib", "attr._make")


def content(cls: type) -> dict[str, Any]:
    """Return what the body of a class left in it, by name, and what its decorators noted of its fields.

    Parameters
    ----------
    cls : type
        Any class.

    Returns
    -------
    dict of str to object
        Methods, attributes, defaults of fields, members of enums; not what Python keeps beside them, nor the methods that
        `dataclass` and its kin wrote.

    Examples
    --------
    >>> content(type("Made", (), {"size": 3}))
    {'size': 3}
    """
    space = vars(cls)
    skipped = set(_BOOKKEEPING)
    if "_fields" in space and issubclass(cls, tuple):
        skipped |= {*_OF_NAMED_TUPLES, *space["_fields"]}
    is_enum, is_model = issubclass(cls, enum.Enum), "__pydantic_fields__" in space
    found = {
        name: value
        for name, value in space.items()
        if name not in skipped
        and not (name == "__annotations__" and not value)  # made by whoever looks for it
        and not isinstance(value, _C_PARTS)
        and not (is_enum and not _is_of_body(name, value, cls))
        and not (is_model and _is_special(name) and not isinstance(value, types.FunctionType))
        and not _is_written_by_a_decorator(name, value, space)
    }
    if is_enum:
        found["members"] = {name: member._value_ for name, member in cls.__members__.items()}  # type: ignore[attr-defined]
    return found | _fields(space)


def _is_special(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")


def _is_of_body(name: str, value: Any, cls: Any) -> bool:
    """Say whether an attribute of an enum is neither a member nor what the enum's making left."""
    if isinstance(value, types.FunctionType):
        return value.__module__ == cls.__module__
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
    """Return what a dataclass, an attrs class or a pydantic model knows of its fields."""
    found: dict[str, Any] = {}
    if "__dataclass_fields__" in space:
        options = space["__dataclass_params__"]
        found["dataclass()"] = options.eq, options.order, options.frozen, options.unsafe_hash
        fields = tuple(_dataclass_field(field) for field in space["__dataclass_fields__"].values())
        found["dataclass fields"] = fields
    if "__attrs_attrs__" in space:
        found["attrs fields"] = tuple(_attrs_field(field) for field in space["__attrs_attrs__"])
    for name, field in (space.get("__pydantic_fields__") or {}).items():
        found[f"{name}.annotation"] = field.annotation
        found[f"{name}.metadata"] = field.metadata
        if not field.is_required():
            found[f"{name}.default"] = field.default_factory or field.default
    return found


def _dataclass_field(field: Any) -> tuple[Any, ...]:
    given = [value for value in (field.default, field.default_factory) if value is not dataclasses.MISSING]
    options = (field.init, field.repr, field.compare, field.hash, field.kw_only is True)
    return field.name, field._field_type.name, options, given, dict(field.metadata)


def _attrs_field(field: Any) -> tuple[Any, ...]:
    options = (field.init, bool(field.repr), bool(field.eq), bool(field.order), field.hash, field.kw_only)
    return field.name, options, field.default, field.converter, field.validator, dict(field.metadata)
