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
else:
    from operator import itemgetter

    Any = Protocol = object

    def cast(kind, value):  # noqa: ARG001 - the signature of `typing.cast`
        """Return the value as it is."""
        return value

    class _Fields(type):
        """Makes of the annotations of a class the fields of its tuples."""

        def __new__(kind, name, bases, space):
            names = tuple(space.get("__annotations__", ()))
            defaults = {field: space[field] for field in names if field in space}
            space.update({field: property(itemgetter(place)) for place, field in enumerate(names)})
            space.update(__slots__=(), __match_args__=names, _fields=names, _field_defaults=defaults)
            return super().__new__(kind, name, bases, space)

    class NamedTuple(tuple, metaclass=_Fields):
        """As `typing.NamedTuple`, for records that are made now and then.

        A class takes 0.02 ms to make, a tenth; an instance takes four times as long as there. Records that are
        made for every task stay with `typing`.
        """

        def __new__(cls, *values, **named):
            left = cls._fields[len(values) :]
            given = {**cls._field_defaults, **named}
            if (
                len(values) > len(cls._fields)
                or not named.keys() <= set(left)
                or not given.keys() >= set(left)
            ):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}; got {values} and {named}")
            return tuple.__new__(cls, (*values, *map(given.__getitem__, left)))

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            return type(self)(**{**self._asdict(), **changes})

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)
