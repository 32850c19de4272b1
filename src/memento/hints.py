"""What annotations and records need of `typing`, without its import: 2 ms of every start.

Knows: Python's own types. May not know: anything of ours.

Type checkers see the names of `typing` itself. Rooms that every run loads take them from here; a program that has
`typing` already pays for nothing twice.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true, by its name

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import cast as cast
    from typing import overload as overload

    made: Any = tuple.__new__
else:
    from operator import itemgetter

    try:
        from _collections import _tuplegetter as _getter  # what `collections.namedtuple` uses
    except ImportError:

        def _getter(place, _):
            return property(itemgetter(place))

    Any = Protocol = object

    def cast(kind, value):  # noqa: ARG001 - the signature of `typing.cast`
        """Return the value as it is."""
        return value

    made = (
        tuple.__new__
    )  # `made(kind, fields)`: what `_make` of a named tuple does, without a call of Python's

    def overload(func):
        """Return the function as it is; the one that comes last counts."""
        return func

    class _Fields(type):
        """Makes of the annotations of a class the fields of its tuples."""

        def __new__(kind, name, bases, space):
            names = tuple(space.get("__annotations__", ()))
            space.setdefault("__slots__", ())
            if not names:
                return super().__new__(kind, name, bases, space)
            defaults = {field: space[field] for field in names if field in space}
            space.update({field: _getter(place, None) for place, field in enumerate(names)})
            space.update(__match_args__=names, _fields=names, _field_defaults=defaults)
            return super().__new__(kind, name, bases, space)

    class NamedTuple(tuple, metaclass=_Fields):
        """As `typing.NamedTuple`; a class takes 0.01 ms to make, a tenth, and its first instance 0.03."""

        def __new__(cls, *values, **named):
            # Compiled, as by `collections.namedtuple`: any other way takes four times as long for an instance.
            home = next(base for base in cls.__mro__ if "_fields" in base.__dict__)
            listed = ", ".join(home._fields)
            # A KeyboardInterrupt that leaves an `eval` of text ends the process by SIGINT, whoever catches it.
            code = compile(f"lambda _cls, {listed}: _new(_cls, ({listed},))", "<hints>", "eval")
            make = eval(code, {"_new": tuple.__new__})
            make.__name__, make.__defaults__ = home.__name__, tuple(home._field_defaults.values())
            home.__new__ = staticmethod(make)
            return make(cls, *values, **named)

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}; got {tuple(made)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            return type(self)(**{**self._asdict(), **changes})

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)
