"""A grid is what a walk over all its combinations finds, and costs no walk."""

from __future__ import annotations

import cProfile
import itertools
import pstats

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memento.matrix.grid import Grid

Rules = list[dict[int, list[int]]]


@st.composite
def grids(draw: st.DrawFn) -> tuple[list[int], Rules]:
    sizes = draw(st.lists(st.integers(1, 4), max_size=6))
    if not sizes:
        return sizes, []
    axes = st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True)
    slots = {
        axis: st.lists(st.integers(0, size - 1), min_size=1, unique=True) for axis, size in enumerate(sizes)
    }
    rule = axes.flatmap(lambda chosen: st.fixed_dictionaries({axis: slots[axis] for axis in chosen}))
    return sizes, draw(st.lists(rule, max_size=4))


def walked(sizes: list[int], rules: Rules) -> list[tuple[int, ...]]:
    return [
        slots
        for slots in itertools.product(*map(range, sizes))
        if not any(all(slots[axis] in chosen for axis, chosen in rule.items()) for rule in rules)
    ]


@given(grids())
def test_a_grid_has_the_rows_that_a_walk_finds(declared: tuple[list[int], Rules]) -> None:
    sizes, rules = declared
    grid, rows = Grid(sizes, rules), walked(sizes, rules)
    assert len(grid) == len(rows)
    assert [tuple(grid.slots(row)) for row in range(len(grid))] == rows
    assert list(zip(*grid.slots_of(range(len(grid))), strict=True)) == (rows if sizes else [])
    assert [tuple(row) for row in grid.matrix().tolist()] == rows
    assert grid.matrix().dtype == np.int32


@given(grids(), st.data())
def test_along_an_axis_each_row_has_what_stands_at_its_slot(
    declared: tuple[list[int], Rules], data: st.DataObject
) -> None:
    sizes, rules = declared
    grid, rows = Grid(sizes, rules), walked(sizes, rules)
    for axis, size in enumerate(sizes):
        things = data.draw(st.lists(st.text(max_size=2), min_size=size, max_size=size))
        assert list(grid.along(axis, things)) == [things[row[axis]] for row in rows]


def test_a_grid_of_which_little_is_left_is_the_same() -> None:
    rules: Rules = [{0: [*range(1, 20)]}, {2: [*range(3, 20)]}]
    grid, rows = Grid([20, 5, 20], rules), walked([20, 5, 20], rules)
    assert len(rows) * 100 < 20 * 5 * 20 * 10
    assert [list(grid.along(axis, range(20))) for axis in range(3)] == [
        list(c) for c in zip(*rows, strict=True)
    ]


def test_a_million_combinations_and_their_rules_take_a_handful_of_calls() -> None:
    rules: Rules = [{0: [1], 1: [2]}, {2: [3], 3: [4]}, {4: [5], 5: [6]}]
    profile = cProfile.Profile()
    grid = profile.runcall(Grid, [10] * 6, rules)
    assert len(grid) == 99**3
    assert pstats.Stats(profile).total_calls < 100  # type: ignore[attr-defined]  # not in typeshed
