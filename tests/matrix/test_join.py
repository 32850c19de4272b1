"""What is joined is the product less what does not agree, and costs no walk over the product."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.matrix.join import TooMany, joined, slots_on

Marks = list[dict[int, str]]


@st.composite
def declared(draw: st.DrawFn) -> tuple[list[int], Marks]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    groups: Marks = []
    for _ in range(draw(st.integers(0, 3))):
        axes = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True))
        groups.append(
            {axis: draw(st.text("abc", min_size=sizes[axis], max_size=sizes[axis])) for axis in axes}
        )
    return sizes, groups


def walked(sizes: list[int], groups: Marks) -> list[int]:
    every = itertools.product(*map(range, sizes))
    return [
        number
        for number, slots in enumerate(every)
        if all(len({marks[slots[axis]] for axis, marks in group.items()}) == 1 for group in groups)
    ]


@given(declared())
def test_what_is_joined_is_what_a_walk_finds(given: tuple[list[int], Marks]) -> None:
    assert list(joined(*given, 10_000)) == walked(*given)


def test_slots_are_those_of_the_product() -> None:
    rows = list(itertools.product(range(2), range(3), range(2)))
    for axis in range(3):
        assert list(slots_on(range(12), axis, [2, 3, 2])) == [row[axis] for row in rows]


def test_what_does_not_agree_is_never_visited() -> None:
    # The product has 10^15 combinations.
    assert len(joined([1000] * 5, [dict.fromkeys(range(5), range(1000))], 10_000)) == 1000


@pytest.mark.parametrize("groups", [[], [{0: "a" * 200, 1: "a" * 200}]])
def test_too_many_are_counted_before_there_are_any(groups: Marks) -> None:
    with pytest.raises(TooMany) as caught:
        joined([200, 200], groups, 30_000)
    assert caught.value.args == (40_000,)
