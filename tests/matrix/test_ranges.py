"""Ranges and scales have the numbers that one would write, in Python, in a dict and in files alike."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memento import Linear, Log, Matrix, Range
from memento.errors import MatrixError
from memento.keys.value_digest import digest
from memento.matrix.ranges import as_numbers

ENDS = st.one_of(
    st.integers(-1000, 1000), st.decimals(-100, 100, places=3).map(float), st.floats(-1e6, 1e6, width=32)
)
ABOVE_0 = st.one_of(st.integers(1, 10**6), st.floats(1e-9, 1e9))


def written(number: float) -> Fraction:
    return Fraction(repr(number))


def alike(values: list[float], exact: list[Fraction], ints: bool) -> bool:
    """Tell whether values are the exact ones as near as floats come, or ints."""
    kind = int if ints and all(one.denominator == 1 for one in exact) else float
    return [(type(v), v) for v in values] == [(kind, kind(one)) for one in exact]


@pytest.mark.slow
@given(ENDS, ENDS, ENDS)
def test_a_range_has_the_numbers_that_exact_arithmetic_gives(start: float, stop: float, step: float) -> None:
    first, last, by = map(written, (start, stop, step))
    assume(by and 0 < (last - first) / by < 500)
    exact = []
    while (first < last) if by > 0 else (first > last):
        exact.append(first)
        first += by
    assert alike(list(Range(start, stop, step)), exact, all(isinstance(x, int) for x in (start, stop, step)))


@given(ENDS, ENDS, st.integers(1, 60))
def test_equal_distances_are_those_of_exact_arithmetic(low: float, high: float, num: int) -> None:
    first, last = written(low), written(high)
    exact = [first + (last - first) * i / max(num - 1, 1) for i in range(num)]
    assert alike(list(Linear(low, high, num)), exact, isinstance(low, int) and isinstance(high, int))


@given(ABOVE_0, ABOVE_0, st.integers(2, 40))
def test_equal_ratios_are_met_as_near_as_floats_come(low: float, high: float, num: int) -> None:
    values = list(Log(low, high, num))
    assert len(values) == num
    assert (values[0], values[-1]) == (low, high)
    for i, value in enumerate(values):
        expected = math.log(low) + (math.log(high) - math.log(low)) * i / (num - 1)
        assert math.isclose(math.log(value), expected, rel_tol=1e-12, abs_tol=1e-12)


@given(st.integers(-300, 300), st.integers(1, 8), st.integers(2, 9))
def test_a_scale_of_powers_of_ten_has_exactly_these(low: int, step: int, num: int) -> None:
    powers = [low + step * i for i in range(num)]
    assume(powers[-1] <= 300)
    assert list(Log(float(f"1e{low}"), float(f"1e{powers[-1]}"), num)) == [float(f"1e{k}") for k in powers]


def test_numbers_are_what_one_would_write() -> None:
    assert list(Range(0, 1, 0.1)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert list(Linear(0.3, -0.3, 7)) == [0.3, 0.2, 0.1, 0.0, -0.1, -0.2, -0.3]
    assert list(map(repr, Log(1e-5, 0.1, 5))) == ["1e-05", "0.0001", "0.001", "0.01", "0.1"]
    assert list(map(repr, Log(1, 1000, 4))) == ["1", "10", "100", "1000"]
    assert list(map(repr, Linear(0, 10, 5))) == ["0.0", "2.5", "5.0", "7.5", "10.0"]
    assert list(map(repr, Range(0, 10, 5))) == ["0", "5"]
    assert list(map(repr, Range(np.float32(0), np.int64(1), np.float32(0.4)))) == ["0.0", "0.4", "0.8"]


@pytest.mark.parametrize("numbers", [Range(0, 1, 0.1), Range(3, 0, -1), Log(1, 100, num=3), Linear(0, 1, 3)])
def test_they_are_plain_sequences_that_show_how_they_were_made(numbers: Any) -> None:
    assert eval(repr(numbers)) == numbers  # what it shows is what one writes
    for same in (pickle.loads(pickle.dumps(numbers)), copy.deepcopy(numbers)):
        assert (same, repr(same), type(same)) == (numbers, repr(numbers), type(numbers))
    assert {numbers: 1}[numbers] == 1
    assert digest(numbers) != digest(Range(7, 9))
    assert np.asarray(numbers).shape == (len(numbers),)


@pytest.mark.parametrize(
    ("given", "python"),
    [
        ({"start": 0, "stop": 3}, Range(0, 3)),
        ({"start": 0, "stop": 1, "step": 0.1}, Range(0, 1, 0.1)),
        ({"step": -1, "start": 3, "stop": 0}, Range(3, 0, -1)),
        ({"log": [1e-5, 1e-1], "num": 5}, Log(1e-5, 1e-1, num=5)),
        ({"num": 3, "linear": (0, 1)}, Linear(0, 1, num=3)),
    ],
)
def test_a_mapping_of_exactly_these_keys_is_the_same_everywhere(
    given: dict[str, Any], python: Any, tmp_path: Path
) -> None:
    import json

    declared = {"parameters": {"x": given, "y": [0, 1]}, "exclude": [{"x": given, "y": 1}]}
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(declared))
    expected = [{"x": value, "y": 0} for value in python]
    for matrix in (Matrix.of(declared), Matrix.of(path), Matrix({"x": python, "y": [0]})):
        assert [c.asdict() for c in matrix.configs] == expected
        assert repr([c.x for c in matrix.configs]) == repr(list(python))
        assert matrix.warnings == []
    assert repr(as_numbers(given, "")) == repr(python)


@pytest.mark.parametrize(
    "given", [{}, {"start": 0}, {"log": [1, 2]}, {"log": 1, "linear": 2}, {"stop": 1, "step": 2}]
)
def test_other_keys_are_no_range(given: dict[str, Any]) -> None:
    assert as_numbers(given, "") is None


def test_in_settings_and_among_values_they_stay_what_they_are() -> None:
    given = {"start": 0, "stop": 3}
    matrix = Matrix({"x": [given, Range(0, 3)]}, settings={"grid": given, "other": Log(1, 100, 3)})
    assert [c.x for c in matrix.configs] == [given, Range(0, 3)]
    assert matrix.settings == {"grid": given, "other": Log(1, 100, 3)}


def test_a_mapping_that_is_one_of_the_values_is_that_value_in_a_rule() -> None:
    given = {"start": 0, "stop": 3}
    assert [c.x for c in Matrix({"x": [given, 0, 1]}, exclude=[{"x": given}]).configs] == [0, 1]
    assert [c.x for c in Matrix({"x": [0, 1, 7]}, exclude=[{"x": {"start": 0, "stop": 2}}]).configs] == [7]


@pytest.mark.parametrize(
    ("given", "problem", "right"),
    [
        ({"start": 1, "stop": 0, "step": 0.1}, "steps of 0.1 from 1 never come near 0.", "step: -0.1}"),
        ({"start": 0, "stop": 1, "step": 0}, "the step is 0.", "{start: 0, stop: 1}"),
        ({"start": 2, "stop": 2}, "start and stop are equal", "{start: 2, stop: 3}"),
        ({"start": "a", "stop": 2}, "a number is needed, got 'a' (str).", "other labels"),
        ({"start": True, "stop": 2}, "a number is needed", "Range(0, 1, 0.1)"),
        ({"start": 0, "stop": math.inf}, "inf is no end.", "finite"),
        ({"start": 0, "stop": 1, "step": 1e-9}, "1,000,000,000 values, more than 1,000,000", "larger steps"),
        ({"log": [0, 1], "num": 3}, "ends above 0.", "{log: [0.001, 1], num: 3}"),
        ({"log": [1, 10], "num": 0}, "from 1 on, got 0.", "memento.Log(1, 10, num=5)"),
        ({"linear": [1, 10], "num": 2.0}, "from 1 on, got 2.0.", "{linear: [1, 10], num: 5}"),
        ({"linear": 10, "num": 2}, "the two ends are needed as a list, got 10.", "{linear: [0, 1], num: 5}"),
        ({"log": [1, 2, 3], "num": 2}, "the two ends", "{log: [0.001, 1], num: 4}"),
    ],
)  # fmt: skip
def test_what_is_no_range_says_where_what_and_the_right_line(
    given: dict[str, Any], problem: str, right: str
) -> None:
    with pytest.raises(MatrixError) as told:
        Matrix({"lr": given})
    assert str(told.value).startswith("parameters['lr']: ")
    assert problem in str(told.value)
    assert right in told.value.todo
