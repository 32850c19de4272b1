"""Give tasks values and settings that they may change: what one task changes, the next does not see.

Knows: pickles, copies. May not know: tasks, who asks.

A worker process unpickles a value for each task. A task of the program's own process gets a copy of what the program
has, as far as there can be one: what has a lock, a connection or a device in it is handed over as it is, and what lies
beside it is copied. What nobody can change is one object for all tasks.
"""

from __future__ import annotations

import contextlib
import copy
import enum
import functools
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from memento.errors import MementoError
from memento.values import pickling
from memento.values.definitions import stands_under_its_name

_ATOMS = frozenset({int, float, bool, str, bytes, complex, type(None), range, type(Ellipsis)})
_OTHER_ATOMS = frozenset({("fractions", "Fraction")})  # by name: few programs import it
_NAMED = (type, types.BuiltinFunctionType, types.ModuleType, enum.Enum)


def is_unchangeable(value: object) -> bool:
    """Tell whether tasks can share one object without one task's changes reaching the next."""
    todo: list[Any] = [value]
    seen: set[int] = set()  # functions: some have captured themselves
    while todo:
        one = todo.pop()
        kind = type(one)
        if kind in _ATOMS:
            continue
        if kind is types.FunctionType:
            if id(one) not in seen and not stands_under_its_name(one):
                seen.add(id(one))
                todo += _held_by(one)
        elif kind is tuple or kind is frozenset:
            todo += one
        elif not (
            isinstance(one, (_NAMED, getattr(sys.modules.get("pathlib"), "PurePath", ())))
            or (kind.__module__, kind.__name__) in _OTHER_ATOMS
        ):
            return type(value) is types.FunctionType and _draws(value)
    return True


def _held_by(func: types.FunctionType) -> list[Any]:
    """Return what a function alone has: a loader has captured its data."""
    held = [*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values(), *vars(func).values()]
    for cell in func.__closure__ or ():
        with contextlib.suppress(ValueError):  # not assigned yet
            held.append(cell.cell_contents)
    return held


def _draws(func: types.FunctionType) -> bool:
    """Tell whether a function has a random generator: it stays the same object, which is set anew for each task."""
    from memento.context.reach import Reach

    return any(True for _ in Reach().generators(func))


def _is_plain(value: Any) -> bool:
    """Tell whether a copy of the dict itself keeps tasks apart; most settings are such."""
    return type(value) is dict and all(map(is_unchangeable, value.values()))


def unpacked(data: bytes | memoryview) -> Callable[[], Any]:
    """Return what makes an object of its own for each task from a pickle; unpickling may raise anything."""
    value = pickling.loads(data)
    return value.copy if _is_plain(value) else lambda: pickling.loads(data)


def copies(value: Any, pack: Callable[[], bytes] | None = None) -> Callable[[], Any]:
    """Return what makes a copy for each task; the value itself where there can be none.

    `pack` returns its pickle, and keeps that.
    """
    if is_unchangeable(value):
        return lambda: value
    if _is_plain(value):
        made: Callable[[], Any] = value.copy
        return made
    pack = pack or functools.cache(lambda: pickling.dumps(value))
    pickles = True

    def get() -> Any:
        nonlocal pickles
        if pickles:
            try:
                # As other executors do it: what a pickle leaves out is missing here as well.
                return pickling.loads(pack())
            except MementoError:  # an upstream result that is damaged
                raise
            except Exception:  # whatever somebody's __reduce__ raises
                pickles = False
        return copied(value)

    return get


def copied(value: Any) -> Any:
    """Copy what can be copied of a value; parts for which that fails are the same objects."""
    try:
        return _copied(value, {})
    except Exception:  # nested too deep
        return value


def _copied(value: Any, made: dict[int, Any]) -> Any:
    if id(value) in made:
        return made[id(value)]
    kind = type(value)
    result: Any
    if kind is dict:
        result = made[id(value)] = {}
        result.update((key, _copied(part, made)) for key, part in value.items())
    elif kind is list:
        result = made[id(value)] = []
        result.extend(_copied(part, made) for part in value)
    elif kind is tuple:
        result = tuple(_copied(part, made) for part in value)
    else:
        try:
            result = copy.deepcopy(value, dict(made))
        except Exception:  # a lock, a socket, a client
            result = value
    made[id(value)] = result
    return result


class TaskValues:
    """Values by number: what was `put` here, or comes from `source`.

    Where that has a method `here`, it returns the program's own value of a number, of which tasks get copies; `packed`,
    if it has that, returns the pickle to make them of.
    """

    def __init__(self, source: Sequence[bytes] | None = None) -> None:
        self._source = source
        self._here: Callable[[int], Any] | None = getattr(source, "here", None)
        self._pack: Callable[[int], bytes] | None = getattr(source, "packed", None)
        self.follow: Callable[[Any], None] | None = None  # hears of each function and class among them, once
        self._packed: dict[int, bytes | memoryview] = {}
        self._makers: dict[int, Callable[[], Any]] = {}  # of the program's own
        self._shared: dict[int, Any] = {}
        self._changeable: set[int] = set()

    def put(self, number: int, data: bytes | memoryview) -> None:
        """Keep the bytes of a value."""
        self._packed[number] = data
        self._shared.pop(number, None)
        self._changeable.discard(number)

    def named(self, names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
        """Return the values of these numbers by these names; may raise anything."""
        shared = self._shared
        return {
            name: shared[n] if n in shared else self._get(n) for name, n in zip(names, numbers, strict=True)
        }

    def _get(self, number: int) -> Any:
        if self._here is None:
            value = pickling.loads(self._data(number))
        else:
            maker = self._makers.get(number)
            if maker is None:
                own = self._here(number)
                pack = functools.partial(self._pack, number) if self._pack is not None else None
                maker = self._makers[number] = copies(own, pack)
                if self.follow is not None and callable(own) and not is_unchangeable(own):
                    self.follow(own)
            value = maker()
        if number in self._changeable:
            return value
        if is_unchangeable(value):
            if self.follow is not None and callable(value):
                self.follow(value)
            self._shared[number] = value
            self._packed.pop(number, None)
            self._makers.pop(number, None)
        else:
            self._changeable.add(number)
        return value

    def _data(self, number: int) -> bytes | memoryview:
        data = self._packed.get(number)
        if data is not None:
            return data
        if self._source is None:
            raise KeyError(f"value number {number} was not sent to this worker; this is a fault of Memento")
        return self._source[number]
