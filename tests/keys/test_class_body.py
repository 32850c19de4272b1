"""What `digest` promises of classes and functions that a program makes while it runs."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import threading
import types
from typing import Any

import pytest

from memento.errors import UnkeyableValue
from memento.keys.value_digest import digest


def made_by_type(n: int) -> Any:
    return type("Made", (), {"size": n})


def made_by_statement(n: int) -> Any:
    class Made:
        size = n

    return Made


def made_under_a_short_name(n: int) -> Any:
    made = made_by_statement(n)
    made.__qualname__ = "Made"
    return made


def with_a_default(n: int) -> Any:
    class Made:
        def scaled(self, x: int, by: int = n) -> int:
            return x * by

    return Made


def as_dataclass(n: int) -> Any:
    @dataclasses.dataclass
    class Made:
        size: int = n
        words: list[int] = dataclasses.field(default_factory=lambda: [n])

    return Made


def by_metaclass(n: int) -> Any:
    class Meta(type):
        size = n

    class Made(metaclass=Meta):
        pass

    return Made


makers = {
    "type()": made_by_type,
    "class statement": made_by_statement,
    "changed name": made_under_a_short_name,
    "default": with_a_default,
    "dataclass": as_dataclass,
    "make_dataclass": lambda n: dataclasses.make_dataclass("Made", [f"field{n}"]),
    "namedtuple": lambda n: collections.namedtuple("Made", ["a", f"b{n}"]),
    "Enum()": lambda n: enum.Enum("Made", {"A": n}),
    "metaclass": by_metaclass,
}


@pytest.mark.parametrize("maker", makers)
def test_classes_of_one_maker_are_what_they_were_made_of(maker: str) -> None:
    make: Any = makers[maker]
    assert digest(make(1)) == digest(make(1))
    assert digest(make(1)) != digest(make(2))


def test_instances_of_classes_of_one_maker_differ_too() -> None:
    one, two = (makers["Enum()"](n).A for n in (1, 2))
    assert digest(one) != digest(two)
    assert digest(made_by_statement(1)()) != digest(made_by_statement(2)())


def test_classes_of_one_loop_differ() -> None:
    space: dict[str, Any] = {"__name__": __name__}
    exec("made = []\nfor n in (1, 2):\n    class Made:\n        size = n\n    made.append(Made)", space)
    assert digest(space["made"][0]) != digest(space["made"][1])


def test_a_lock_in_a_class_with_source_counts_by_its_source() -> None:
    def make() -> Any:
        class Guarded:
            lock = threading.Lock()

        return Guarded

    assert digest(make()) == digest(make())


def test_functions_without_a_module_count_by_their_code() -> None:
    def made(code: str, **space: Any) -> Any:
        exec(code, space)
        return space["f"]

    assert digest(made("def f(x): return x + 1")) == digest(made("def f(x): return x + 1"))
    assert digest(made("def f(x): return x + 1")) != digest(made("def f(x): return x + 2"))
    assert digest(made("def f(x): return x + K", K=1)) != digest(made("def f(x): return x + K", K=2))


def test_attributes_of_functions_and_partials_count() -> None:
    def func(n: int | None) -> Any:
        made = types.FunctionType((lambda x: x).__code__, {})
        if n is not None:
            made.size = n  # type: ignore[attr-defined]
        return made

    def partial(n: int) -> Any:
        made = functools.partial(len)
        made.size = n  # type: ignore[attr-defined]
        return made

    assert digest(func(1)) == digest(func(1))
    assert len({digest(func(1)), digest(func(2)), digest(func(None))}) == 3
    assert len({digest(partial(1)), digest(partial(2)), digest(functools.partial(len))}) == 3


def test_what_raises_while_it_is_read_is_an_error_that_names_the_parameter() -> None:
    class Odd(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise LookupError("no")

        __reduce_ex__ = None  # type: ignore[assignment]

    with pytest.raises(UnkeyableValue, match=r"^table"):
        digest({"a": Odd()}, "table")
